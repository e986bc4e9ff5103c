//! The application server on real sockets: listening, limits of connections, and the end.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::io;
use std::path::Path;
use std::sync::Once;

use crate::support::Peer;
use fcgi_async_std::Address;
use fcgi_async_std::server::{Listener, Request, Server, serve};
use smol::channel::{Receiver, bounded, unbounded};
use smol::future::pending;
use smol::io::AsyncWriteExt;
use smol::net::TcpStream;
use smol::net::unix::{UnixListener, UnixStream};
use smol::{Executor, block_on};

use crate::timeout::timeout;

async fn hello(mut request: Request) -> io::Result<u32> {
    request.stdout.write("Content-Type: text/plain\r\n\r\nHello").await?;
    Ok(0)
}

async fn told(stopped: Receiver<()>) {
    let _ = stopped.recv().await;
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

#[test]
fn tcp_with_and_without_keep_conn() {
    block_on(async {
        let (listener, address) = local().await;
        smol::spawn(serve(listener, hello)).detach();
        let mut peer = Peer::new(connect(address).await, true);
        for _ in 0..3 {
            let key = peer.get(&[]);
            peer.answer(key).await.is(HELLO, 0);
        }
        let mut peer = Peer::new(connect(address).await, false);
        let key = peer.get(&[]);
        peer.answer(key).await.is(HELLO, 0);
        peer.eof().await;
    });
}

#[test]
fn an_answer_reaches_a_web_server_that_is_still_sending() {
    block_on(async {
        let (listener, address) = local().await;
        smol::spawn(serve(listener, hello)).detach();
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
    });
}

#[test]
fn a_unix_socket() {
    block_on(async {
        let (_folder, path) = folder();
        let listener = Listener::bind(format!("unix:{path}")).await.expect("it can be made");
        assert_eq!(listener.local_address().expect("it has one"), Address::unix(&path));
        let (stop, stopped) = bounded(1);
        let server = Server::new(hello).graceful_shutdown(told(stopped));
        let server = smol::spawn(server.serve(listener));
        let mut peer = Peer::new(UnixStream::connect(&path).await.expect("it listens"), false);
        let key = peer.get(&[]);
        peer.answer(key).await.is(HELLO, 0);
        peer.eof().await;
        drop(peer);
        stop.try_send(()).expect("it waits for this");
        server.await.expect("no error");
        assert!(!Path::new(&path).exists());
    });
}

#[test]
fn a_socket_file_that_is_left_over_is_replaced() {
    block_on(async {
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
    });
}

#[test]
fn addresses_that_are_none() {
    block_on(async {
        for address in ["nonsense", "127.0.0.1", "http://127.0.0.1:80"] {
            let error = Listener::bind(address).await.expect_err(address);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(address), "{error}");
        }
    });
}

#[test]
fn other_web_servers_are_turned_away() {
    block_on(async {
        let (listener, address) = local().await;
        let listener = listener.web_servers([IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7))]);
        smol::spawn(serve(listener, hello)).detach();
        let mut peer = Peer::new(connect(address).await, true);
        peer.eof().await;

        let (listener, address) = local().await;
        let listener = listener.web_servers([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        smol::spawn(serve(listener, hello)).detach();
        let mut peer = Peer::new(connect(address).await, true);
        let key = peer.get(&[]);
        peer.answer(key).await.is(HELLO, 0);
    });
}

#[test]
fn more_connections_than_allowed_wait() {
    block_on(async {
        let (listener, address) = local().await;
        smol::spawn(Server::new(hello).max_connections(1).serve(listener)).detach();
        let mut first = Peer::new(connect(address).await, true);
        let key = first.get(&[]);
        first.answer(key).await.is(HELLO, 0);
        let mut second = Peer::new(connect(address).await, true);
        let key = second.get(&[]);
        // Not proof, but what would be served now would be served at once.
        let early = timeout(Duration::from_millis(100), second.answer(key)).await;
        assert!(early.is_none());
        drop(first);
        second.answer(key).await.is(HELLO, 0);
    });
}

#[test]
fn a_graceful_end() {
    block_on(async {
        let (listener, address) = local().await;
        let (stop, stopped) = bounded(1);
        let (began, begun) = unbounded();
        let handler = move |mut request: Request| {
            let began = began.clone();
            async move {
                let _ = began.try_send(());
                let body = request.stdin.collect(100).await?;
                request.stdout.write(body).await?;
                Ok::<_, io::Error>(0)
            }
        };
        let server = Server::new(handler).graceful_shutdown(told(stopped));
        let server = smol::spawn(server.serve(listener));

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

        stop.try_send(()).expect("it waits for this");
        idle.eof().await;
        assert!(TcpStream::connect(address).await.is_err());
        assert!(!server.is_finished());
        busy.send(key, b" and after").await;
        busy.finish(key);
        busy.answer(key).await.is("before and after", 0);
        busy.eof().await;
        server.await.expect("no error");
    });
}

#[test]
fn a_graceful_end_does_not_take_for_ever() {
    block_on(async {
        let (listener, address) = local().await;
        let (stop, stopped) = bounded(1);
        let server = Server::new(hello)
            .drain_timeout(Duration::from_millis(50))
            .graceful_shutdown(told(stopped));
        let server = smol::spawn(server.serve(listener));
        // Parameters that never end.
        let mut peer = Peer::new(connect(address).await, true);
        peer.begin(&[]);
        let half = peer.conn.outgoing();
        let half = bytes::Buf::chunk(&half)[..20].to_vec();
        peer.io.write_all(&half).await.expect("it is taken");
        stop.try_send(()).expect("it waits for this");
        server.await.expect("no error");
    });
}

/// Four threads.
fn executor() -> &'static Executor<'static> {
    static EXECUTOR: Executor<'_> = Executor::new();
    static THREADS: Once = Once::new();
    THREADS.call_once(|| {
        for _ in 0..4 {
            std::thread::spawn(|| block_on(EXECUTOR.run(pending::<()>())));
        }
    });
    &EXECUTOR
}

#[test]
fn a_crowd_in_one_task() {
    block_on(a_crowd(false));
}

#[test]
fn a_crowd_on_four_threads() {
    block_on(a_crowd(true));
}

async fn a_crowd(is_spread: bool) {
    const CONNECTIONS: usize = 12;
    const REQUESTS: usize = 16;
    async fn echo(mut request: Request) -> io::Result<u32> {
        while let Some(chunk) = request.stdin.chunk().await? {
            smol::future::yield_now().await;
            request.stdout.write(chunk).await?;
        }
        request.stdout.write(request.params.get("END").unwrap_or_default().to_vec()).await?;
        Ok(0)
    }
    let (listener, address) = local().await;
    let mut server = Server::new(echo);
    if is_spread {
        server = server.spawn_with(|connection| executor().spawn(connection).detach());
    }
    let _server = executor().spawn(server.serve(listener));
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
    let tasks: Vec<_> = connections.map(|connection| executor().spawn(connection)).collect();
    for task in tasks {
        task.await;
    }
}

#[test]
fn dropping_the_server_ends_what_runs_elsewhere() {
    block_on(async {
        let (listener, address) = local().await;
        let server =
            Server::new(hello).spawn_with(|connection| executor().spawn(connection).detach());
        let server = smol::spawn(server.serve(listener));
        let mut peer = Peer::new(connect(address).await, true);
        let key = peer.get(&[]);
        peer.answer(key).await.is(HELLO, 0);
        drop(server);
        peer.eof().await;
    });
}
