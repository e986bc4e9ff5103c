//! Every limit on time: its default, as the client's and as the request's own.

use std::future::Future;
use std::time::Duration;

use fcgi_tokio::{
    Address, Body, Client, Error, ErrorKind, Phase, Pool, PoolConfig, Request, Timeouts,
};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use crate::peer::{END, HEAD, Peer, deaf, peer, record, silence};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The call ends by this limit, when it is time and no more than 100 ms later.
async fn expires<T: std::fmt::Debug>(
    phase: Phase,
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Error {
    let started = Instant::now();
    let error = call.await.expect_err("it never comes");
    let took = started.elapsed();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{error}");
    assert_eq!(error.limit(), Some(limit), "{error}");
    assert!(error.address().is_some(), "{error}");
    assert!(took >= limit && took < limit + Duration::from_millis(100), "{took:?}: {error}");
    error
}

/// By default, as the client says, and as the request says whatever the client does.
async fn expires_as_set(
    phase: Phase,
    default: Duration,
    client: &Client,
    request: impl Fn() -> Request,
    with: impl Fn(Timeouts, Duration) -> Timeouts,
) -> Error {
    let own = |limit| with(Timeouts::default(), limit);
    expires(phase, secs(7), client.clone().timeouts(own(secs(7))).call(request())).await;
    let both = client.clone().timeouts(own(secs(7)));
    expires(phase, secs(2), both.call(request().timeouts(own(secs(2))))).await;
    expires(phase, default, client.call(request())).await
}

fn get() -> Request {
    Request::get("/x.php")
}

#[tokio::test(start_paused = true)]
async fn connecting_is_waited_for_3_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("full.sock");
    let socket = tokio::net::UnixSocket::new_stream().expect("a socket");
    socket.bind(&path).expect("bound");
    let _listener = socket.listen(1).expect("listening");
    // Nobody accepts, and those who wait fill the queue.
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    let client = Client::new(Address::unix(path.to_str().expect("UTF-8")));
    let error = expires_as_set(Phase::Connect, secs(3), &client, get, Timeouts::with_connect).await;
    assert!(!error.is_begun() && error.is_safe_to_retry());
    assert_eq!((error.bytes_sent(), error.bytes_received()), (0, 0));
}

/// A pool whose only connection is taken for good.
async fn busy_pool(config: PoolConfig) -> (Pool, Peer) {
    let peer = peer(silence);
    let pool = Pool::new([peer.address.clone()], config.max_connections(1));
    let busy = pool.clone();
    tokio::spawn(async move { busy.call(get().timeouts(Timeouts::NONE)).await });
    while pool.metrics().pool.connections == 0 {
        tokio::task::yield_now().await;
    }
    (pool, peer)
}

#[tokio::test(start_paused = true)]
async fn a_place_in_the_pool_is_waited_for_5_seconds() {
    let (pool, _peer) = busy_pool(PoolConfig::default()).await;
    let own = |limit| Timeouts::default().with_queue(limit);
    let error = expires(Phase::Queue, secs(5), pool.call(get())).await;
    assert!(!error.is_begun() && error.is_safe_to_retry());
    let client = pool.clone().timeouts(own(secs(4)));
    expires(Phase::Queue, secs(4), client.call(get())).await;
    expires(Phase::Queue, secs(2), client.call(get().timeouts(own(secs(2))))).await;
    // What the pool itself allows is the default, and a limit on them all.
    let (pool, _peer) = busy_pool(PoolConfig::default().queue_timeout(secs(8))).await;
    expires(Phase::Queue, secs(8), pool.call(get())).await;
    let (pool, _peer) = busy_pool(PoolConfig::default().queue_timeout(secs(3))).await;
    expires(Phase::Queue, secs(3), pool.call(get().timeouts(own(secs(9))))).await;
    let (pool, _peer) = busy_pool(PoolConfig::default().queue_timeout(None)).await;
    expires(Phase::Queue, secs(9), pool.call(get().timeouts(own(secs(9))))).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_is_waited_for_60_seconds() {
    let peer = peer(silence);
    let client = peer.client();
    let error =
        expires_as_set(Phase::FirstByte, secs(60), &client, get, Timeouts::with_first_byte).await;
    assert!(error.is_begun() && !error.is_safe_to_retry());
    assert!(error.bytes_sent() > 0 && error.bytes_received() == 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_may_come_for_60_seconds_amid_a_response() {
    let peer = peer(|mut stream| async move {
        stream.write_all(HEAD).await.expect("written");
        silence(stream).await;
    });
    let error =
        expires_as_set(Phase::Idle, secs(60), &peer.client(), get, Timeouts::with_idle).await;
    assert!(error.is_begun() && error.bytes_received() == HEAD.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn nothing_may_be_taken_for_60_seconds_amid_a_body() {
    let peer = deaf(silence);
    let post = || get().body(Body::from(vec![7; 4 * 1024 * 1024]));
    let error =
        expires_as_set(Phase::Idle, secs(60), &peer.client(), post, Timeouts::with_idle).await;
    assert!(error.is_begun() && error.bytes_sent() < 4 * 1024 * 1024);
}

/// One byte of the body every 20 s, `count` of them, and then the end.
async fn drip(mut stream: UnixStream, count: usize) {
    let _ = stream.write_all(HEAD).await;
    for _ in 0..count {
        sleep(secs(20)).await;
        if stream.write_all(&record(6, b"x")).await.is_err() {
            return;
        }
    }
    let _ = stream.write_all(END).await;
}

#[tokio::test(start_paused = true)]
async fn the_whole_has_no_limit_by_default() {
    let peer = peer(|stream| drip(stream, 1000));
    let started = Instant::now();
    let answer = peer.client().call(get()).await.expect("it comes in the end");
    assert_eq!(answer.body().len(), 1000);
    assert!(started.elapsed() >= secs(20_000));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_drips_trips_the_limit_on_the_whole() {
    let peer = peer(|stream| drip(stream, 1000));
    let own = |limit| Timeouts::default().with_total(limit);
    let client = peer.client().timeouts(own(secs(50)));
    let error = expires(Phase::Total, secs(50), client.call(get())).await;
    assert_eq!(error.bytes_received(), HEAD.len() as u64 + 2 * 9, "two bytes of the body");
    expires(Phase::Total, secs(130), client.call(get().timeouts(own(secs(130))))).await;
}

#[tokio::test(start_paused = true)]
async fn zero_and_none_switch_a_limit_off() {
    let peer = peer(|mut stream| async move {
        sleep(secs(1000)).await;
        let _ = stream.write_all(HEAD).await;
        sleep(secs(1000)).await;
        let _ = stream.write_all(END).await;
    });
    for timeouts in
        [Timeouts::NONE, Timeouts::default().with_first_byte(Duration::ZERO).with_idle(None)]
    {
        peer.client().timeouts(timeouts).call(get()).await.expect("it comes in the end");
    }
    // A limit that is on still counts.
    let timeouts = Timeouts::NONE.with_idle(secs(60));
    let started = Instant::now();
    let error =
        peer.client().timeouts(timeouts).call(get()).await.expect_err("idle amid the response");
    assert_eq!((error.phase(), started.elapsed().as_secs()), (Some(Phase::Idle), 1060));
}
