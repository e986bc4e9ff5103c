//! Asking an application whether it multiplexes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fcgi_blocking::{Address, Pool, PoolConfig, Request};
use fcgi_proto::pool::Negotiate;
use fcgi_test_support::{PhpFpm, Scripts};

use crate::app::{App, Reply, peer};
use crate::post;

#[test]
fn d11_an_application_is_asked_only_when_told_to() {
    for (negotiate, limit, shares) in [
        (Negotiate::Never, 32, false),
        (Negotiate::Throwaway, 32, true),
        (Negotiate::Throwaway, 1, false),
        (Negotiate::Inline, 32, true),
        (Negotiate::Inline, 1, false),
    ] {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let app = peer(move |stream| {
            let app = App { asked: Arc::clone(&counter), ..App::new(limit) };
            app.run(stream, |_| Reply::Echo);
        });
        let config = PoolConfig::default().negotiate(negotiate).max_connections(3);
        let pool = Pool::new([app.address.clone()], config);
        pool.call(post("first")).expect("an answer");
        let running: Vec<_> = (0..3).map(|_| pool.execute(post("more")).expect("a head")).collect();
        let metrics = pool.metrics().pool;
        let expected = if shares { 1 } else { 3 };
        assert_eq!(metrics.connections, expected, "{negotiate:?} {limit}: {metrics:?}");
        let questions = u32::from(negotiate != Negotiate::Never);
        assert_eq!(asked.load(Ordering::Relaxed), questions, "{negotiate:?} {limit}");
        drop(running);
    }
}

#[test]
fn d11_php_fpm_says_no_and_is_used_as_ever() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let address: Address = fpm.address().parse().expect("an address");
    let config = PoolConfig::default().negotiate(Negotiate::Throwaway).max_connections(4);
    let pool = Pool::new([address], config);
    let requests = (0..20).map(|_| Request::get(scripts.path("greeter.php?who=you")));
    for result in pool.join_ordered(requests) {
        assert_eq!(result.expect("an answer").body(), "Hello you");
    }
}

#[test]
fn d11_who_never_answers_the_question_costs_a_second_at_most() {
    let app = peer(|stream| App { is_silent: true, ..App::new(32) }.run(stream, |_| Reply::Echo));
    let config = PoolConfig::default().negotiate(Negotiate::Throwaway);
    let pool = Pool::new([app.address.clone()], config);
    for _ in 0..3 {
        assert_eq!(pool.call(post("body")).expect("an answer").body(), "body");
    }
}
