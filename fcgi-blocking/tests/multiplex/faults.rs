//! Connections that break, applications that cannot do it, and limits on time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fcgi_blocking::{ErrorKind, Phase, Pool, Request, Timeouts};
use fcgi_proto::server::Config;

use crate::app::{App, Reply, peer};
use crate::{LIMIT, echo, many, post, serve, shared};

#[test]
fn a_broken_connection_fails_its_requests_and_the_next_one_dials() {
    let connections = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&connections);
    let app = peer(move |stream| {
        let is_first = counter.fetch_add(1, Ordering::Relaxed) == 0;
        App::new(32).run(stream, move |count| match (is_first, count) {
            (true, 3) => Reply::Close,
            (true, _) => Reply::Nothing,
            (false, _) => Reply::Echo,
        });
    });
    let pool = Pool::new([app.address.clone()], shared(8));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let error = pool.call(post("lost")).expect_err("closed");
                assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
                assert!(error.is_begun() && !error.is_safe_to_retry());
                assert!(error.address().is_some());
            });
        }
    });
    assert_eq!(pool.call(post("fine")).expect("an answer").body(), "fine");
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[test]
fn who_cannot_multiplex_gets_one_request_at_a_time() {
    let (begun, has_begun) = channel();
    let (go, may_go) = channel::<()>();
    let ends = Mutex::new((begun, may_go));
    let app = serve(Config::default().max_requests(many(1)), move |request| {
        if request.param("QUERY_STRING") == Some("hold") {
            let ends = ends.lock().expect("no panic");
            ends.0.send(()).expect("a test");
            ends.1.recv_timeout(LIMIT).expect("a sign");
        }
        echo(request)
    });
    let pool = Pool::new([app.address.clone()], shared(8).max_connections(4));
    thread::scope(|scope| {
        let held = scope.spawn(|| pool.call(Request::get("/app?hold")));
        has_begun.recv_timeout(LIMIT).expect("a request");
        // Refused on the first connection, and sent again on another.
        assert_eq!(pool.call(post("again")).expect("an answer").body(), "again");
        let metrics = pool.metrics();
        assert_eq!((metrics.retries, metrics.pool.dials), (1, 2), "{metrics:?}");
        go.send(()).expect("a handler");
        held.join().expect("no panic").expect("an answer");
    });
    thread::scope(|scope| {
        for number in 0..40 {
            let pool = &pool;
            scope.spawn(move || {
                let response = pool.call(post(format!("{number}"))).expect("an answer");
                assert_eq!(response.body(), &format!("{number}"));
            });
        }
    });
}

#[test]
fn limits_on_time_hold_for_each_request() {
    let app = peer(|stream| {
        App::new(32).run(stream, |count| if count == 1 { Reply::Nothing } else { Reply::Echo });
    });
    let pool = Pool::new([app.address.clone()], shared(8));
    let hasty = Timeouts::default().with_first_byte(Duration::from_millis(100));
    let late = pool.call(post("late").timeouts(hasty)).expect_err("no answer");
    assert_eq!((late.kind(), late.phase()), (ErrorKind::Timeout, Some(Phase::FirstByte)));
    assert_eq!(pool.call(post("fine")).expect("an answer").body(), "fine");
    let metrics = pool.metrics();
    assert_eq!((metrics.timeouts, metrics.pool.dials), (1, 1), "{metrics:?}");
}
