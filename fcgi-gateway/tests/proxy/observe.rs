//! What observers are told: the access log, the metrics, and the events behind them.

use std::path::Path;
use std::sync::Arc;

use fcgi_gateway::observe::{AccessLog, Event, Events, LogFile, LogFormat, Metrics, Outcome};
use fcgi_gateway::operations::Operations;
use fcgi_gateway::server::Server;
use fcgi_gateway::{Builder, Connection as Socket, Gateway, OriginalUri};
use fcgi_proto::cgi::TrustedProxies;
use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::{PhpFpm, Scripts, wait_until};

use crate::support::{LIMIT, Running};

fn site(set: impl FnOnce(Builder) -> Builder) -> (Running, Scripts, PhpFpm) {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    std::fs::write(Path::new(&scripts.path("style.css")), "body{}").unwrap();
    let running = Running::start(set(Gateway::builder(scripts.root()).fpm(fpm.address())));
    (running, scripts, fpm)
}

#[test]
fn a_record_of_every_request() {
    let (running, _scripts, fpm) = site(|gateway| gateway);
    running.get("/greeter.php?who=you");
    running.get("/style.css");
    running.get("/none.css");
    let _ = Request::new("HEAD", "/big.php?size=100").send(running.address);
    let _ = Request::post("/echo.php").body(vec![b'x'; 100_000]).send(running.address);
    running.get("/big.php?size=300000&length=1");
    running.get("/zero.php");
    let records = running.records(7);
    let seen = records.iter().map(|record| {
        let is_php = record.upstream().map(ToString::to_string) == Some(fpm.address().to_owned());
        (record.target(), record.status(), record.received(), record.sent(), is_php)
    });
    let expected = [
        ("/greeter.php?who=you", 200, 0, 9, true),
        ("/style.css", 200, 0, 6, false),
        ("/none.css", 404, 0, records[2].sent(), false),
        ("/big.php?size=100", 200, 0, 0, true),
        ("/echo.php", 200, 100_000, 100_000, true),
        ("/big.php?size=300000&length=1", 200, 0, 300_000, true),
        ("/zero.php", 200, 0, 1, true),
    ];
    assert_eq!(Vec::from_iter(seen), expected);
    for record in &records {
        assert_eq!(record.outcome(), Outcome::Complete, "{record:?}");
        assert_eq!(record.remote().map(|remote| remote.ip()), "127.0.0.1".parse().ok());
        assert!(record.until_head() <= record.total());
        if let Some(timings) = record.upstream_timings() {
            let all = timings.queue + timings.connect + timings.head;
            assert!(all <= record.until_head(), "{timings:?} in {:?}", record.until_head());
        }
    }
    let begun = running.events().iter().filter(|event| matches!(event, Event::Begun(_))).count();
    assert_eq!(begun, 7);
}

/// Below a prefix that a router took off, logs have what the client asked for.
#[tokio::test]
async fn targets_are_those_of_the_client() {
    let scripts = Scripts::empty();
    let events = Events::new();
    let mut told = events.subscribe();
    let mut gateway =
        Gateway::builder(scripts.root()).fpm("127.0.0.1:1").observe(events).build().unwrap();
    let original = OriginalUri("/php/none.css?v=1".parse().unwrap());
    let request = http::Request::get("/none.css?v=1").extension(original);
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    drop(tower_service::Service::call(&mut gateway, request).await);
    let (Some((Event::Begun(begun), _)), Some((Event::Ended(record), _))) =
        (told.next().await, told.next().await)
    else {
        panic!("two events in another order");
    };
    assert_eq!((begun.uri.path(), record.target()), ("/php/none.css", "/php/none.css?v=1"));
}

#[test]
fn what_ends_early_is_told_as_well() {
    let (running, _scripts, _fpm) = site(|gateway| gateway);
    running.get("/die.php");
    let cut = running.records(1);
    assert_eq!((cut[0].status(), cut[0].outcome()), (200, Outcome::Cut));
    running.get("/die.php?head=0");
    assert_eq!(
        (running.records(2)[1].status(), running.records(2)[1].outcome()),
        (502, Outcome::Complete)
    );
    // Gone amid the body, and before there is an answer.
    let mut gone = Request::get("/big.php?size=200000000").start(running.address);
    assert!(!gone.more().is_empty());
    drop(gone);
    let left = running.records(3);
    assert_eq!((left[2].status(), left[2].outcome()), (200, Outcome::ClientGone));
    let mut gone = Connection::open(running.address);
    gone.send_raw(b"GET /sleep.php?ms=2000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(wait_until(LIMIT, || running
        .events()
        .iter()
        .filter(|event| matches!(event, Event::Begun(_)))
        .count()
        == 4));
    drop(gone);
    let left = running.records(4);
    assert_eq!((left[3].status(), left[3].outcome()), (499, Outcome::ClientGone));
}

#[test]
fn error_output_has_the_id_of_its_request() {
    let (running, _scripts, _fpm) = site(|gateway| gateway);
    let response = running.get("/stderr.php?more=1");
    let id = response.header("x-request-id").unwrap();
    let record = &running.records(1)[0];
    assert_eq!(record.id().as_str(), id);
    assert!(
        record.stderr().iter().any(|line| line.contains("said through error_log")),
        "{:?}",
        record.stderr()
    );
    let lines = running.events().into_iter().filter_map(|event| match event {
        Event::Stderr(line) => Some(line),
        _ => None,
    });
    let lines = Vec::from_iter(lines);
    assert!(!lines.is_empty() && lines.iter().all(|line| line.id.as_str() == id), "{lines:?}");
}

#[test]
fn ids_and_traces_reach_php() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let env = |running: &Running, request: Request| {
        let response = request.send(running.address);
        let env: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        (response, env)
    };
    let (running, _scripts, _fpm) = site(|gateway| gateway);
    let spoofed =
        Request::get("/env.php").header("X-Request-Id", "mine").header("traceparent", TRACE);
    let (response, found) = env(&running, spoofed);
    assert_eq!(found["HTTP_X_REQUEST_ID"], response.header("x-request-id").unwrap());
    assert_ne!(found["HTTP_X_REQUEST_ID"], "mine", "anybody may say so");
    assert_eq!(found["HTTP_TRACEPARENT"], TRACE);
    let (_, found) = env(&running, Request::get("/env.php"));
    assert_eq!(found["HTTP_TRACEPARENT"], serde_json::Value::Null);

    let (running, _scripts, _fpm) = site(|gateway| gateway.begin_traces(true).request_ids(false));
    let (response, found) = env(&running, Request::get("/env.php").header("X-Request-Id", "mine"));
    assert_eq!(
        (response.header("x-request-id"), &found["HTTP_X_REQUEST_ID"]),
        (None, &"mine".into())
    );
    assert_eq!(found["HTTP_TRACEPARENT"].as_str().map(str::len), Some(55));
}

#[test]
fn a_trusted_proxy_names_requests() {
    use http_body_util::{BodyExt, Empty};
    use tower_service::Service;
    let (running, _scripts, _fpm) = site(|gateway| gateway);
    let socket = Socket::new("192.0.2.1:1".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
    for (is_trusted, is_taken) in [(true, true), (false, false)] {
        let body =
            Empty::<bytes::Bytes>::new().map_err(|never| -> std::io::Error { match never {} });
        let request = http::Request::get("/zero.php")
            .header("host", "x")
            .header("x-request-id", "from-the-edge");
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(socket.trusted(is_trusted));
        let response = running.runtime.block_on(running.gateway.clone().call(request)).unwrap();
        assert_eq!(response.headers()["x-request-id"] == "from-the-edge", is_taken);
    }
}

/// Behind a load balancer, a log of the load balancer's address is of no use.
#[test]
fn records_name_the_client_that_a_trusted_proxy_tells_of() {
    for (trusted, remote) in [("127.0.0.0/8", "203.0.113.9"), ("192.0.2.0/24", "127.0.0.1")] {
        let proxies = TrustedProxies::new([trusted.parse().unwrap()]);
        let (running, _scripts, _fpm) = site(|gateway| gateway.trusted_proxies(proxies));
        let request = |value| {
            let request = Request::get("/zero.php").header("X-Forwarded-For", value);
            let _ = request.send(running.address);
        };
        request("198.51.100.7, 203.0.113.9");
        let records = running.records(1);
        assert_eq!(records[0].remote().unwrap().ip().to_string(), remote);
        // A request that is refused for what it says is the proxy's.
        request("no address");
        assert_eq!(running.records(2)[1].remote().unwrap().ip().to_string(), "127.0.0.1");
    }
}

#[test]
fn the_access_log_cannot_be_forged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let file = LogFile::open(&path).unwrap();
    let log = AccessLog::new(LogFormat::Combined, file.clone());
    let (running, _scripts, _fpm) = site(|gateway| gateway.observe(log));
    let evil = "x\" 200 1 \"-\" \"\\";
    let request = Request::get("/zero.php?a=%0d%0a")
        .header("User-Agent", evil)
        .header("Referer", "http://a/");
    let _ = request.send(running.address);
    running.records(1);
    file.flush();
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let end =
        r#"] "GET /zero.php?a=%0d%0a HTTP/1.1" 200 1 "http://a/" "x\x22 200 1 \x22-\x22 \x22\x5C""#;
    assert!(line.ends_with(end), "{line}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn figures_for_prometheus() {
    let metrics = Metrics::new();
    let observer = metrics.clone();
    let (running, _scripts, _fpm) = site(|gateway| gateway.observe(observer));
    let operations = Operations::new(metrics, [running.gateway.clone()]);
    let port = running.runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
    let address = port.local_addr().unwrap();
    running.runtime.spawn(port.run(operations.clone(), core::future::pending()));
    let ask = |path: &str| Request::get(path).send(address);

    for _ in 0..3 {
        running.get("/greeter.php?who=you");
    }
    let _ = Request::new("BREW", "/style.css").send(running.address);
    running.get("/stderr.php");
    running.records(5);
    let response = ask("/metrics");
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type").unwrap(),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let old = response.text();
    let asked =
        Request::get("/metrics").header("Accept", "application/openmetrics-text;q=0.8,*/*;q=0.1");
    let response = asked.send(address);
    assert!(response.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = response.text();
    assert!(
        text.contains("# TYPE fcgi_requests counter\n")
            && old.contains("# TYPE fcgi_requests_total counter\n")
    );
    assert!(old.contains("# TYPE process_cpu_seconds_total counter\n") && !old.contains("# EOF"));
    for line in [
        "fcgi_build_info{version=\"",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_max_fds ",
        "process_start_time_seconds ",
        "fcgi_requests_total{method=\"GET\",status=\"200\"} 4",
        "fcgi_requests_total{method=\"OTHER\",status=\"405\"} 1",
        "fcgi_requests_running 0",
        "fcgi_request_duration_seconds_count{phase=\"total\"} 5",
        "fcgi_request_duration_seconds_count{phase=\"head\"} 4",
        "fcgi_pool_connections{state=\"busy\"} 0",
        "fcgi_pool_addresses 1",
        "fcgi_pool_events_total{event=\"reuse\"}",
        "fcgi_stderr_lines_total",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
        assert!(old.contains(line), "{line} is not in\n{old}");
    }
    assert!(text.ends_with("# EOF\n"));

    assert_eq!((ask("/healthz").status, ask("/readyz").status, ask("/").status), (200, 200, 404));
    assert_eq!(Request::post("/healthz").send(address).status, 405);
    operations.drain();
    assert_eq!((ask("/healthz").status, ask("/readyz").status), (200, 503));
}

/// Figures are asked for by threads that know no runtime, and before anything runs.
#[test]
fn figures_need_no_runtime() {
    let metrics = Metrics::new();
    let gateway = Gateway::to_application("php.internal:9000").build().unwrap();
    metrics.set_pools([&gateway]);
    assert!(metrics.encode().contains("fcgi_pool_connections{state=\"busy\"} 0"));
    assert_eq!((gateway.pool_metrics().pool.dials, gateway.addresses().len()), (0, 0));
}

#[test]
fn not_ready_while_nobody_listens() {
    let nowhere = format!("127.0.0.1:{}", fcgi_test_support::free_port());
    let running = Running::start(Gateway::to_application(nowhere.as_str()));
    assert!(!running.runtime.block_on(running.gateway.is_reachable()));
}

#[test]
fn subscribers_come_and_go() {
    let events = Events::new();
    let (running, _scripts, _fpm) = site(|gateway| gateway.observe(events.clone()));
    running.get("/zero.php");
    let mut subscription = events.subscribe();
    running.get("/greeter.php");
    running.records(2);
    let next = |subscription: &mut fcgi_gateway::observe::Subscription| {
        running.runtime.block_on(subscription.next()).unwrap()
    };
    let (Event::Begun(begun), 0) = next(&mut subscription) else { panic!() };
    let (Event::Ended(record), 0) = next(&mut subscription) else { panic!() };
    assert_eq!((begun.uri.path(), record.target()), ("/greeter.php", "/greeter.php"));
    assert_eq!(&begun.id, record.id());
    assert!(Arc::strong_count(&record) >= 1);
    // Too slow: the oldest are missed, and counted.
    let body = || Request::get("/style.css").send(running.address);
    for _ in 0..600 {
        body();
    }
    running.records(602);
    let (_, missed) = next(&mut subscription);
    assert_eq!(missed, 1200 - 1024);
}
