//! Connections that rest between requests, whose buffers are gone meanwhile.

use core::time::Duration;

use fcgi_gateway::server::Config;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::certificate::Certificate;
use crate::support::{LIMIT, Running, SHORT, read_until, rest};

/// Every connection rests as soon as it is answered.
fn restless() -> Config {
    Config::default().rest_time(Duration::ZERO)
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str, answer: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    read_until(stream, answer).await;
}

#[tokio::test]
async fn each_request_finds_its_connection_as_it_was() {
    let server = Running::start(restless()).await;
    let mut plain = server.connect().await;
    let certificate = Certificate::new();
    let secure = certificate.server(restless()).await;
    let mut secure = certificate.connect(&secure, &["http/1.1"]).await;
    for _ in 0..20 {
        ask(&mut plain, "/seen", "HTTP/1.1 https=false remote=127.0.0.1").await;
        ask(&mut secure, "/seen", "HTTP/1.1 https=true remote=127.0.0.1").await;
        let post = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        plain.write_all(post).await.unwrap();
        read_until(&mut plain, "0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn what_came_too_early_is_not_lost() {
    let server = Running::start(restless()).await;
    let mut stream = server.connect().await;
    // The second head is cut at each of its bytes, and its first part comes with the first request.
    let second = "GET /seen HTTP/1.1\r\nHost: x\r\n\r\n";
    for cut in 1..second.len() {
        let (early, late) = second.split_at(cut);
        let first = format!("GET /early HTTP/1.1\r\nHost: x\r\n\r\n{early}");
        stream.write_all(first.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\nearly").await;
        tokio::task::yield_now().await;
        stream.write_all(late.as_bytes()).await.unwrap();
        read_until(&mut stream, "remote=127.0.0.1").await;
    }
}

#[tokio::test]
async fn a_body_that_nobody_read_is_no_request() {
    let server = Running::start(restless().idle_time(SHORT)).await;
    let smuggled = "GET /seen HTTP/1.1\r\nHost: x\r\n\r\n";
    for framing in [
        format!("Content-Length: {}\r\n\r\n", smuggled.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", smuggled.len()),
    ] {
        let mut stream = server.connect().await;
        let head = format!("POST /early HTTP/1.1\r\nHost: x\r\n{framing}");
        stream.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut stream, "early").await;
        // What becomes of the connection is its own matter: it may be closed.
        let _ = stream.write_all(smuggled.as_bytes()).await;
        assert_eq!(rest(&mut stream).await, "", "{framing:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_read_behind_the_answer_is_no_request() {
    let server = Running::start(restless()).await;
    let smuggled = "GET /seen HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let length = smuggled.len();
        let head = format!("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut stream, "early").await;
        stream.write_all(smuggled.as_bytes()).await.unwrap();
        stream.write_all(b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.contains("content-length: 0\r\n"), "of the body: {answer}");
    }
}

#[tokio::test]
async fn their_times_go_on() {
    let config = restless().idle_time(SHORT);
    let server = Running::start(config).await;
    let mut stream = server.connect().await;
    ask(&mut stream, "/early", "early").await;
    assert_eq!(rest(&mut stream).await, "", "idle for too long");

    let server = Running::start(restless().head_time(SHORT)).await;
    let mut stream = server.connect().await;
    ask(&mut stream, "/early", "early").await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(rest(&mut stream).await, "", "the head does not come");
}

#[tokio::test]
async fn a_stop_ends_them_at_once() {
    let config = restless().drain_time(LIMIT).grace_time(LIMIT);
    let mut server = Running::start(config).await;
    let mut stream = server.connect().await;
    ask(&mut stream, "/early", "early").await;
    server.stop();
    server.ended().await;
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let mut server = Running::start(restless().max_connections(core::num::NonZeroUsize::MIN)).await;
    for _ in 0..5 {
        // There is room for one, so that the one before must have gone.
        let mut stream = server.connect().await;
        ask(&mut stream, "/early", "early").await;
        stream.shutdown().await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }
    server.stop();
    server.ended().await;
}
