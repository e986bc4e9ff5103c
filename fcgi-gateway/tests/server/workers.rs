//! Connections on threads of their own.

use core::num::NonZeroUsize;
use std::collections::BTreeMap;
use std::thread;

use axum::Router;
use axum::routing::any;
use fcgi_gateway::server::{Config, Listener, Server, Workers};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{LIMIT, Running, read_until, rest};

fn workers(count: usize) -> Workers {
    Workers::start(NonZeroUsize::new(count).unwrap()).unwrap()
}

/// Tells the thread that serves, or never answers.
fn service() -> Router {
    Router::new()
        .route("/thread", any(|| async { format!("<{}>", thread::current().name().unwrap()) }))
        .route("/never", any(|| async { core::future::pending::<&str>().await }))
}

async fn start(workers: &Workers, config: Config) -> Running {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::new(listener).config(config).workers(workers);
    Running::with(server, service())
}

/// A client, and the thread that serves it.
async fn client(server: &Running) -> (TcpStream, String) {
    let mut stream = server.connect().await;
    let thread = ask(&mut stream).await;
    (stream, thread)
}

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /thread HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = read_until(stream, ">").await;
    answer.split(['<', '>']).nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn each_has_as_many_clients_and_keeps_them() {
    let workers = workers(3);
    let server = start(&workers, Config::default()).await;
    let mut clients = Vec::new();
    for _ in 0..9 {
        clients.push(client(&server).await);
    }
    let mut counts = BTreeMap::<_, usize>::new();
    for (_, thread) in &clients {
        *counts.entry(thread.as_str()).or_default() += 1;
    }
    let expected = ["worker-0", "worker-1", "worker-2"].map(|name| (name, 3));
    assert_eq!(Vec::from_iter(counts), expected);
    for (stream, thread) in &mut clients {
        assert_eq!(ask(stream).await, *thread);
    }
    // The one that has lost its own gets the next.
    let lost = clients[0].1.clone();
    clients.retain(|(_, thread)| *thread != lost);
    tokio::time::timeout(LIMIT, async { while client(&server).await.1 != lost {} }).await.unwrap();
}

#[tokio::test]
async fn a_stop_waits_for_answers_on_all_threads_and_cuts_what_takes_too_long() {
    let workers = workers(2);
    let config = Config::default().drain_time(core::time::Duration::from_millis(100));
    let mut server = start(&workers, config).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut stream = client(&server).await.0;
        stream.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        clients.push(stream);
    }
    server.stop();
    server.ended().await;
    for mut stream in clients {
        assert_eq!(rest(&mut stream).await, "");
    }
}

#[tokio::test]
async fn the_limit_of_clients_is_for_all_threads_together() {
    let workers = workers(2);
    let two = NonZeroUsize::new(2).unwrap();
    let server = start(&workers, Config::default().max_connections(two)).await;
    let clients = [client(&server).await, client(&server).await];
    // Those before are idle: the one that is so longest makes room.
    let newcomer = client(&server).await;
    let mut open = 0;
    for (mut stream, _) in clients {
        let request = b"GET /thread HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(request).await;
        open += usize::from(!rest(&mut stream).await.is_empty());
    }
    assert_eq!(open, 1);
    drop(newcomer);
}

#[tokio::test]
async fn threads_that_end_cut_their_clients() {
    let workers = workers(2);
    let mut server = start(&workers, Config::default()).await;
    let (mut stream, _) = client(&server).await;
    tokio::task::spawn_blocking(|| drop(workers)).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    // Who comes later is not served, and no harm comes of it.
    let late = server.connect().await;
    drop(late);
    server.stop();
    server.ended().await;
}
