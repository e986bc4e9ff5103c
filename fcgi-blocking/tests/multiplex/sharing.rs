//! Many requests over one connection.

use std::io::Read;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fcgi_blocking::server;
use fcgi_blocking::{Body, Error, ErrorKind, Phase, Pool, Request, Timeouts};
use fcgi_proto::server::Config;
use fcgi_test_support::wait_until;

use crate::app::{App, Reply, peer};
use crate::{LIMIT, echo, post, serve, shared};

#[test]
fn many_requests_share_one_connection_at_once() {
    // Nobody answers before all have come: so all 20 are under way at once.
    let all = Barrier::new(20);
    let app = serve(Config::default(), move |request| {
        all.wait();
        echo(request)
    });
    let pool = Pool::new([app.address.clone()], shared(32));
    thread::scope(|scope| {
        for number in 0..20 {
            let pool = &pool;
            scope.spawn(move || {
                let response = pool.call(post(format!("body {number}"))).expect("an answer");
                assert_eq!(response.body(), &format!("body {number}"));
            });
        }
    });
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.dials, metrics.idle, metrics.in_flight), (1, 1, 0), "{metrics:?}");
}

#[test]
fn a_list_of_requests_shares_it_too() {
    let all = Barrier::new(8);
    let app = serve(Config::default(), move |request| {
        all.wait();
        echo(request)
    });
    let pool = Pool::new([app.address.clone()], shared(8));
    let results = pool.join_ordered((0..16).map(|number| post(format!("body {number}"))));
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.expect("an answer").body(), &format!("body {number}"));
    }
    assert_eq!(pool.metrics().pool.dials, 1);
}

/// Sends as many bytes as the query says, and counts them.
fn big(mut request: server::Request, sent: &AtomicUsize) -> std::io::Result<u32> {
    let mut left: usize =
        request.param("QUERY_STRING").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.stdout.write("A: b\r\n\r\n")?;
    while left > 0 {
        let count = left.min(16 * 1024);
        request.stdout.write(vec![b'x'; count])?;
        sent.fetch_add(count, Ordering::Relaxed);
        left -= count;
    }
    Ok(0)
}

#[test]
fn others_go_on_beside_a_slow_consumer() {
    let app = serve(Config::default(), |request| match request.param("QUERY_STRING") {
        Some("10000000" | "100000") => big(request, &AtomicUsize::new(0)),
        _ => echo(request),
    });
    let pool = Pool::new([app.address.clone()], shared(32));
    // Below its window nothing pauses, whoever does not read.
    let idle = pool.execute(Request::get("/app?100000")).expect("a head");
    for _ in 0..3 {
        assert_eq!(pool.call(post("quick")).expect("an answer").body(), "quick");
    }
    // Past it all wait for him who reads, and nothing is lost.
    let mut slow = pool.execute(Request::get("/app?10000000")).expect("a head");
    let len = std::io::copy(slow.body_mut(), &mut std::io::sink()).expect("no error");
    assert_eq!(len, 10_000_000);
    assert_eq!(idle.collect(200_000).expect("no error").body().len(), 100_000);
    assert_eq!(pool.call(post("again")).expect("an answer").body(), "again");
    assert_eq!(pool.metrics().pool.dials, 1);
}

#[test]
fn a_slow_consumer_is_bounded_and_given_up_when_it_stalls_others() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let app = serve(Config::default(), move |request| match request.param("QUERY_STRING") {
        Some("100000000") => big(request, &count),
        _ => big(request, &AtomicUsize::new(0)),
    });
    let timeouts = Timeouts::default().with_idle(Duration::from_millis(200));
    let pool = Pool::new([app.address.clone()], shared(32)).timeouts(timeouts);
    let mut slow = pool.execute(Request::get("/app?100000000")).expect("a head");
    // It comes through only once the other is given up, which has waited for its consumer for so long.
    let other = pool.call(Request::get("/app?3000000")).expect("an answer");
    assert_eq!(other.body().len(), 3_000_000);
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 4_000_000, "{sent} bytes for one who reads nothing");
    let error = loop {
        match slow.chunk() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("cut without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Idle)), "{error}");
    assert!(slow.chunk().expect("told once").is_none());
    assert_eq!(pool.metrics().pool.dials, 1);
}

#[test]
fn d5_thousands_of_requests_with_random_drops_do_not_mix() {
    const REQUESTS: u32 = 4000;
    let app = serve(Config::default(), echo);
    let pool = Pool::new([app.address.clone()], shared(16).max_connections(2).queue_timeout(None))
        .timeouts(Timeouts::default().with_queue(None));
    let (next, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= REQUESTS {
            return;
        }
        let len = usize::try_from(number * 7919 % 50_000).expect("small") & !3;
        let body: Bytes = number.to_be_bytes().repeat(len / 4).into();
        match number % 4 {
            // Dropped with so much of the answer read.
            0 => {
                let pieces = usize::try_from(number % 5).expect("small");
                check(&pool, post(body.clone()), &body, pieces).expect("an answer");
            }
            // Anywhere between the queue and the last byte.
            1 => {
                let limit = Duration::from_micros(u64::from(number * 97 % 5_000) + 1);
                let hasty = post(body.clone()).timeouts(Timeouts::default().with_total(limit));
                if let Err(error) = check(&pool, hasty, &body, usize::MAX) {
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                }
            }
            _ => {
                check(&pool, post(body.clone()), &body, usize::MAX).expect("an answer");
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(work);
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), REQUESTS / 2);
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.in_flight, metrics.waiting), (0, 0), "{metrics:?}");
    assert_eq!(metrics.connections, metrics.idle, "{metrics:?}");
}

/// Reads so many pieces of the answer; every byte must be of this request.
fn check(pool: &Pool, request: Request, body: &[u8], pieces: usize) -> Result<(), Error> {
    let mut response = pool.execute(request)?;
    let mut at = 0;
    for _ in 0..pieces {
        let Some(chunk) = response.chunk()? else {
            assert_eq!(at, body.len());
            return Ok(());
        };
        assert_eq!(body.get(at..at + chunk.len()), Some(&chunk[..]), "at {at}");
        at += chunk.len();
    }
    Ok(())
}

#[test]
fn d5_dropping_aborts_one_request_and_its_place_is_free() {
    let (signal, aborted) = channel();
    let signal = Mutex::new(signal);
    let app = serve(Config::default(), move |mut request| {
        if request.param("QUERY_STRING") == Some("wait") {
            request.stdout.write("A: b\r\n\r\nbegun")?;
            request.stdout.flush()?;
            request.aborted.wait();
            signal.lock().expect("no panic").send(()).expect("a test");
            return Ok(1);
        }
        echo(request)
    });
    let pool = Pool::new([app.address.clone()], shared(2));
    let waits = pool.execute(Request::get("/app?wait")).expect("a head");
    assert_eq!(pool.call(post("beside it")).expect("an answer").body(), "beside it");
    drop(waits);
    assert_eq!(pool.metrics().pool.in_flight, 0, "the place is free at once");
    aborted.recv_timeout(LIMIT).expect("an abort");
    assert_eq!(pool.call(post("after it")).expect("an answer").body(), "after it");
    assert_eq!(pool.metrics().pool.dials, 1);
}

/// A body whose next piece is there when the piece before it has come back.
struct Replies(Receiver<Vec<u8>>);

impl Read for Replies {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let Ok(piece) = self.0.recv() else { return Ok(0) };
        piece.as_slice().read(buf)
    }
}

#[test]
fn d2_a_body_that_waits_for_its_answer_does_not_hang() {
    let app = serve(Config::default(), echo);
    let pool = Pool::new([app.address.clone()], shared(2));
    let (sender, receiver) = channel();
    let body = Body::reader(Replies(receiver), Some(5 * 10));
    sender.send(b"piece 0000".to_vec()).expect("a reader");
    let mut response = pool.execute(Request::post("/app").body(body)).expect("a head");
    for number in 1..=5 {
        let mut piece = [0; 10];
        response.body_mut().read_exact(&mut piece).expect("what was sent");
        assert_eq!(piece, format!("piece {:04}", number - 1).as_bytes());
        if number < 5 {
            sender.send(format!("piece {number:04}").into_bytes()).expect("a reader");
        }
    }
    drop(sender);
    assert!(response.chunk().expect("no error").is_none());
}

#[test]
fn d2_large_bodies_both_ways_do_not_hang() {
    let app = serve(Config::default(), echo);
    let pool = Pool::new([app.address.clone()], shared(8));
    thread::scope(|scope| {
        for number in 0..4_u8 {
            let pool = &pool;
            scope.spawn(move || {
                let body = vec![number; 5_000_000];
                let response = pool.call(post(body.clone())).expect("an answer");
                assert!(response.body() == &body);
            });
        }
    });
    assert_eq!(pool.metrics().pool.dials, 1);
}

#[test]
fn a_connection_ends_with_its_pool() {
    let (signal, closed) = channel();
    let signal = Mutex::new(signal);
    let app = peer(move |stream| {
        App::new(32).run(stream, |_| Reply::Echo);
        signal.lock().expect("no panic").send(()).expect("a test");
    });
    let config = shared(4).idle_timeout(None).max_lifetime(None);
    let pool = Pool::new([app.address.clone()], config);
    let mut response = pool.execute(post("body")).expect("a head");
    drop(pool);
    assert_eq!(response.chunk().expect("no error").expect("a chunk"), "body");
    assert!(response.chunk().expect("no error").is_none());
    drop(response);
    closed.recv_timeout(LIMIT).expect("the end");
}

#[test]
fn an_idle_one_is_closed_in_time() {
    let app = serve(Config::default(), echo);
    let pool = Pool::new([app.address.clone()], shared(4).idle_timeout(Duration::from_millis(50)));
    pool.call(post("body")).expect("an answer");
    assert!(wait_until(LIMIT, || pool.metrics().pool.connections == 0));
}
