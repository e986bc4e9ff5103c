//! What clients may take of the server.

use core::num::NonZeroUsize;
use core::time::Duration;
use std::time::Instant;

use fcgi_gateway::server::Config;
use http_body_util::Empty;
use tokio::io::AsyncWriteExt;

use crate::support::{LIMIT, Running, SHORT, get, http2, read_until, rest};

fn request(target: &str, fields: usize, value: usize) -> String {
    let fields = (0..fields)
        .map(|index| format!("X-{index}: {}\r\n", "v".repeat(value)))
        .collect::<String>();
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n")
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer:.200}");
}

#[tokio::test]
async fn heads_and_addresses() {
    let default = Running::start(Config::default()).await;
    let set = Config::default().max_head(8192).max_headers(10).max_uri(100);
    let set = Running::start(set).await;
    let path = |length: usize| format!("/seen?{}", "q".repeat(length - 6));
    for (server, request, status) in [
        (&default, request("/seen", 98, 100), 200),
        (&default, request("/seen", 99, 100), 431),
        (&default, request("/seen", 1000, 10), 431),
        (&default, request("/seen", 1, 60_000), 200),
        (&default, request("/seen", 1, 400_000), 431),
        (&default, request(&path(16 * 1024), 0, 0), 200),
        (&default, request(&path(16 * 1024 + 1), 0, 0), 414),
        (&default, request(&path(60_000), 0, 0), 414),
        (&set, request("/seen", 8, 10), 200),
        (&set, request("/seen", 9, 10), 431),
        (&set, request("/seen", 1, 60_000), 431),
        (&set, request(&path(100), 0, 0), 200),
        (&set, request(&path(101), 0, 0), 414),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_status(&read_until(&mut stream, "\r\n\r\n").await, status);
    }
}

#[tokio::test]
async fn the_same_limits_hold_for_http2() {
    let config = Config::default().max_headers(10).max_uri(100).max_head(8192);
    let server = Running::start(config).await;
    let mut client = http2(server.connect().await).await;
    let long = format!("http://x/{}", "x".repeat(100));
    assert_eq!(get(&mut client, &long).await.0, 414);
    let with = |fields: usize, length: usize| {
        let mut request = http::Request::get("http://x/seen");
        for index in 0..fields {
            request = request.header(format!("x-{index}"), "v".repeat(length));
        }
        request.body(Empty::new()).unwrap()
    };
    for (fields, length, status) in [(10, 10, 200), (11, 10, 431), (1, 9000, 431)] {
        let response = client.send_request(with(fields, length)).await.unwrap();
        assert_eq!(response.status(), status, "{fields} of {length}");
    }
}

#[tokio::test]
async fn a_slow_head_is_given_up() {
    let server = Running::start(Config::default().head_time(SHORT)).await;
    let mut slow = server.connect().await;
    let began = Instant::now();
    // Bytes that keep coming do not help.
    for byte in b"GET /seen HTTP/1.1\r\nHost: x\r\nX: ".iter().chain(core::iter::repeat(&b'y')) {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(began.elapsed() < LIMIT, "a slow head is taken for ever");
    }
    // A first request does not excuse the second.
    let mut stream = server.connect().await;
    stream.write_all(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut stream, "early").await;
    stream.write_all(b"GET /e").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Running::start(Config::default().idle_time(SHORT)).await;
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.ends_with("early"));
    let mut client = http2(server.connect().await).await;
    assert_eq!(get(&mut client, "http://x/early").await.0, 200);
    while !client.is_closed() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Who waits for an answer is not idle.
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let waited = tokio::time::timeout(3 * SHORT, rest(&mut waiting)).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn idle_connections_make_room() {
    let two = NonZeroUsize::new(2).unwrap();
    let server = Running::start(Config::default().max_connections(two)).await;
    let ask = "GET /early HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut oldest = server.connect().await;
    oldest.write_all(ask.as_bytes()).await.unwrap();
    read_until(&mut oldest, "early").await;
    let mut busy = server.connect().await;
    busy.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n").await.unwrap();
    read_until(&mut busy, "200 OK").await;
    let mut new = server.connect().await;
    new.write_all(ask.as_bytes()).await.unwrap();
    read_until(&mut new, "early").await;
    assert_eq!(rest(&mut oldest).await, "", "the idle one had to go");
    busy.write_all(b"!").await.unwrap();
    read_until(&mut busy, "!").await;
}

#[tokio::test]
async fn without_an_idle_one_newcomers_wait() {
    let one = NonZeroUsize::MIN;
    let server = Running::start(Config::default().max_connections(one)).await;
    let mut busy = server.connect().await;
    busy.write_all(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
    )
    .await
    .unwrap();
    read_until(&mut busy, "200 OK").await;
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let waited = tokio::time::timeout(SHORT, read_until(&mut waiting, "early")).await;
    assert!(waited.is_err(), "served beyond the limit");
    busy.write_all(b"!").await.unwrap();
    assert!(rest(&mut busy).await.ends_with('!'));
    read_until(&mut waiting, "early").await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let server = Running::start(Config::default().max_resets(20)).await;
    let mut client = http2(server.connect().await).await;
    let began = Instant::now();
    while !client.is_closed() {
        assert!(began.elapsed() < LIMIT, "resets are taken for ever");
        let request = http::Request::get("http://x/never").body(Empty::new()).unwrap();
        if client.ready().await.is_err() {
            break;
        }
        let answer = client.send_request(request);
        let _ = tokio::time::timeout(Duration::from_millis(5), answer).await; // and taken back
    }
    // Others are still served.
    assert_status(&server.answers(request("/early", 0, 0)).await, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let server = Running::start(Config::default().write_timeout(SHORT)).await;
    let mut lazy = server.connect().await;
    lazy.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    lazy.readable().await.unwrap();
    tokio::time::sleep(2 * SHORT).await; // the time under test
    let got = rest(&mut lazy).await.len();
    assert!(got < 64 << 20, "{got} bytes came all the same");
}
