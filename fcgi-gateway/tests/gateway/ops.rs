//! `fcgi serve` as operators run it: its log, its port for them, and its end.

use core::time::Duration;
use std::net::TcpListener;

use fcgi_test_support::http::Request;
use fcgi_test_support::{Application, PhpFpm, Scripts, free_port, wait_until};
use rustix::process::Signal;

use crate::support::{LIMIT, Serve, run};

#[test]
fn the_access_log_can_be_moved_away() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let folder = tempfile::tempdir().unwrap();
    let (log, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let args = [
        "--fpm",
        fpm.address(),
        "--access-log",
        log.to_str().unwrap(),
        "--access-log-format",
        "json",
    ];
    let mut serve = Serve::start(scripts.root(), args);
    let id = serve.get("/greeter.php").header("x-request-id").unwrap().to_owned();
    assert!(wait_until(LIMIT, || text(&log).ends_with('\n')));
    let line: serde_json::Value = serde_json::from_str(&text(&log)).unwrap();
    assert_eq!(
        (&line["id"], &line["status"], &line["target"]),
        (&id.into(), &200.into(), &"/greeter.php".into())
    );
    assert!(line["upstream"].as_str().unwrap().starts_with("unix:"), "{line}");

    for signal in [Signal::USR1, Signal::HUP] {
        let before = text(&log);
        std::fs::rename(&log, &old).unwrap();
        serve.signal(signal);
        assert!(wait_until(LIMIT, || log.exists()), "{signal:?}");
        assert_eq!(text(&old), before);
        serve.get("/zero.php");
        assert!(wait_until(LIMIT, || text(&log).contains("/zero.php")));
    }
    // What was answered before the end is in the log at the end.
    for _ in 0..20 {
        serve.get("/style-none.css");
    }
    serve.stop();
    assert_eq!(text(&log).matches("/style-none.css").count(), 20);
}

#[test]
fn a_port_for_operators_that_is_taken_names_its_flag() {
    let (scripts, taken) = (Scripts::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let taken = taken.local_addr().unwrap().to_string();
    let ours = ["--fpm", "unix:/nowhere.sock", "--listen", "127.0.0.1:0", "--ops-listen", &taken];
    let root = scripts.root().to_str().unwrap();
    let output = run([&["serve", root][..], &ours].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [taken.as_str(), "--ops-listen chooses another"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("with --listen"), "{said}");
}

#[test]
fn a_port_for_operators_that_says_when_it_stops() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let port = free_port();
    let ops = format!("127.0.0.1:{port}");
    let mut serve = Serve::start(scripts.root(), ["--fpm", fpm.address(), "--ops-listen", &ops]);
    let ask = |path: &str| Request::get(path).send(ops.parse().unwrap());
    assert_eq!((ask("/healthz").status, ask("/readyz").status), (200, 200));
    serve.get("/greeter.php");
    let counted =
        || ask("/metrics").text().contains("fcgi_requests_total{method=\"GET\",status=\"200\"} 1");
    assert!(wait_until(LIMIT, counted), "{}", ask("/metrics").text());
    // A new set of gateways after a reload, the same figures.
    serve.signal(Signal::HUP);
    serve.wait_for_log("the settings were read again");
    assert!(ask("/metrics").text().contains("fcgi_pool_addresses 1"));

    let mut under_way = Request::get("/sleep.php?first=1&ms=2000").start(serve.address());
    assert!(!under_way.more().is_empty());
    serve.signal(Signal::TERM);
    assert!(wait_until(LIMIT, || ask("/readyz").status == 503));
    assert_eq!(ask("/healthz").status, 200);
    let response = under_way.finish();
    assert!(
        response.is_complete() && response.text().ends_with("slept 2000"),
        "{}",
        response.text()
    );
    assert!(serve.wait().success());
}

#[test]
fn development_shows_causes_and_production_does_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.php"), "<?php").unwrap();
    let nowhere = format!("127.0.0.1:{}", free_port());
    for (args, is_shown) in
        [(vec!["--fpm", &nowhere, "--dev"], true), (vec!["--fpm", &nowhere], false)]
    {
        let serve = Serve::start(folder.path(), args);
        let page = Request::get("/").header("Accept", "text/html").send(serve.address());
        assert_eq!(page.status, 502);
        assert_eq!(
            page.text().contains("is php-fpm running and listening there?")
                || page.text().contains("Is php-fpm running"),
            is_shown,
            "{}",
            page.text()
        );
    }
}

#[test]
fn several_addresses() {
    let scripts = Scripts::new();
    let (first, second) = (PhpFpm::start(), PhpFpm::start());
    let serve = Serve::start(scripts.root(), ["--fpm", first.address(), "--fpm", second.address()]);
    for _ in 0..40 {
        assert_eq!(serve.get("/zero.php").text(), "0");
    }
    let both = || [&first, &second].iter().all(|fpm| fpm.access_log().contains("/zero.php"));
    assert!(wait_until(Duration::from_secs(20), both));
}

/// None of them is answered before all are there, and there is one connection.
#[test]
fn requests_share_a_connection_to_an_application_that_can() {
    let (site, application) = (Scripts::empty(), Application::go());
    site.add("x.php", "<?php // never run");
    let args = ["--fpm", application.address(), "--multiplex", "12", "--max-connections", "1"];
    let serve = Serve::start(site.root(), args);
    std::thread::scope(|scope| {
        let asked = [(); 12].map(|()| scope.spawn(|| serve.get("/x.php?wait=12").text()));
        for answer in asked {
            assert_eq!(answer.join().unwrap(), "wait=12 0\n");
        }
    });
}
