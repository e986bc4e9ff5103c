//! The pool against a real php-fpm: kept connections that harm nobody.

use std::thread;
use std::time::{Duration, Instant};

use fcgi_blocking::{Address, ErrorKind, Phase, Pool, PoolConfig, Request, Timeouts};
use fcgi_test_support::{PhpFpm, Scripts, wait_until};

/// Ends a hang.
const LIMIT: Duration = Duration::from_secs(30);

fn address(fpm: &PhpFpm) -> Address {
    fpm.address().parse().expect("an address")
}

fn pool(fpm: &PhpFpm, config: PoolConfig) -> Pool {
    Pool::new([address(fpm)], config)
}

/// Runs so many requests at once, a thread for each, and expects the same answer to all.
fn run(pool: &Pool, count: usize, script: &str, answer: &str) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let response = pool.call(Request::get(script)).expect("an answer");
                assert_eq!(response.body(), answer);
            });
        }
    });
}

#[test]
fn a_connection_is_kept_and_used_again() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let pool = pool(&fpm, PoolConfig::default());
    for _ in 0..10 {
        run(&pool, 1, &scripts.path("zero.php"), "0");
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.pool.dials, metrics.pool.reuses, metrics.pool.idle), (1, 9, 1));
}

#[test]
fn d1_eighty_callers_on_four_workers_all_finish() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(4).start();
    let config = PoolConfig::default().max_connections(8).queue_timeout(None);
    let pool = Pool::new([address(&fpm)], config).timeouts(Timeouts::default().with_queue(None));
    let started = Instant::now();
    run(&pool, 80, &scripts.path("sleep.php?ms=100"), "slept 100");
    let took = started.elapsed();
    // 20 rounds of 100 ms; the rest is for a slow machine.
    assert!(took < Duration::from_secs(6), "took {took:?}");
    assert!(pool.metrics().pool.idle <= 2, "{pool:?}");
}

#[test]
fn d2_the_queue_is_bounded_in_length_and_time() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let config = PoolConfig::default().max_connections(1).max_waiting(1);
    let pool =
        pool(&fpm, config).timeouts(Timeouts::default().with_queue(Duration::from_millis(300)));
    let busy = pool.execute(Request::get(scripts.path("big.php?size=3000000"))).expect("a head");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.call(Request::get(scripts.path("zero.php"))));
        let came = || pool.metrics().pool.waiting > 0 || waiting.is_finished();
        assert!(wait_until(LIMIT, came));
        if !waiting.is_finished() {
            let error = pool.call(Request::get(scripts.path("zero.php"))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PoolFull { limit: 1 }, "{error}");
        }
        let error = waiting.join().expect("no panic").unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
    });
    drop(busy);
    run(&pool, 1, &scripts.path("zero.php"), "0");
}

#[test]
fn d3_a_restart_costs_one_dial_and_no_error() {
    let scripts = Scripts::new();
    let mut fpm = PhpFpm::builder().workers(2).start();
    let pool = pool(&fpm, PoolConfig::default());
    run(&pool, 1, &scripts.path("zero.php"), "0");
    fpm.restart();
    run(&pool, 1, &scripts.path("zero.php"), "0");
    assert_eq!(pool.metrics().pool.dials, 2);
}

#[test]
fn workers_that_end_after_three_requests_are_not_noticed() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).max_requests(3).start();
    let pool = pool(&fpm, PoolConfig::default());
    for _ in 0..20 {
        run(&pool, 1, &scripts.path("zero.php"), "0");
    }
    let metrics = pool.metrics();
    assert!(metrics.pool.dials >= 6 && metrics.pool.reuses > 0, "{metrics:?}");
}

#[test]
fn d5_dropped_responses_leave_every_place_free() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(4).start();
    let pool = pool(&fpm, PoolConfig::default().max_connections(4));
    thread::scope(|scope| {
        for number in 0..40 {
            let (pool, scripts) = (&pool, &scripts);
            scope.spawn(move || {
                let request = Request::get(scripts.path("big.php?size=300000"));
                let mut response = pool.execute(request).expect("a head");
                if number % 2 == 0 {
                    response.chunk().expect("a chunk");
                }
            });
        }
    });
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.in_flight, metrics.waiting), (0, 0), "{metrics:?}");
    assert_eq!(metrics.connections, metrics.idle, "{metrics:?}");
    run(&pool, 40, &scripts.path("greeter.php?who=you"), "Hello you");
}

#[test]
fn d6_gathering_keeps_the_order_and_survives_failures() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let pool = pool(&fpm, PoolConfig::default());
    let requests = || {
        ["sleep.php?ms=200", "no-such.php", "zero.php"].map(|name| Request::get(scripts.path(name)))
    };
    let results = pool.join_ordered(requests());
    let bodies =
        results.iter().map(|result| result.as_ref().ok().map(|answer| answer.body().as_ref()));
    assert_eq!(bodies.collect::<Vec<_>>(), [Some(&b"slept 200"[..]), None, Some(b"0")]);

    let completed = pool.as_completed(requests());
    assert_eq!(completed.len(), 3);
    let order: Vec<_> = completed.map(|(index, _)| index).collect();
    assert_eq!(order.last(), Some(&0), "the slow one comes last: {order:?}");
    assert_eq!(order.len(), 3);
}

#[test]
fn idle_connections_are_closed_in_time() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let pool = pool(&fpm, PoolConfig::default().idle_timeout(Duration::from_millis(50)));
    run(&pool, 1, &scripts.path("zero.php"), "0");
    assert!(wait_until(LIMIT, || pool.metrics().pool.connections == 0));
}

#[test]
fn nobody_listens_is_told_to_all_at_once() {
    let scripts = Scripts::new();
    let mut fpm = PhpFpm::builder().workers(1).start();
    let pool = pool(&fpm, PoolConfig::default().max_connections(2));
    fpm.stop();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let result = pool.call(Request::get(scripts.path("zero.php")));
                let error = result.expect_err("nobody listens");
                assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
            });
        }
    });
    // Far from the 5 s that the queue allows.
    assert!(started.elapsed() < Duration::from_secs(4));
    fpm.restart();
    run(&pool, 4, &scripts.path("zero.php"), "0");
}
