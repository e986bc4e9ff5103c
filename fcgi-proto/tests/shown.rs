//! What values show of themselves to a log: figures and names, never what was sent.
#![cfg(feature = "std")]

mod support;

use bytes::Bytes;
use fcgi_proto::client::Collector;
use fcgi_proto::server::{ConnectionError, SocketNames};
use fcgi_proto::{BeginError, FirstBytes, Params, ProtocolError, RecordType, Role, client, server};
use std::error::Error as _;
use support::{begin, empty, params};

fn shows(value: &impl core::fmt::Debug, parts: &[&str]) {
    let shown = format!("{value:?}");
    for part in parts {
        assert!(shown.contains(part), "{shown} without {part}");
    }
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn connections_and_handles_show_figures() {
    let mut conn = client::Connection::new(client::Config::default());
    let key = conn.begin(Role::Responder, [("TOKEN", "secret")]).expect("room");
    shows(&key, &["RequestKey(1, 0)"]);
    let mut request = conn.request(key).expect("open");
    request.stdin("secret").expect("room");
    shows(&request, &["request_id: 1", "phase: Stdin"]);
    shows(&conn.outgoing(), &["Outgoing { remaining: "]);
    shows(&conn, &["open_requests: 1", "outbox"]);

    let mut conn = server::Connection::new(server::Config::default());
    let wire = [begin(7, Role::Responder), params(7, &[("TOKEN", "secret")])].concat();
    let Ok(Some(server::Event::Request { key, .. })) = conn.poll_event(&mut &wire[..]) else {
        panic!("a request");
    };
    let mut response = conn.response(key).expect("open");
    response.stdout("secret").expect("room");
    shows(&response, &["RequestKey(7, 0)"]);
    shows(&conn, &["open_requests: 1", "outbox"]);
    assert!(conn.poll_event(&mut &empty(RecordType::Stdin, 0)[..]).is_err());
    shows(&conn, &["Failed", "NullRequestId"]);
    shows(&FirstBytes::new(b"SSH\x00"), &[r#""SSH\x00""#]);
}

#[test]
fn masked_parameters_show_no_query() {
    let params: Params = [
        ("REQUEST_URI", "/a?secret=1"),
        ("HTTP_REFERER", "https://x/?secret"),
        ("QUERY_STRING", "secret=1"),
        ("HTTP_COOKIE", "secret"),
        ("REQUEST_METHOD", "GET"),
        ("EMPTY", ""),
    ]
    .into_iter()
    .collect();
    let shown = format!("{:?}", fcgi_proto::trace::masked(&params));
    let expected = r#"{"REQUEST_URI": "/a?<8 bytes>", "HTTP_REFERER": "https://x/?<6 bytes>", "QUERY_STRING": "<8 bytes>", "HTTP_COOKIE": "<6 bytes>", "REQUEST_METHOD": "GET", "EMPTY": ""}"#;
    assert_eq!(shown, expected);
}

#[test]
fn errors_of_connections_have_their_cause() {
    let error = ConnectionError::from(ProtocolError::MalformedValues);
    assert_eq!(error.to_string(), "web server broke the FastCGI protocol");
    assert_eq!(
        error.source().map(ToString::to_string),
        Some(ProtocolError::MalformedValues.to_string())
    );
    let error = ConnectionError::from(std::io::Error::other("unplugged"));
    assert_eq!(error.to_string(), "connection to the web server failed");
    assert_eq!(error.source().map(ToString::to_string), Some("unplugged".to_owned()));
    let message = BeginError::ValuesTooLarge { found: 5000, limit: 4096 }.to_string();
    assert!(message.contains("5000") && message.contains("4096"), "{message}");
}

#[test]
fn sockets_without_a_name_are_unknown() {
    let names = SocketNames::parse("web::admin");
    let all = [0, 1, 2, 3].map(|index| names.get(index));
    assert_eq!(all, ["web", "unknown", "admin", "unknown"]);
    assert_eq!(SocketNames::default().get(0), "unknown");
}

#[test]
fn a_collected_body_keeps_what_is_within_its_limit() {
    let whole = Bytes::from(vec![b'x'; 10]);
    let mut body = Collector::new(10);
    assert!(body.push(whole.clone()));
    assert!(!body.push("y".into()) && !body.push_slice(b"y"), "it is full");
    assert!(body.push_slice(b""));
    assert_eq!(body.finish(), whole);
    let mut body = Collector::new(10);
    assert!(body.push(whole.clone()));
    assert_eq!(body.finish().as_ptr(), whole.as_ptr(), "one piece is not copied");
    let mut body = Collector::new(10);
    assert!(body.push("one ".into()) && body.push_slice(b"two") && !body.push("four".into()));
    assert!(body.push("six".into()));
    assert_eq!(body.finish(), "one twosix");
    let mut body = Collector::new(0);
    assert!(!body.push("y".into()) && body.push(Bytes::new()));
    assert_eq!(body.finish(), "");
}
