//! What the shared tests of a pool do not ask for.

use std::time::Duration;

use fcgi_test_support::{PhpFpm, Scripts, wait_until};
use fcgi_tokio::{Address, Pool, PoolConfig, Request};
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
async fn timings_tell_of_each_phase() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let pool = pool(&fpm, PoolConfig::default());
    run(&pool, 1, &scripts.path("zero.php"), "0").await;
    let answer = pool.execute(Request::get(scripts.path("sleep.php?ms=20"))).await.unwrap();
    assert_eq!(answer.address(), &address(&fpm));
    let timings = answer.timings();
    assert!(timings.head >= Duration::from_millis(20), "{timings:?}");
    assert!(timings.connect < timings.head, "nothing was dialled: {timings:?}");
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
