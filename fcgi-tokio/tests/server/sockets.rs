//! The application server on real sockets: listening, limits of connections, and the end.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::io;
use std::path::Path;

use crate::support::Peer;
use fcgi_tokio::Address;
use fcgi_tokio::server::{Listener, Request, Server, serve};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

async fn hello(mut request: Request) -> io::Result<u32> {
    request.stdout.write("Content-Type: text/plain\r\n\r\nHello").await?;
    Ok(0)
}

const HELLO: &str = "Content-Type: text/plain\r\n\r\nHello";
const LOCAL: &str = "127.0.0.1:0";

async fn local() -> (Listener, (Ipv4Addr, u16)) {
    let listener = Listener::bind(LOCAL).await.expect("a free port");
    match listener.local_address().expect("it has one") {
        Address::Tcp { port, .. } => (listener, (Ipv4Addr::LOCALHOST, port)),
        other => panic!("{other}"),
    }
}

async fn connect(address: (Ipv4Addr, u16)) -> TcpStream {
    TcpStream::connect(address).await.expect("it listens")
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::Builder::new().prefix("fcgi-").tempdir().expect("a folder can be made");
    let path = folder.path().join("app.sock").to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[tokio::test]
async fn tcp_with_and_without_keep_conn() {
    let (listener, address) = local().await;
    tokio::spawn(serve(listener, hello));
    let mut peer = Peer::new(connect(address).await, true);
    for _ in 0..3 {
        let key = peer.get(&[]);
        peer.answer(key).await.is(HELLO, 0);
    }
    let mut peer = Peer::new(connect(address).await, false);
    let key = peer.get(&[]);
    peer.answer(key).await.is(HELLO, 0);
    peer.eof().await;
}

#[tokio::test]
async fn an_answer_reaches_a_web_server_that_is_still_sending() {
    let (listener, address) = local().await;
    tokio::spawn(serve(listener, hello));
    let mut peer = Peer::new(connect(address).await, false);
    let key = peer.begin(&[]);
    // More than the sockets hold, so that the answer comes amid it; and then nothing has been lost.
    let body = vec![b'x'; 4 << 20];
    for piece in body.chunks(1 << 16) {
        let Some(mut request) = peer.conn.request(key) else { break };
        let _ = request.stdin_slice(piece);
        peer.step().await;
    }
    peer.answer(key).await.is(HELLO, 0);
    peer.eof().await;
}

#[tokio::test]
async fn a_unix_socket() {
    let (_folder, path) = folder();
    let listener = Listener::bind(format!("unix:{path}")).await.expect("it can be made");
    assert_eq!(listener.local_address().expect("it has one"), Address::unix(&path));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::new(hello).graceful_shutdown(stopped);
    let server = tokio::spawn(server.serve(listener));
    let mut peer = Peer::new(UnixStream::connect(&path).await.expect("it listens"), false);
    let key = peer.get(&[]);
    peer.answer(key).await.is(HELLO, 0);
    peer.eof().await;
    drop(peer);
    stop.send(()).expect("it waits for this");
    server.await.expect("no panic").expect("no error");
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn a_socket_file_that_is_left_over_is_replaced() {
    let (_folder, path) = folder();
    // Dropping it leaves the file.
    drop(UnixListener::bind(&path).expect("it can be made"));
    let listener = Listener::bind(path.as_str()).await.expect("nobody listens there");
    let error = Listener::bind(path.as_str()).await.expect_err("now somebody does");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&path), "{error}");
    drop(listener);
    std::fs::write(&path, "a file").expect("it can be written");
    let error = Listener::bind(path.as_str()).await.expect_err("it is no socket");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path).expect("it is still there"), b"a file");
}

#[tokio::test]
async fn addresses_that_are_none() {
    for address in ["nonsense", "127.0.0.1", "http://127.0.0.1:80"] {
        let error = Listener::bind(address).await.expect_err(address);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(address), "{error}");
    }
}

// spec: S2
#[tokio::test]
async fn other_web_servers_are_turned_away() {
    let (listener, address) = local().await;
    let listener = listener.web_servers([IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7))]);
    tokio::spawn(serve(listener, hello));
    let mut peer = Peer::new(connect(address).await, true);
    peer.eof().await;

    let (listener, address) = local().await;
    let listener = listener.web_servers([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    tokio::spawn(serve(listener, hello));
    let mut peer = Peer::new(connect(address).await, true);
    let key = peer.get(&[]);
    peer.answer(key).await.is(HELLO, 0);
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let (listener, address) = local().await;
    tokio::spawn(Server::new(hello).max_connections(1).serve(listener));
    let mut first = Peer::new(connect(address).await, true);
    let key = first.get(&[]);
    first.answer(key).await.is(HELLO, 0);
    let mut second = Peer::new(connect(address).await, true);
    let key = second.get(&[]);
    // Not proof, but what would be served now would be served at once.
    let early = timeout(Duration::from_millis(100), second.answer(key)).await;
    assert!(early.is_err());
    drop(first);
    second.answer(key).await.is(HELLO, 0);
}

#[tokio::test]
async fn a_graceful_end() {
    let (listener, address) = local().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (began, mut begun) = mpsc::unbounded_channel();
    let handler = move |mut request: Request| {
        let began = began.clone();
        async move {
            let _ = began.send(());
            let body = request.stdin.collect(100).await?;
            request.stdout.write(body).await?;
            Ok::<_, io::Error>(0)
        }
    };
    let server = Server::new(handler).graceful_shutdown(stopped);
    let server = tokio::spawn(server.serve(listener));

    let mut idle = Peer::new(connect(address).await, true);
    let key = idle.get(&[]);
    idle.answer(key).await.is("", 0);
    let mut busy = Peer::new(connect(address).await, true);
    let key = busy.begin(&[]);
    busy.send(key, b"before").await;
    busy.flush().await;
    for _ in 0..2 {
        begun.recv().await.expect("the handler runs");
    }

    stop.send(()).expect("it waits for this");
    idle.eof().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!server.is_finished());
    busy.send(key, b" and after").await;
    busy.finish(key);
    busy.answer(key).await.is("before and after", 0);
    busy.eof().await;
    server.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_graceful_end_does_not_take_for_ever() {
    let (listener, address) = local().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let server =
        Server::new(hello).drain_timeout(Duration::from_millis(50)).graceful_shutdown(stopped);
    let server = tokio::spawn(server.serve(listener));
    // Parameters that never end.
    let mut peer = Peer::new(connect(address).await, true);
    peer.begin(&[]);
    let half = peer.conn.outgoing();
    let half = bytes::Buf::chunk(&half)[..20].to_vec();
    tokio::io::AsyncWriteExt::write_all(&mut peer.io, &half).await.expect("it is taken");
    stop.send(()).expect("it waits for this");
    server.await.expect("no panic").expect("no error");
}

// spec: S4
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd() {
    const CONNECTIONS: usize = 12;
    const REQUESTS: usize = 16;
    async fn echo(mut request: Request) -> io::Result<u32> {
        while let Some(chunk) = request.stdin.chunk().await? {
            tokio::task::yield_now().await;
            request.stdout.write(chunk).await?;
        }
        request.stdout.write(request.params.get("END").unwrap_or_default().to_vec()).await?;
        Ok(0)
    }
    let (listener, address) = local().await;
    tokio::spawn(serve(listener, echo));
    let connections = (0..CONNECTIONS).map(|connection| async move {
        let mut peer = Peer::new(connect(address).await, true);
        for round in 0..4 {
            let mut open = Vec::new();
            for request in 0..REQUESTS {
                let end = format!("{connection}/{round}/{request}");
                let key = peer.begin(&[("END", &end)]);
                open.push((key, end));
            }
            for (step, (key, _)) in open.iter().cycle().take(REQUESTS * 5).enumerate() {
                peer.send(*key, &vec![b'x'; step * 37]).await;
            }
            for (index, (key, end)) in open.into_iter().enumerate() {
                if (connection + index) % 5 == 0 {
                    peer.conn.request(key).expect("it is open").abort();
                    continue;
                }
                peer.finish(key);
                let answer = peer.answer(key).await;
                let len: usize = (0..5).map(|turn| (turn * REQUESTS + index) * 37).sum();
                assert_eq!(answer.stdout.len(), len + end.len());
                assert!(answer.stdout.ends_with(end.as_bytes()), "{end}");
            }
        }
    });
    let mut tasks = tokio::task::JoinSet::from_iter(connections);
    while let Some(result) = tasks.join_next().await {
        result.expect("every connection is served");
    }
}
