//! The central things once more on async-std, with its sockets, files and tasks.

#[path = "common/wait.rs"]
mod wait;

use std::io;
use std::time::{Duration, Instant};

use async_std::channel::bounded;
use async_std::io::{Cursor, ReadExt, repeat};
use async_std::os::unix::net::UnixStream;
use async_std::task::{self, block_on};
use fcgi_async_std::server::{Request as Incoming, Server};
use fcgi_async_std::{
    Address, Body, Client, ErrorKind, Listener, Phase, Pool, PoolConfig, Request, Timeouts,
};
use fcgi_test_support::{PhpFpm, Scripts, pattern};
use wait::wait_until;

fn client(fpm: &PhpFpm) -> Client {
    Client::new(fpm.address().parse().expect("an address"))
}

#[test]
fn calls_over_both_kinds_of_socket() {
    let scripts = Scripts::new();
    let greeter = scripts.path("greeter.php");
    for fpm in [PhpFpm::builder().listen_tcp().start(), PhpFpm::builder().listen_unix().start()] {
        block_on(async {
            let form = [("who", "async-std")];
            let body = fcgi_async_std::call(fpm.address(), &greeter, form).await.unwrap();
            assert_eq!(body, "Hello async-std");
        });
    }
}

#[test]
fn upload_and_download_cross() {
    const SIZE: u64 = 16 * 1024 * 1024;
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).listen_unix().start();
    block_on(async {
        let request = Request::post(scripts.path("answer-first.php?mib=16"))
            .content_type("application/octet-stream")
            .body(Body::reader(repeat(b'u').take(SIZE), Some(SIZE)));
        let mut response = client(&fpm).execute(request).await.unwrap();
        let mut count = 0;
        while let Some(chunk) = response.chunk().await.unwrap() {
            count += chunk.len() as u64;
        }
        assert!(count > SIZE, "{count} bytes came");
        assert!(response.body_mut().end().expect("the end came").is_body_sent);
    });
}

#[test]
fn a_file_comes_back_through_a_reader() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("upload");
    std::fs::write(&path, pattern(300_000)).expect("it can be written");
    block_on(async {
        let file = async_std::fs::File::open(&path).await.expect("it is there");
        let request = Request::post(scripts.path("echo.php"))
            .content_type("application/octet-stream")
            .body(Body::reader(file, Some(300_000)));
        let (_, mut body) = client(&fpm).execute(request).await.unwrap().into_parts();
        let mut bytes = Cursor::new(Vec::new());
        async_std::io::copy(&mut body, &mut bytes).await.unwrap();
        assert!(bytes.into_inner() == pattern(300_000));
    });
}

#[test]
fn a_limit_fires() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let limits = Timeouts::NONE.with_first_byte(Duration::from_millis(100));
    let error = block_on(
        client(&fpm).timeouts(limits).call(Request::get(scripts.path("sleep.php?ms=60000"))),
    )
    .unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::FirstByte)));
}

#[test]
fn a_pool_is_shared_by_tasks_and_closes_what_idles() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(4).start();
    let address: Address = fpm.address().parse().expect("an address");
    let config = PoolConfig::default().max_connections(8).queue_timeout(None);
    let pool = Pool::new([address], config.idle_timeout(Duration::from_millis(500)))
        .timeouts(Timeouts::default().with_queue(None));
    let script = scripts.path("sleep.php?ms=50");
    block_on(async {
        let started = Instant::now();
        let calls = (0..80).map(|_| {
            let (pool, request) = (pool.clone(), Request::get(&script));
            task::spawn(async move { pool.call(request).await })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap().body(), "slept 50");
        }
        assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
        wait_until(|| pool.metrics().pool.connections == 0).await;
    });
}

#[test]
fn what_idles_is_closed_though_nobody_runs() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let address: Address = fpm.address().parse().expect("an address");
    let config = PoolConfig::default().idle_timeout(Duration::from_millis(50));
    let pool = Pool::new([address], config);
    // An executor that knows nothing of the reactor, and that is gone afterwards.
    smol::future::block_on(pool.call(Request::get(scripts.path("zero.php")))).unwrap();
    let started = Instant::now();
    while pool.metrics().pool.connections > 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "it is never closed");
        std::thread::sleep(Duration::from_millis(2));
    }
}

async fn echo(mut request: Incoming) -> io::Result<u32> {
    request.stdout.write("Content-Type: text/plain\r\n\r\n").await?;
    async_std::io::copy(&mut request.stdin, &mut request.stdout).await?;
    Ok(0)
}

#[test]
fn an_application_on_its_threads() {
    block_on(async {
        let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_address().expect("it has one");
        let (stop, stopped) = bounded::<()>(1);
        let server = Server::new(echo)
            .spawn_with(|connection| drop(task::spawn(connection)))
            .graceful_shutdown(async move { stopped.recv().await });
        let server = task::spawn(server.serve(listener));
        let pool = Pool::new([address], PoolConfig::default());
        let requests = (0..50).map(|i| Request::post("/x").body(pattern(i * 1000)));
        for (i, result) in pool.join_ordered(requests).await.into_iter().enumerate() {
            assert!(*result.unwrap().body() == pattern(i * 1000), "request {i}");
        }
        stop.try_send(()).expect("it waits for this");
        server.await.expect("no error");
    });
}

#[test]
fn a_connection_of_its_own() {
    block_on(async {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let server = task::spawn(Server::new(echo).serve_connection(theirs));
        let mut request = b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0".to_vec();
        request.extend(b"\x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\x02\0\0hi\x01\x05\0\x01\0\0\0\0");
        async_std::io::WriteExt::write_all(&mut ours, &request).await.expect("it is taken");
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.expect("the answer and the end");
        assert!(answer.windows(2).any(|bytes| bytes == b"hi"), "{answer:?}");
        drop(ours);
        server.await.expect("no error");
    });
}
