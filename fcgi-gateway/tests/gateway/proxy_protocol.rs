//! HAProxy in front of `fcgi serve`, passing bytes on.

use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::{PhpFpm, Scripts, WebServer};

use crate::support::{Serve, run};

/// HAProxy has a port of its own towards us, so that the client's tells whose word it is.
#[test]
fn haproxy_introduces_its_clients() {
    let (site, fpm) = (Scripts::empty(), PhpFpm::start());
    site.add("index.php", "<?php echo $_SERVER['REMOTE_PORT'], ' ', $_SERVER['SERVER_PORT'];");
    let trusted = ["--trusted-proxy", "127.0.0.0/8", "--proxy-protocol"];
    let serve = Serve::start(site.root(), ["--fpm", fpm.address()].iter().chain(&trusted));
    for options in ["send-proxy", "send-proxy-v2", "send-proxy-v2 check check-send-proxy"] {
        let front = WebServer::haproxy_for_bytes(serve.address(), options);
        let mut client = Connection::open(front.address());
        let expected = format!("{} {}", client.local_addr().port(), front.address().port());
        for _ in 0..2 {
            assert_eq!(client.send(&Request::get("/")).text(), expected, "{options}");
        }
    }
    // Whoever comes without is shown out, and the operator told.
    let mut direct = Connection::open(serve.address());
    let _ = direct.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(direct.is_closed());
    serve.wait_for_log("began with no header of the PROXY protocol");
}

#[test]
fn it_takes_proxies_that_are_named() {
    let site = Scripts::empty();
    let output = run(["serve", site.root().to_str().unwrap(), "--proxy-protocol"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("proxy-protocol needs trusted-proxy"),
        "{said}"
    );
}
