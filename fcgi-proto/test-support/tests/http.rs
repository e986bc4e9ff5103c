//! The HTTP client reports what a server really sent.

use core::net::SocketAddr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use fcgi_test_support::http::{Connection, Cut, Request};

/// A server for one connection: reads one head and `body` bytes after it, answers `answer`, closes.
fn serve(body: usize, answer: &'static str) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head comes");
            seen.extend_from_slice(&byte);
        }
        let start = seen.len();
        seen.resize(start + body, 0);
        stream.read_exact(&mut seen[start..]).expect("a body comes");
        stream.write_all(answer.as_bytes()).expect("the client reads");
        seen
    });
    (address, server)
}

#[test]
fn a_length_a_close_and_no_body() {
    let (address, server) =
        serve(0, "HTTP/1.1 404 Not There\r\nX: 1\r\nx:  2 \r\nContent-Length: 3\r\n\r\nabc");
    let response = Request::get("/a?b").header("X-Y", "z").send(address);
    assert_eq!((response.status, response.reason.as_str()), (404, "Not There"));
    assert_eq!(response.all("X").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((response.text().as_str(), response.cut), ("abc", None));
    let seen = server.join().expect("the server ends");
    let expected =
        format!("GET /a?b HTTP/1.1\r\nHost: {address}\r\nX-Y: z\r\nConnection: close\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&seen), expected);

    let (address, _server) = serve(0, "HTTP/1.0 200\r\n\r\nuntil the end");
    let response = Request::get("/").send(address);
    assert_eq!((response.text().as_str(), response.cut), ("until the end", None));

    let (address, _server) = serve(0, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    let response = Request::new("HEAD", "/").send(address);
    assert_eq!((response.header("content-length"), response.is_complete()), (Some("3"), true));
}

#[test]
fn chunks_and_interim_heads() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: x\r\n\r\n";
    let (address, server) = serve(20, answer);
    let response = Request::post("/").body("hello").chunked(3).send(address);
    assert_eq!((response.text().as_str(), response.cut), ("abcd", None));
    let seen = server.join().expect("the server ends");
    assert!(seen.ends_with(
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    ));
}

#[test]
fn cuts_show() {
    let (address, _server) = serve(0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    let response = Request::get("/").send(address);
    assert_eq!((response.text().as_str(), response.cut), ("abc", Some(Cut::Short { missing: 6 })));

    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ] {
        let (address, _server) = serve(0, answer);
        let response = Request::get("/").send(address);
        assert_eq!(
            (response.text().as_str(), response.cut),
            ("abc", Some(Cut::NoLastChunk)),
            "{answer:?}"
        );
    }
    let (address, _server) =
        serve(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
    let response = Request::get("/").send(address);
    assert_eq!(response.cut, Some(Cut::BadChunk("no line end after a chunk".to_owned())));
}

#[test]
fn piece_by_piece_and_one_after_the_other() {
    let (address, _server) = serve(0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    let mut exchange = Request::get("/").start(address);
    assert_eq!(exchange.response().status, 200);
    let mut seen = Vec::new();
    loop {
        let more = exchange.more();
        if more.is_empty() {
            break;
        }
        seen.extend_from_slice(more);
    }
    assert_eq!(seen, b"abcd");
    assert!(exchange.finish().is_complete());

    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 204 No Content\r\n\r\n";
    let (address, _server) = serve(0, two);
    let mut connection = Connection::open(address);
    assert_eq!(connection.send(&Request::get("/1")).text(), "a");
    assert_eq!(connection.response(false).status, 204);
    assert!(connection.is_closed());
}
