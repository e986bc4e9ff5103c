//! The pool with connections that requests share: our own server, which multiplexes, and peers by script.

mod app;

use std::future::Future;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use app::{App, Reply, peer, socket};
use bytes::Bytes;
use fcgi_proto::pool::Negotiate;
use fcgi_proto::server::Config;
use fcgi_test_support::{PhpFpm, Scripts};
use fcgi_tokio::server::{self, OutputError};
use fcgi_tokio::{
    Address, Body, Error, ErrorKind, Listener, Phase, Pool, PoolConfig, Request, Server, Timeouts,
};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinSet;

fn many(requests: u16) -> NonZeroU16 {
    NonZeroU16::new(requests).expect("not 0")
}

fn shared(requests: u16) -> PoolConfig {
    PoolConfig::default().multiplex(many(requests)).max_connections(1)
}

/// Our own server with this handler; it ends with the test.
async fn serve<F>(
    config: Config,
    handler: impl Fn(server::Request) -> F + Send + Sync + 'static,
) -> (Address, TempDir)
where
    F: Future<Output = Result<u32, OutputError>> + Send + 'static,
{
    let (folder, path) = socket();
    let listener = Listener::bind(Address::unix(&path)).await.expect("a socket");
    let server = Server::new(handler).config(config);
    tokio::spawn(async move { server.serve(listener).await });
    (Address::unix(&path), folder)
}

/// Answers with its body, piece by piece.
async fn echo(mut request: server::Request) -> Result<u32, OutputError> {
    request.stdout.write("Content-Type: text/plain\r\n\r\n").await?;
    while let Ok(Some(chunk)) = request.stdin.chunk().await {
        request.stdout.write(chunk).await?;
    }
    Ok(0)
}

fn post(body: impl Into<Bytes>) -> Request {
    Request::post("/app").body(Body::from(body.into()))
}

#[tokio::test]
async fn many_requests_share_one_connection_at_once() {
    // Nobody answers before all have come: so all 20 are under way at once.
    let all = Arc::new(tokio::sync::Barrier::new(20));
    let (address, _folder) = serve(Config::default(), move |request| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            echo(request).await
        }
    })
    .await;
    let pool = Pool::new([address], shared(32));
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let pool = pool.clone();
        tasks.spawn(async move { (number, pool.call(post(format!("body {number}"))).await) });
    }
    while let Some(result) = tasks.join_next().await {
        let (number, response) = result.expect("no panic");
        assert_eq!(response.expect("an answer").body(), &format!("body {number}"));
    }
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.dials, metrics.idle, metrics.in_flight), (1, 1, 0), "{metrics:?}");
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

#[tokio::test]
async fn others_go_on_beside_a_slow_consumer() {
    let (address, _folder) = serve(Config::default(), |request| async {
        match request.param("QUERY_STRING") {
            Some("10000000" | "100000") => big(request, Arc::default()).await,
            _ => echo(request).await,
        }
    })
    .await;
    let pool = Pool::new([address], shared(32));
    // Below its window nothing pauses, whoever does not read.
    let idle = pool.execute(Request::get("/app?100000")).await.expect("a head");
    for _ in 0..3 {
        assert_eq!(pool.call(post("quick")).await.expect("an answer").body(), "quick");
    }
    // Past it all wait for him who reads, and nothing is lost.
    let mut slow = pool.execute(Request::get("/app?10000000")).await.expect("a head");
    let mut received = 0;
    while let Some(chunk) = slow.chunk().await.expect("no error") {
        received += chunk.len();
    }
    assert_eq!(received, 10_000_000);
    assert_eq!(idle.collect(200_000).await.expect("no error").body().len(), 100_000);
    assert_eq!(pool.call(post("again")).await.expect("an answer").body(), "again");
    assert_eq!(pool.metrics().pool.dials, 1);
}

#[tokio::test]
async fn a_slow_consumer_is_bounded_and_given_up_when_it_stalls_others() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (address, _folder) = serve(Config::default(), move |request| {
        let is_slow = request.param("QUERY_STRING") == Some("100000000");
        big(request, if is_slow { Arc::clone(&count) } else { Arc::default() })
    })
    .await;
    let timeouts = Timeouts::default().with_idle(Duration::from_millis(200));
    let pool = Pool::new([address], shared(32)).timeouts(timeouts);
    let mut slow = pool.execute(Request::get("/app?100000000")).await.expect("a head");
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
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Idle)), "{error}");
    assert_eq!(pool.metrics().pool.dials, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_with_random_cancels_do_not_mix() {
    let (address, _folder) = serve(Config::default(), echo).await;
    let pool = Pool::new([address], shared(16).max_connections(2).queue_timeout(None))
        .timeouts(Timeouts::default().with_queue(None));
    let (mut tasks, done) = (JoinSet::new(), Arc::new(AtomicU32::new(0)));
    for number in 0..4000_u32 {
        if tasks.len() >= 64 {
            tasks.join_next().await.expect("one").expect("no panic");
        }
        let (pool, done) = (pool.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            let len = usize::try_from(number * 7919 % 50_000).expect("small") & !3;
            let body: Bytes = number.to_be_bytes().repeat(len / 4).into();
            let whole = check(&pool, &body, number);
            if number % 4 != 0 {
                whole.await.expect("an answer");
                done.fetch_add(1, Ordering::Relaxed);
            } else {
                // Anywhere between the queue and the last byte.
                let limit = Duration::from_micros(u64::from(number * 97 % 5_000));
                let _ = tokio::time::timeout(limit, whole).await;
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.expect("no panic");
    }
    assert_eq!(done.load(Ordering::Relaxed), 3000);
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.in_flight, metrics.waiting), (0, 0), "{metrics:?}");
    assert_eq!(metrics.connections, metrics.idle, "{metrics:?}");
}

/// Reads the answer piece by piece; every byte must be of this request.
async fn check(pool: &Pool, body: &Bytes, number: u32) -> Result<(), Error> {
    let mut response = pool.execute(post(body.clone())).await?;
    let mut at = 0;
    while let Some(chunk) = response.chunk().await? {
        assert_eq!(body.get(at..at + chunk.len()), Some(&chunk[..]), "request {number} at {at}");
        at += chunk.len();
    }
    assert_eq!(at, body.len());
    Ok(())
}

#[tokio::test]
async fn dropping_aborts_one_request_and_its_place_is_free() {
    let aborted = Arc::new(Notify::new());
    let signal = Arc::clone(&aborted);
    let (address, _folder) = serve(Config::default(), move |request| {
        let signal = Arc::clone(&signal);
        async move {
            if request.param("QUERY_STRING") == Some("wait") {
                request.aborted().await;
                signal.notify_one();
                return Ok(1);
            }
            echo(request).await
        }
    })
    .await;
    let pool = Pool::new([address], shared(2));
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.call(Request::get("/app?wait")).await }
    });
    while pool.metrics().pool.in_flight == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.call(post("beside it")).await.expect("an answer").body(), "beside it");
    waits.abort();
    assert!(waits.await.expect_err("aborted").is_cancelled());
    assert_eq!(pool.metrics().pool.in_flight, 0, "the place is free at once");
    aborted.notified().await;
    assert_eq!(pool.call(post("after it")).await.expect("an answer").body(), "after it");
    assert_eq!(pool.metrics().pool.dials, 1);
}

#[tokio::test]
async fn a_connection_ends_with_its_pool() {
    let closed = Arc::new(Notify::new());
    let signal = Arc::clone(&closed);
    let peer = peer(move |stream| {
        let signal = Arc::clone(&signal);
        async move {
            App::new(32).run(stream, |_| Reply::Echo).await;
            signal.notify_one();
        }
    });
    let pool = Pool::new([peer.address.clone()], shared(4).idle_timeout(None).max_lifetime(None));
    let mut response = pool.execute(post("body")).await.expect("a head");
    drop(pool);
    assert_eq!(response.chunk().await.expect("no error").expect("a chunk"), "body");
    assert!(response.chunk().await.expect("no error").is_none());
    drop(response);
    closed.notified().await;
}

#[tokio::test]
async fn a_broken_connection_fails_its_requests_and_the_next_one_dials() {
    let connections = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&connections);
    let peer = peer(move |stream| {
        let is_first = counter.fetch_add(1, Ordering::Relaxed) == 0;
        App::new(32).run(stream, move |count| {
            if is_first && count == 3 {
                Reply::Close
            } else if is_first {
                Reply::Nothing
            } else {
                Reply::Echo
            }
        })
    });
    let pool = Pool::new([peer.address.clone()], shared(8));
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let pool = pool.clone();
        tasks.spawn(async move { pool.call(post("lost")).await });
    }
    while let Some(result) = tasks.join_next().await {
        let error = result.expect("no panic").expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
        assert!(error.is_begun() && !error.is_safe_to_retry());
        assert!(error.address().is_some());
    }
    assert_eq!(pool.call(post("fine")).await.expect("an answer").body(), "fine");
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn who_cannot_multiplex_gets_one_request_at_a_time() {
    let all = Arc::new(Notify::new());
    let hold = Arc::clone(&all);
    let (address, _folder) = serve(Config::default().max_requests(many(1)), move |request| {
        let hold = Arc::clone(&hold);
        async move {
            if request.param("QUERY_STRING") == Some("hold") {
                hold.notified().await;
            }
            echo(request).await
        }
    })
    .await;
    let pool = Pool::new([address], shared(8).max_connections(4));
    let held = tokio::spawn({
        let pool = pool.clone();
        async move { pool.call(Request::get("/app?hold")).await }
    });
    while pool.metrics().pool.in_flight == 0 {
        tokio::task::yield_now().await;
    }
    // Refused on the first connection, and sent again on another.
    assert_eq!(pool.call(post("again")).await.expect("an answer").body(), "again");
    let metrics = pool.metrics();
    assert_eq!((metrics.retries, metrics.pool.dials), (1, 2), "{metrics:?}");
    all.notify_one();
    held.await.expect("no panic").expect("an answer");
    let mut tasks = JoinSet::new();
    for number in 0..40 {
        let pool = pool.clone();
        tasks.spawn(async move { (number, pool.call(post(format!("{number}"))).await) });
    }
    while let Some(result) = tasks.join_next().await {
        let (number, response) = result.expect("no panic");
        assert_eq!(response.expect("an answer").body(), &format!("{number}"));
    }
}

#[tokio::test]
async fn d11_an_application_is_asked_only_when_told_to() {
    for (negotiate, limit, shares) in [
        (Negotiate::Never, 32, false),
        (Negotiate::Throwaway, 32, true),
        (Negotiate::Throwaway, 1, false),
        (Negotiate::Inline, 32, true),
        (Negotiate::Inline, 1, false),
    ] {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let peer = peer(move |stream| {
            let app = App { asked: Arc::clone(&counter), ..App::new(limit) };
            app.run(stream, |_| Reply::Echo)
        });
        let pool = Pool::new(
            [peer.address.clone()],
            PoolConfig::default().negotiate(negotiate).max_connections(3),
        );
        pool.call(post("first")).await.expect("an answer");
        let mut running = Vec::new();
        for _ in 0..3 {
            running.push(pool.execute(post("more")).await.expect("a head"));
        }
        let metrics = pool.metrics().pool;
        let expected = if shares { 1 } else { 3 };
        assert_eq!(metrics.connections, expected, "{negotiate:?} {limit}: {metrics:?}");
        let questions = u32::from(negotiate != Negotiate::Never);
        assert_eq!(asked.load(Ordering::Relaxed), questions, "{negotiate:?} {limit}");
    }
}

#[tokio::test]
async fn d11_php_fpm_says_no_and_is_used_as_ever() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let address: Address = fpm.address().parse().expect("an address");
    let config = PoolConfig::default().negotiate(Negotiate::Throwaway).max_connections(4);
    let pool = Pool::new([address], config);
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (pool, request) = (pool.clone(), Request::get(scripts.path("greeter.php?who=you")));
        tasks.spawn(async move { pool.call(request).await });
    }
    while let Some(result) = tasks.join_next().await {
        assert_eq!(result.expect("no panic").expect("an answer").body(), "Hello you");
    }
}

#[tokio::test]
async fn d11_who_never_answers_the_question_costs_a_second_at_most() {
    let peer = peer(|stream| App { is_silent: true, ..App::new(32) }.run(stream, |_| Reply::Echo));
    let config = PoolConfig::default().negotiate(Negotiate::Throwaway);
    let pool = Pool::new([peer.address.clone()], config);
    for _ in 0..3 {
        assert_eq!(pool.call(post("body")).await.expect("an answer").body(), "body");
    }
}

#[tokio::test]
async fn limits_on_time_hold_for_each_request() {
    let peer = peer(|stream| {
        App::new(32).run(stream, |count| if count == 1 { Reply::Nothing } else { Reply::Echo })
    });
    let pool = Pool::new([peer.address.clone()], shared(8));
    let hasty = Timeouts::default().with_first_byte(Duration::from_millis(100));
    let late = pool.call(post("late").timeouts(hasty)).await.expect_err("no answer");
    assert_eq!((late.kind(), late.phase()), (ErrorKind::Timeout, Some(Phase::FirstByte)));
    assert_eq!(pool.call(post("fine")).await.expect("an answer").body(), "fine");
    let metrics = pool.metrics();
    assert_eq!((metrics.timeouts, metrics.pool.dials), (1, 1), "{metrics:?}");
}
