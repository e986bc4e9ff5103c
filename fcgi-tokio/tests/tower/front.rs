//! What holds behind every web server.

use core::net::SocketAddr;

use fcgi_test_support::WebServer;
use fcgi_test_support::http::{Connection, Request};
use md5::{Digest, Md5};

use crate::app::{App, BIG_LEN, PIECE, digest};

fn hash_of(body: &[u8]) -> String {
    digest(body.len(), Md5::new_with_prefix(body))
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * at % 251).expect("a byte")).collect()
}

/// What a web server can do.
#[derive(Clone, Copy)]
pub(crate) struct Front {
    /// Sends on a body when the answer has begun.
    pub(crate) is_duplex: bool,
    /// Passes bodies of unknown length on, or buffers them.
    pub(crate) takes_chunked: bool,
    /// Always breaks its answer off when the application's breaks off.
    pub(crate) tells_cuts: bool,
}

impl Front {
    pub(crate) const NGINX: Self = Self { is_duplex: false, takes_chunked: true, tells_cuts: true };
    pub(crate) const APACHE: Self = Self { is_duplex: true, takes_chunked: true, tells_cuts: true };
    pub(crate) const HAPROXY: Self =
        Self { is_duplex: true, takes_chunked: false, tells_cuts: true };
    pub(crate) const LIGHTTPD: Self =
        Self { is_duplex: true, takes_chunked: true, tells_cuts: false };
}

pub(crate) fn check(server: &WebServer, front: Front) {
    let to = server.address();
    responses(to);
    bodies(to, front);
    let cut = Request::get("/broken").send(to);
    assert_eq!(cut.status, 200);
    assert!(!cut.is_complete() || !front.tells_cuts, "a part passed for the whole");
    // The web server may wait for the rest of the first buffer, and so never send a head.
    let short = Request::get("/short").header("Connection", "close").send(to);
    assert!(short.status == 200 || short.status >= 500);
    let panic = Request::get("/panic").send(to);
    assert_eq!((panic.status, &*panic.text()), (500, "Internal Server Error\n"));
    assert_eq!(Request::get("/hello").send(to).text(), "Hello");
    assert!(server.log().contains("handler panicked: a handler's own fault"), "{}", server.log());
    assert!(server.log().contains("the source broke"), "{}", server.log());
}

fn responses(to: SocketAddr) {
    let hello = Request::get("/hello").send(to);
    assert_eq!((hello.status, &*hello.text()), (200, "Hello"));
    assert_eq!(hello.header("content-type"), Some("text/plain; charset=utf-8"));
    let head = Request::new("HEAD", "/hello").send(to);
    assert_eq!((head.status, head.body.len()), (200, 0));
    // Apache leaves it out.
    assert!(matches!(head.header("content-length"), Some("5") | None), "{head:?}");
    let redirect = Request::get("/redirect").send(to);
    assert_eq!(redirect.status, 303);
    assert!(redirect.header("location").is_some_and(|to| to.ends_with("/hello?from=redirect")));
    let created = Request::get("/created").send(to);
    assert_eq!((created.status, &*created.text()), (201, "new"));
    let missing = Request::get("/nothing").send(to);
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    assert_eq!(Request::get("/empty").send(to).status, 204);
    assert_eq!(Request::post("/hello").send(to).status, 405);
    let cookies = Request::get("/cookies").header("Cookie", "x=1").header("Cookie", "y=2").send(to);
    assert_eq!(cookies.all("set-cookie").collect::<Vec<_>>(), ["a=1; Path=/", "b=2"]);
    let joined = cookies.text().replace(", ", "; ");
    assert_eq!(joined, "x=1; y=2");
    assert_eq!(Request::get("/app/inside?x").send(to).text(), "/inside");
    let facts = Request::get("/facts?a=%20b&c").send(to).text();
    assert!(facts.starts_with("GET /facts?a=%20b&c HTTP/1.1 length="), "{facts}");
    assert!(facts.contains("client=127.0.0.1 software="), "{facts}");
}

pub(crate) fn bodies(to: SocketAddr, front: Front) {
    let big = Request::get("/big").send(to);
    assert!(big.is_complete());
    assert_eq!(hash_of(&big.body), hash_of(&PIECE.repeat(BIG_LEN / PIECE.len())));
    for len in [0, 1, 70_000, 3_000_000] {
        let body = body(len);
        let plain = Request::post("/hash").body(body.clone()).send(to);
        assert_eq!(plain.text(), hash_of(&body), "{len} bytes");
        let chunked = Request::post("/hash").body(body.clone()).chunked(5000);
        if front.takes_chunked {
            assert_eq!(chunked.send(to).text(), hash_of(&body), "{len} bytes in chunks");
        }
        if len > 100_000 && !front.is_duplex {
            // nginx sends no more of a body once the answer has begun.
            continue;
        }
        let echo = Request::post("/echo").body(body.clone()).send(to);
        assert!(echo.is_complete());
        assert_eq!(hash_of(&echo.body), hash_of(&body), "{len} bytes there and back");
    }
}

/// A client that leaves while the application works on an answer, and one that leaves amid the answer.
pub(crate) fn check_aborts(server: &WebServer, app: &mut App, notices_while_waiting: bool) {
    if notices_while_waiting {
        let mut waiting = Connection::open(server.address());
        waiting.send_raw(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
        // A client that leaves earlier may never be heard of.
        assert_eq!(app.event(), "asked to wait");
        drop(waiting);
        assert_eq!(app.event(), "dropped while waiting");
    }
    let mut reading = Request::get("/drip").start(server.address());
    assert!(!reading.more().is_empty());
    drop(reading);
    assert_eq!(app.event(), "dropped while dripping");
}
