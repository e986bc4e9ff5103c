//! What no web server sends, by hand.

use bytes::{Buf, BytesMut};
use fcgi_proto::Role;
use fcgi_proto::client::{Config, Connection, Event};
use fcgi_tokio::server::{Server, Tower};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the application says to a request with these parameters and this body: stdout and stderr.
async fn ask(app: axum::Router, params: &[(&str, &str)], body: &[u8]) -> (String, String) {
    let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(Server::new(Tower::new(app)).serve_connection(theirs));
    let mut conn = Connection::new(Config::default());
    let key = conn.begin(Role::Responder, params.iter().copied()).expect("it begins");
    let mut request = conn.request(key).expect("it is open");
    request.stdin_slice(body).expect("there is room");
    request.finish().expect("once");
    while conn.has_outgoing() {
        ours.write_buf(&mut conn.outgoing()).await.expect("it is taken");
    }
    let (mut stdout, mut stderr, mut buf) = (Vec::new(), Vec::new(), BytesMut::new());
    while ours.read_buf(&mut buf).await.expect("it can be read") > 0 {
        let mut input: &[u8] = &buf;
        while let Some(event) = conn.poll_event(&mut input).expect("the server is right") {
            match event {
                Event::Stdout { data, .. } => stdout.extend_from_slice(data),
                Event::Stderr { data, .. } => stderr.extend_from_slice(data),
                _ => {}
            }
        }
        let used = buf.len() - input.len();
        buf.advance(used);
    }
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(stdout), text(stderr))
}

fn reader() -> axum::Router {
    axum::Router::new().fallback(|body: axum::body::Body| async move {
        match body.collect().await {
            Ok(body) => format!("{} bytes", body.to_bytes().len()),
            Err(error) => error.to_string(),
        }
    })
}

#[tokio::test]
async fn a_body_is_held_against_its_length() {
    for (length, expected) in [
        ("3", "3 bytes"),
        ("2", "2 bytes"),
        ("0", "0 bytes"),
        ("", "3 bytes"),
        ("-1", "3 bytes"),
        ("4", "request body ended after 3 of 4 bytes"),
    ] {
        let params = [("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/"), ("CONTENT_LENGTH", length)];
        let (stdout, _) = ask(reader(), &params, b"abc").await;
        let (_, body) = stdout.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, expected, "CONTENT_LENGTH={length}");
    }
}

#[tokio::test]
async fn what_is_no_http_request() {
    let (stdout, stderr) =
        ask(reader(), &[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "x")], b"").await;
    assert!(stdout.starts_with("Status: 400 Bad Request\r\n"), "{stdout}");
    assert_eq!(stderr, "REQUEST_URI is no target of an HTTP request\n");
}

#[tokio::test]
async fn a_service_that_fails() {
    let params = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/")];
    let upgrade = axum::Router::new().fallback(|| async { http::StatusCode::SWITCHING_PROTOCOLS });
    let (stdout, stderr) = ask(upgrade, &params, b"").await;
    assert!(stdout.starts_with("Status: 500 "), "{stdout}");
    assert!(stderr.contains("101 Switching Protocols"), "{stderr}");
}
