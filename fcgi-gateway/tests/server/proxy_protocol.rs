//! Load balancers that pass bytes on, and say whose.

use fcgi_gateway::server::{Config, Listener, Server};
use fcgi_proto::cgi::TrustedProxies;
use fcgi_proto::cgi::proxies::Network;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::support::{LIMIT, Running, SHORT, rest};

const REQUEST: &str = "GET /seen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const LINE: &str = "PROXY TCP4 203.0.113.9 192.0.2.1 50000 443\r\n";

async fn server(trusted: &str, config: Config) -> Running {
    let trusted: Network = trusted.parse().unwrap();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let listener = listener.proxy_protocol(TrustedProxies::new([trusted]));
    Running::run(Server::new(listener).config(config))
}

#[tokio::test]
async fn the_client_is_who_the_load_balancer_says() {
    let server = server("127.0.0.0/8", Config::default()).await;
    let answer = server.answers(format!("{LINE}{REQUEST}")).await;
    assert!(answer.ends_with("https=false remote=203.0.113.9"), "{answer}");
    let answer = server.answers(format!("PROXY UNKNOWN\r\n{REQUEST}")).await;
    assert!(answer.ends_with("https=false remote=127.0.0.1"), "{answer}");
    // However it comes, byte by byte too.
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in format!("{LINE}{REQUEST}").as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = rest(&mut stream).await;
    assert!(answer.ends_with("remote=203.0.113.9"), "{answer}");
}

#[tokio::test]
async fn without_its_word_there_is_no_answer() {
    let server = server("127.0.0.0/8", Config::default().head_time(SHORT)).await;
    assert_eq!(server.answers(REQUEST).await, "");
    assert_eq!(server.answers("PROXY TCP4 nobody\r\n").await, "");
    // One that says nothing, or begins and does not go on.
    for beginning in ["", "PROXY TCP4 203."] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let server = server("192.0.2.0/24", Config::default()).await;
    let answer = server.answers(REQUEST).await;
    assert!(answer.ends_with("remote=127.0.0.1"), "{answer}");
    let answer = server.answers(format!("{LINE}{REQUEST}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let listener = Listener::bind_unix(&path).unwrap();
    let trusted = TrustedProxies::new([]).unix_sockets(true);
    let mut server = Running::run(Server::new(listener.proxy_protocol(trusted)));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(format!("{LINE}{REQUEST}").as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.ends_with("remote=203.0.113.9"), "{answer}");
    // One that has said nothing yet does not keep the server from its end.
    let silent = UnixStream::connect(&path).await.unwrap();
    server.stop();
    tokio::time::timeout(LIMIT, server.ended()).await.unwrap();
    drop(silent);
}
