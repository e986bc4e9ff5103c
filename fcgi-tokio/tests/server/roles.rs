//! An authorizer of ours in front of the files of a real web server.

use std::io;

use fcgi_test_support::WebServer;
use fcgi_test_support::http::Request as HttpRequest;
use fcgi_tokio::Role;
use fcgi_tokio::server::{Listener, Request, Server};

async fn decide(mut request: Request) -> io::Result<u32> {
    let answer = match request.param("HTTP_X_PASS") {
        Some("please") if request.role == Role::Authorizer => "Status: 200 OK\r\n\r\n",
        _ => "Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nsay please\n",
    };
    request.stdout.write(answer).await?;
    Ok(0)
}

// spec: S55, S56
#[tokio::test(flavor = "multi_thread")]
async fn lighttpd_asks_an_authorizer() {
    let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_address().expect("it has one").to_string();
    tokio::spawn(Server::new(decide).roles([Role::Authorizer]).serve(listener));
    let (host, port) = address.split_once(':').expect("a port");
    let lines = format!(
        r#"fastcgi.server = ("/" => (("host" => "{host}", "port" => {port}, "mode" => "authorizer",
            "check-local" => "disable", "docroot" => var.folder)))"#
    );
    let asked = tokio::task::spawn_blocking(move || {
        let server = WebServer::lighttpd(&lines);
        // Its own configuration is a file like any other in its folder.
        let ask = |pass: &str| {
            HttpRequest::get("/server.conf").header("X-Pass", pass).send(server.address())
        };
        let (granted, denied) = (ask("please"), ask("now"));
        assert_eq!(granted.status, 200, "{}", server.log());
        assert!(granted.text().contains("fastcgi.server"), "{}", granted.text());
        assert_eq!((denied.status, &*denied.text()), (403, "say please\n"));
    });
    asked.await.expect("it answers as it should");
}
