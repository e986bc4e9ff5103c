//! The end of a server.

use core::time::Duration;

use fcgi_gateway::server::Config;
use tokio::io::AsyncWriteExt;

use crate::support::{LIMIT, Running, SHORT, get, http2, read_until, rest};

/// Nothing here may wait for these to pass.
fn patient() -> Config {
    Config::default().drain_time(LIMIT).grace_time(LIMIT)
}

#[tokio::test]
async fn idle_connections_end_at_once() {
    let mut server = Running::start(patient()).await;
    let mut silent = server.connect().await;
    let mut used = server.connect().await;
    used.write_all(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut used, "early").await;
    let mut client = http2(server.connect().await).await;
    get(&mut client, "http://x/early").await;
    server.stop();
    server.ended().await;
    assert_eq!((rest(&mut silent).await, rest(&mut used).await), (String::new(), String::new()));
}

#[tokio::test]
async fn half_a_request_gets_a_short_grace() {
    let mut server = Running::start(patient().grace_time(SHORT)).await;
    let mut head = server.connect().await;
    head.write_all(b"GET /early HTTP/1.1\r\nHos").await.unwrap();
    let mut body = server.connect().await;
    body.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    read_until(&mut body, "half").await;
    server.stop();
    server.ended().await;
    assert_eq!((rest(&mut head).await, rest(&mut body).await), (String::new(), String::new()));
}

#[tokio::test]
async fn answers_under_way_may_end() {
    let mut server = Running::start(patient()).await;
    let mut sending = server.connect().await;
    sending
        .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    read_until(&mut sending, "half").await;
    // More than the buffers on the way hold.
    let mut reading = server.connect().await;
    reading.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut reading, "200 OK").await;
    server.stop();
    sending.write_all(b" whole").await.unwrap();
    assert!(rest(&mut sending).await.ends_with(" whole"));
    assert!(rest(&mut reading).await.len() > 60 << 20);
    server.ended().await;
}

#[tokio::test]
async fn nobody_waits_longer_than_the_drain_time() {
    let mut server = Running::start(patient().drain_time(SHORT)).await;
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut other = server.connect().await;
    other.write_all(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut other, "early").await;
    server.stop();
    server.ended().await;
    assert_eq!(rest(&mut waiting).await, "");
}

#[tokio::test]
async fn a_dropped_server_cuts_everything() {
    let server = Running::start(patient()).await;
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let address = server.address;
    server.abort().await;
    assert_eq!(rest(&mut waiting).await, "");
    let refused =
        tokio::time::timeout(Duration::from_secs(60), tokio::net::TcpStream::connect(address));
    assert!(refused.await.unwrap().is_err());
}
