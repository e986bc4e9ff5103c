//! The pool against a real php-fpm: kept connections that harm nobody.

use std::time::{Duration, Instant};

use fcgi_test_support::{PhpFpm, Scripts, wait_until};
use fcgi_tokio::{Address, Body, ErrorKind, Phase, Pool, PoolConfig, Request, Timeouts};
use tokio::task::JoinSet;

fn address(fpm: &PhpFpm) -> Address {
    fpm.address().parse().expect("an address")
}

fn pool(fpm: &PhpFpm, config: PoolConfig) -> Pool {
    Pool::new([address(fpm)], config)
}

/// Runs so many requests at once and expects the same answer to all.
async fn run(pool: &Pool, count: usize, script: &str, answer: &str) {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (pool, request) = (pool.clone(), Request::get(script));
        tasks.spawn(async move { pool.call(request).await });
    }
    while let Some(result) = tasks.join_next().await {
        assert_eq!(result.expect("no panic").expect("an answer").body(), answer);
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_used_again() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let pool = pool(&fpm, PoolConfig::default());
    for _ in 0..10 {
        run(&pool, 1, &scripts.path("zero.php"), "0").await;
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.pool.dials, metrics.pool.reuses, metrics.pool.idle), (1, 9, 1));
    let answer = pool.execute(Request::get(scripts.path("sleep.php?ms=20"))).await.unwrap();
    assert_eq!(answer.address(), &address(&fpm));
    let timings = answer.timings();
    assert!(timings.head >= Duration::from_millis(20), "{timings:?}");
    assert!(timings.connect < timings.head, "nothing was dialled: {timings:?}");
}

#[tokio::test]
async fn eighty_callers_on_four_workers_all_finish() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(4).start();
    let config = PoolConfig::default().max_connections(8).queue_timeout(None);
    let pool = Pool::new([address(&fpm)], config).timeouts(Timeouts::default().with_queue(None));
    let started = Instant::now();
    run(&pool, 80, &scripts.path("sleep.php?ms=100"), "slept 100").await;
    let took = started.elapsed();
    // 20 rounds of 100 ms; the rest is for a slow machine.
    assert!(took < Duration::from_secs(6), "took {took:?}");
    assert!(pool.metrics().pool.idle <= 2, "{pool:?}");
}

#[tokio::test]
async fn twelve_calls_of_a_second_on_four_workers_take_three() {
    // The trap: kept connections that idle would hold workers while others wait.
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(4).start();
    let pool = pool(&fpm, PoolConfig::default().max_connections(12).max_idle(12));
    let started = Instant::now();
    run(&pool, 12, &scripts.path("sleep.php?ms=1000"), "slept 1000").await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(3900), "took {took:?}");
}

#[tokio::test]
async fn workers_that_end_after_three_requests_are_not_noticed() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).max_requests(3).start();
    let pool = pool(&fpm, PoolConfig::default());
    for _ in 0..20 {
        run(&pool, 1, &scripts.path("zero.php"), "0").await;
    }
    let metrics = pool.metrics();
    assert!(metrics.pool.dials >= 6, "{metrics:?}");
    assert!(metrics.pool.reuses > 0, "{metrics:?}");
}

#[tokio::test]
async fn a_restart_costs_one_dial_and_no_error() {
    let scripts = Scripts::new();
    let mut fpm = PhpFpm::builder().workers(2).start();
    let pool = pool(&fpm, PoolConfig::default());
    run(&pool, 1, &scripts.path("zero.php"), "0").await;
    fpm.restart();
    run(&pool, 1, &scripts.path("zero.php"), "0").await;
    assert_eq!(pool.metrics().pool.dials, 2);
}

#[tokio::test]
async fn nobody_listens_is_told_to_all_at_once() {
    let scripts = Scripts::new();
    let mut fpm = PhpFpm::builder().workers(1).start();
    let pool = pool(&fpm, PoolConfig::default().max_connections(2));
    fpm.stop();
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..50 {
        let (pool, request) = (pool.clone(), Request::get(scripts.path("zero.php")));
        tasks.spawn(async move { pool.call(request).await });
    }
    while let Some(result) = tasks.join_next().await {
        let error = result.expect("no panic").expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    }
    // Far from the 5 s that the queue allows.
    assert!(started.elapsed() < Duration::from_secs(4));
    fpm.restart();
    run(&pool, 4, &scripts.path("zero.php"), "0").await;
}

#[tokio::test]
async fn the_queue_is_bounded_in_length_and_time() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let config = PoolConfig::default().max_connections(1).max_waiting(1);
    let pool =
        pool(&fpm, config).timeouts(Timeouts::default().with_queue(Duration::from_millis(100)));
    let busy = pool.execute(Request::get(scripts.path("sleep.php?ms=1500&first"))).await.unwrap();
    let waiting = tokio::spawn({
        let (pool, request) = (pool.clone(), Request::get(scripts.path("zero.php")));
        async move { pool.call(request).await }
    });
    while pool.metrics().pool.waiting == 0 && !waiting.is_finished() {
        tokio::task::yield_now().await;
    }
    if !waiting.is_finished() {
        let error = pool.call(Request::get(scripts.path("zero.php"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PoolFull { limit: 1 }, "{error}");
    }
    let error = waiting.await.expect("no panic").unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)), "{error}");
    // php-fpm notices that its client is gone only when the script writes again.
    drop(busy);
    run(&pool, 1, &scripts.path("zero.php"), "0").await;
    assert_eq!(pool.metrics().timeouts, 0, "a wait in the queue sent no request");
}

#[tokio::test]
async fn dropped_futures_and_bodies_leave_every_place_free() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(4).start();
    let pool = pool(&fpm, PoolConfig::default().max_connections(4));
    let mut tasks = JoinSet::new();
    for round in 0..300_u64 {
        let pool = pool.clone();
        let script =
            scripts.path(if round % 3 == 0 { "sleep.php?ms=5" } else { "big.php?size=300000" });
        tasks.spawn(async move {
            let limit = Duration::from_micros(round * 97 % 30_000);
            let _ = tokio::time::timeout(limit, async {
                let mut response = pool.execute(Request::get(script)).await?;
                if round % 2 == 0 {
                    response.chunk().await?;
                }
                Ok::<_, fcgi_tokio::Error>(())
            })
            .await;
        });
    }
    while tasks.join_next().await.is_some() {}
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.in_flight, metrics.waiting), (0, 0), "{metrics:?}");
    assert_eq!(metrics.connections, metrics.idle, "{metrics:?}");
    run(&pool, 40, &scripts.path("greeter.php?who=you"), "Hello you").await;
}

#[tokio::test]
async fn two_addresses_share_the_load_and_one_may_fail() {
    let scripts = Scripts::new();
    let mut first = PhpFpm::builder().workers(2).start();
    let second = PhpFpm::builder().workers(2).start();
    let pool =
        Pool::new([address(&first), address(&second)], PoolConfig::default().max_connections(2));
    run(&pool, 40, &scripts.path("sleep.php?ms=5"), "slept 5").await;
    let dials = pool.metrics().pool.dials;
    assert!(dials >= 2, "{dials} dials");
    first.stop();
    run(&pool, 40, &scripts.path("zero.php"), "0").await;
    // A dial that fails has taken nothing of a streamed body.
    for _ in 0..20 {
        let body = Body::reader(&b"streamed"[..], Some(8));
        let request = Request::post(scripts.path("echo.php")).body(body);
        assert_eq!(pool.call(request).await.expect("an answer").body(), "streamed");
    }
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let pool = pool(&fpm, PoolConfig::default().idle_timeout(Duration::from_millis(50)));
    run(&pool, 1, &scripts.path("zero.php"), "0").await;
    assert_eq!(pool.metrics().pool.idle, 1);
    while pool.metrics().pool.connections > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn gathering_keeps_the_order_and_survives_failures() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let pool = pool(&fpm, PoolConfig::default());
    let requests = || {
        ["sleep.php?ms=200", "no-such.php", "zero.php"].map(|name| Request::get(scripts.path(name)))
    };
    let results = pool.join_ordered(requests()).await;
    let bodies =
        results.iter().map(|result| result.as_ref().ok().map(|answer| answer.body().as_ref()));
    assert_eq!(bodies.collect::<Vec<_>>(), [Some(&b"slept 200"[..]), None, Some(b"0")]);

    let mut completed = pool.as_completed(requests());
    assert_eq!(completed.len(), 3);
    let mut order = Vec::new();
    while let Some((index, _)) = completed.next().await {
        order.push(index);
    }
    assert_eq!(order.last(), Some(&0), "the slow one comes last: {order:?}");
    assert_eq!(order.len(), 3);
}

#[tokio::test]
async fn addresses_come_and_go_while_requests_run() {
    let scripts = Scripts::new();
    let first = PhpFpm::builder().workers(2).start();
    let second = PhpFpm::builder().workers(2).start();
    let pool = pool(&first, PoolConfig::default());
    run(&pool, 1, &scripts.path("zero.php"), "0").await;
    let under_way = pool.execute(Request::get(scripts.path("sleep.php?ms=300&first"))).await;
    let mut under_way = under_way.expect("an answer");

    pool.set_addresses([address(&second), address(&first)]);
    assert_eq!(pool.addresses().len(), 2);
    pool.set_addresses([address(&second)]);
    assert_eq!(pool.addresses(), [address(&second)]);
    assert_eq!(pool.metrics().pool.idle, 0, "nothing idles at an address that is gone");
    let before = first.access_log().lines().count();
    run(&pool, 10, &scripts.path("zero.php"), "0").await;
    // php-fpm writes the line after its answer.
    let limit = Duration::from_secs(60);
    assert!(wait_until(limit, || second.access_log().lines().count() == 10));

    // What had begun at the first address ends there.
    let rest = under_way.body_mut().collect(100).await.expect("the rest");
    assert!(rest.ends_with(b"slept 300"), "{rest:?}");
    drop(under_way);
    assert!(first.access_log().lines().count() <= before + 1);

    pool.set_addresses([]);
    let waiting = tokio::spawn({
        let (pool, request) = (pool.clone(), Request::get(scripts.path("zero.php")));
        async move { pool.call(request).await }
    });
    while pool.metrics().pool.waiting == 0 {
        tokio::task::yield_now().await;
    }
    pool.set_addresses([address(&first)]);
    assert_eq!(waiting.await.expect("no panic").expect("an answer").body(), "0");
}
