//! The pool with connections that requests share, before our own server.

#[path = "common/timeout.rs"]
mod timeout;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fcgi_async_std::server::{self, OutputError};
use fcgi_async_std::{
    Address, Error, ErrorKind, Listener, Phase, Pool, PoolConfig, Request, Server, Timeouts,
};
use fcgi_proto::pool::Negotiate;
use fcgi_test_support::{PhpFpm, Scripts};
use smol::{Timer, block_on, spawn};
use tempfile::TempDir;
use timeout::timeout;

/// Answers with its body, piece by piece.
async fn echo(mut request: server::Request) -> Result<u32, OutputError> {
    request.stdout.write("Content-Type: text/plain\r\n\r\n").await?;
    while let Ok(Some(chunk)) = request.stdin.chunk().await {
        request.stdout.write(chunk).await?;
    }
    Ok(0)
}

/// Sends as many bytes as the query says, and counts them.
async fn big(mut request: server::Request, sent: Arc<AtomicUsize>) -> Result<u32, OutputError> {
    let mut left: usize =
        request.param("QUERY_STRING").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.stdout.write("A: b\r\n\r\n").await?;
    while left > 0 {
        let count = left.min(16 * 1024);
        request.stdout.write(vec![b'x'; count]).await?;
        sent.fetch_add(count, Ordering::Relaxed);
        left -= count;
    }
    Ok(0)
}

async fn serve() -> (Address, TempDir) {
    serve_with(echo).await
}

async fn serve_with<F>(
    handler: impl Fn(server::Request) -> F + Send + Sync + 'static,
) -> (Address, TempDir)
where
    F: Future<Output = Result<u32, OutputError>> + Send + 'static,
{
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock").to_str().expect("UTF-8").to_owned();
    let listener = Listener::bind(Address::unix(&path)).await.expect("a socket");
    spawn(async move { Server::new(handler).serve(listener).await }).detach();
    (Address::unix(&path), folder)
}

fn shared(address: Address, connections: usize) -> Pool {
    let config = PoolConfig::default().max_connections(connections).queue_timeout(None);
    let config = config.multiplex(NonZeroU16::new(16).expect("not 0"));
    let limits = Timeouts::default().with_queue(None);
    Pool::new([address], config).timeouts(limits)
}

fn post(body: Vec<u8>) -> Request {
    Request::post("/app").body(body)
}

#[test]
fn many_requests_share_one_connection() {
    block_on(async {
        let (address, _folder) = serve().await;
        let pool = shared(address, 1);
        let mut tasks = Vec::new();
        for number in 0..50_u8 {
            let pool = pool.clone();
            tasks.push(spawn(async move { pool.call(post(vec![number; 10_000])).await }));
        }
        for (task, number) in tasks.into_iter().zip(0..) {
            assert_eq!(task.await.expect("an answer").body(), &vec![number; 10_000]);
        }
        let metrics = pool.metrics().pool;
        assert_eq!((metrics.dials, metrics.idle, metrics.in_flight), (1, 1, 0), "{metrics:?}");
    });
}

#[test]
fn a_slow_consumer_is_bounded_and_given_up_when_it_stalls_others() {
    block_on(async {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let (address, _folder) = serve_with(move |request| {
            let is_slow = request.param("QUERY_STRING") == Some("100000000");
            big(request, if is_slow { Arc::clone(&count) } else { Arc::default() })
        })
        .await;
        let pool = shared(address, 1);
        let timeouts = Timeouts::default().with_idle(Duration::from_millis(200));
        let request = Request::get("/app?100000000").timeouts(timeouts);
        let mut slow = pool.execute(request).await.expect("a head");
        // It comes through only once the other is given up, which has waited for its consumer for so long.
        let other = pool.call(Request::get("/app?3000000")).await.expect("an answer");
        assert_eq!(other.body().len(), 3_000_000);
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < 4_000_000, "{sent} bytes for one who reads nothing");
        let error = loop {
            match slow.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("cut without an error"),
                Err(error) => break error,
            }
        };
        let told = (error.kind(), error.phase());
        assert_eq!(told, (ErrorKind::Timeout, Some(Phase::Idle)), "{error}");
        assert_eq!(pool.metrics().pool.dials, 1);
    });
}

#[test]
fn random_cancels_do_not_mix_answers() {
    block_on(async {
        let (address, _folder) = serve().await;
        let pool = shared(address, 2);
        let mut tasks = Vec::new();
        for number in 0..1000_u32 {
            let pool = pool.clone();
            tasks.push(spawn(async move {
                let len = usize::try_from(number * 7919 % 50_000).expect("small") & !3;
                let body = number.to_be_bytes().repeat(len / 4);
                let whole = check(&pool, &body);
                if number % 4 == 0 {
                    let limit = Duration::from_micros(u64::from(number * 97 % 5_000));
                    let _ = timeout(limit, whole).await;
                } else {
                    whole.await.expect("an answer");
                }
            }));
        }
        for task in tasks {
            task.await;
        }
        let metrics = pool.metrics().pool;
        assert_eq!((metrics.in_flight, metrics.waiting), (0, 0), "{metrics:?}");
    });
}

async fn check(pool: &Pool, body: &[u8]) -> Result<(), Error> {
    let mut response = pool.execute(post(body.to_vec())).await?;
    let mut at = 0;
    while let Some(chunk) = response.chunk().await? {
        assert_eq!(body.get(at..at + chunk.len()), Some(&chunk[..]), "another's bytes at {at}");
        at += chunk.len();
    }
    assert_eq!(at, body.len());
    Ok(())
}

#[test]
fn d11_php_fpm_says_no_and_is_used_as_ever() {
    block_on(async {
        let scripts = Scripts::new();
        let fpm = PhpFpm::builder().workers(2).start();
        let config = PoolConfig::default().negotiate(Negotiate::Throwaway).max_connections(4);
        let address: Address = fpm.address().parse().expect("an address");
        let pool = Pool::new([address], config);
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let (pool, request) = (pool.clone(), Request::get(scripts.path("greeter.php?who=you")));
            tasks.push(spawn(async move { pool.call(request).await }));
        }
        for task in tasks {
            assert_eq!(task.await.expect("an answer").body(), "Hello you");
        }
    });
}

#[test]
fn d11_an_application_that_says_yes_is_shared() {
    block_on(async {
        for negotiate in [Negotiate::Throwaway, Negotiate::Inline] {
            let (address, _folder) = serve().await;
            let config = PoolConfig::default().negotiate(negotiate);
            let pool = Pool::new([address], config);
            pool.call(post(vec![1])).await.expect("an answer");
            let first = pool.execute(post(vec![2])).await.expect("a head");
            let second = pool.execute(post(vec![3])).await.expect("a head");
            let metrics = pool.metrics().pool;
            assert_eq!(metrics.connections, 1, "{negotiate:?}: {metrics:?}");
            drop((first, second));
        }
    });
}

/// The application takes nothing before it can write, and we read nothing before the consumer has taken something: when he
/// does, both go on.
#[test]
fn a_slow_consumer_of_an_echo_gets_all_of_it() {
    block_on(async {
        let (address, _folder) = serve().await;
        let pool = shared(address, 1);
        let body = vec![b'x'; 4 << 20];
        let mut response = pool.execute(post(body.clone())).await.expect("a head");
        let mut received = Vec::new();
        loop {
            // Time for everything on the way to fill up, most often.
            Timer::after(Duration::from_millis(2)).await;
            let chunk = timeout(Duration::from_secs(30), response.chunk()).await;
            let Some(chunk) = chunk.expect("it goes on").expect("no error") else { break };
            received.extend(chunk);
        }
        assert!(received == body);
    });
}
