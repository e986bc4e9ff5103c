//! A pool against php-fpm and against applications that follow a script.

use core::num::NonZeroU16;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_proto::pool::Config;
use fcgi_proto::scripted::Script;
use fcgi_proto::{ErrorKind, ProtocolStatus, Request, Timeouts};

use super::scripts::{at_first, hello};
use super::site::Site;
use super::{Pooled, drain};
use crate::{Application, PhpFpm, Scripted, Scripts, pattern, wait_until};

/// A pool of one address.
pub(crate) fn one<A: Pooled>(address: &str, config: Config, timeouts: Timeouts) -> A::Pool {
    A::pool(vec![address.parse().expect("an address")], config, timeouts)
}

/// A pool with the default limits.
pub(crate) fn pool<A: Pooled>(fpm: &PhpFpm, config: Config) -> A::Pool {
    one::<A>(fpm.address(), config, Timeouts::default())
}

/// Runs so many requests at once and expects the same answer to all.
pub(crate) fn run<A: Pooled>(pool: &A::Pool, count: usize, script: &str, answer: &str) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let result = A::pool_call(pool, Request::get(script));
                assert_eq!(result.expect("an answer").body(), answer);
            });
        }
    });
}

pub fn a_connection_is_kept_and_used_again<A: Pooled>() {
    for fpm in
        [PhpFpm::builder().workers(1).start(), PhpFpm::builder().workers(1).listen_tcp().start()]
    {
        let scripts = Scripts::new();
        let pool = pool::<A>(&fpm, Config::default());
        for _ in 0..10 {
            run::<A>(&pool, 1, &scripts.path("zero.php"), "0");
        }
        let now = A::snapshot(&pool);
        assert_eq!((now.dials, now.reuses, now.idle), (1, 9, 1));
    }
}

pub fn twelve_calls_of_a_second_on_four_workers_take_three<A: Pooled>() {
    // The trap: kept connections that idle would hold workers while others wait.
    let site = Site::with_workers(4);
    let pool = pool::<A>(&site.fpm, Config::default().max_connections(12).max_idle(12));
    let started = Instant::now();
    run::<A>(&pool, 12, &site.scripts.path("sleep.php?ms=1000"), "slept 1000");
    let took = started.elapsed();
    assert!(took < Duration::from_millis(3900), "took {took:?}");
}

pub fn eighty_callers_on_two_workers_all_finish<A: Pooled>() {
    // More connections than workers: those in the listen queue get a worker as idle ones are closed.
    let site = Site::with_workers(2);
    let config = Config::default().max_connections(6).max_idle(6).queue_timeout(None);
    let pool = one::<A>(site.fpm.address(), config, Timeouts::default().with_queue(None));
    let started = Instant::now();
    run::<A>(&pool, 80, &site.scripts.path("sleep.php?ms=100"), "slept 100");
    let took = started.elapsed();
    // 40 rounds of 100 ms.
    assert!(took < Duration::from_secs(12), "took {took:?}");
    assert_eq!(A::snapshot(&pool).in_flight, 0);
}

pub fn workers_that_end_after_three_requests_are_not_noticed<A: Pooled>() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).max_requests(3).start();
    let pool = pool::<A>(&fpm, Config::default());
    for _ in 0..20 {
        run::<A>(&pool, 1, &scripts.path("zero.php"), "0");
    }
    let now = A::snapshot(&pool);
    assert!(now.dials >= 6 && now.reuses > 0, "{now:?}");
}

pub fn a_reload_is_not_noticed_between_requests<A: Pooled>() {
    let mut site = Site::start();
    let pool = pool::<A>(&site.fpm, Config::default());
    for _ in 0..2 {
        run::<A>(&pool, 2, &site.scripts.path("greeter.php?who=you"), "Hello you");
        site.fpm.reload();
    }
    // A form is not sent twice, but to a connection that was closed it was not sent at all.
    let request = site.post::<A>("echo.php").body("once");
    assert_eq!(A::pool_call(&pool, request).expect("an answer").body(), "once");
}

pub fn a_worker_killed_midway_fails_its_request_alone<A: Pooled>() {
    let site = Site::start();
    let pool = pool::<A>(&site.fpm, Config::default());
    thread::scope(|scope| {
        let slow = site.scripts.path("sleep.php?ms=1500");
        let other = scope.spawn({
            let pool = pool.clone();
            move || A::pool_call(&pool, Request::get(slow))
        });
        let mut dies = A::pool_execute(&pool, site.get::<A>("die.php")).expect("it begins");
        let (_, result) = drain(&mut dies);
        let error = result.expect_err("its worker is killed");
        assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
        assert!(!error.is_safe_to_retry(), "{error}");
        run::<A>(&pool, 4, &site.scripts.path("zero.php"), "0");
        let slept = other.join().expect("no panic").expect("it has a worker of its own");
        assert_eq!(slept.body(), "slept 1500");
    });
}

pub fn a_master_killed_midway_fails_what_is_under_way<A: Pooled>() {
    let mut site = Site::start();
    let pool = pool::<A>(&site.fpm, Config::default());
    let request = site.get::<A>("sleep.php?first=1&ms=60000");
    let mut under_way = A::pool_execute(&pool, request).expect("it begins");
    run::<A>(&pool, 2, &site.scripts.path("zero.php"), "0");
    site.fpm.stop();
    let (_, result) = drain(&mut under_way);
    let error = result.expect_err("nobody is left to end it");
    assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
    assert!(error.is_begun() && !error.is_safe_to_retry(), "{error}");
    let error = A::pool_call(&pool, site.get::<A>("zero.php")).map(drop).expect_err("all are gone");
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    site.fpm.restart();
    run::<A>(&pool, 2, &site.scripts.path("zero.php"), "0");
}

pub fn nobody_listens_is_told_to_all_at_once<A: Pooled>() {
    let mut site = Site::with_workers(1);
    let pool = pool::<A>(&site.fpm, Config::default().max_connections(2));
    site.fpm.stop();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let result = A::pool_call(&pool, site.get::<A>("zero.php"));
                let error = result.map(drop).expect_err("nobody listens");
                assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
            });
        }
    });
    // Far from the 5 s that the queue allows.
    assert!(started.elapsed() < Duration::from_secs(4));
    site.fpm.restart();
    run::<A>(&pool, 4, &site.scripts.path("zero.php"), "0");
}

pub fn two_addresses_share_the_load_and_one_may_fail<A: Pooled>() {
    let scripts = Scripts::new();
    let mut first = PhpFpm::builder().workers(2).start();
    let second = PhpFpm::builder().workers(2).start();
    let addresses = [&first, &second].map(|fpm| fpm.address().parse().expect("an address"));
    let config = Config::default().max_connections(2);
    let pool = A::pool(addresses.into(), config, Timeouts::default());
    run::<A>(&pool, 40, &scripts.path("sleep.php?ms=5"), "slept 5");
    assert!(A::snapshot(&pool).dials >= 2, "{:?}", A::snapshot(&pool));
    first.stop();
    run::<A>(&pool, 40, &scripts.path("zero.php"), "0");
    // A dial that fails has taken nothing of a streamed body.
    for _ in 0..20 {
        let body = A::reader(&b"streamed"[..], Some(8));
        let request = Request::post(scripts.path("echo.php")).body(body);
        assert_eq!(A::pool_call(&pool, request).expect("an answer").body(), "streamed");
    }
}

pub fn a_dead_address_beside_a_busy_one_costs_nobody_an_answer<A: Pooled>() {
    let site = Site::with_workers(1);
    let addresses = [site.fpm.address(), "unix:/nowhere/fpm.sock"];
    let addresses = addresses.map(|address| address.parse().expect("an address"));
    // Who waits for the one looks after the other, many times.
    let backoff = Duration::from_millis(1);
    let config = Config::default().max_connections(1).backoff(backoff, backoff);
    let config = config.queue_timeout(Some(Duration::from_secs(60)));
    let limits = Timeouts::default().with_queue(None);
    let pool = A::pool(addresses.into(), config, limits);
    run::<A>(&pool, 1, &site.scripts.path("zero.php"), "0");
    run::<A>(&pool, 4, &site.scripts.path("sleep.php?ms=100"), "slept 100");
    assert!(A::snapshot(&pool).failed_dials > 5, "{:?}", A::snapshot(&pool));
}

pub fn idle_connections_are_closed_in_time<A: Pooled>() {
    let application = Scripted::unix(|_| hello().await_close());
    let config = Config::default().idle_timeout(Duration::from_millis(50));
    let pool = one::<A>(application.address(), config, Timeouts::default());
    assert_eq!(A::pool_call(&pool, Request::get("/x.php")).unwrap().body(), "hey");
    // Nobody uses the pool meanwhile.
    let _all = application.wait_over(0);
    assert!(wait_until(Duration::from_secs(60), || A::snapshot(&pool).connections == 0));
}

pub fn late_records_reach_nobody<A: Pooled>() {
    let second = Script::new().await_request().stdout("A: b\n\nsecond").end().await_close();
    let first = Script::new().await_request().stdout("A: b\n\nfirst").end();
    for late in [
        first.clone().stdout("A: b\n\nlate"),
        first.clone().stdout("A: b\n\nlate").end(),
        first.clone().end_with(ProtocolStatus::Overloaded, 0),
        first.clone().stderr("late"),
        first.flush().pause(Duration::from_millis(5)).stdout("late"),
    ] {
        let script = late.flush().await_request().stdout("A: b\n\nsecond").end().await_close();
        let next = second.clone();
        let application =
            Scripted::unix(move |nth| if nth == 0 { script.clone() } else { next.clone() });
        let config = Config::default().max_connections(1);
        let pool = one::<A>(application.address(), config, Timeouts::default());
        let call = || A::pool_call(&pool, Request::get("/x.php"));
        assert_eq!(call().expect("the first answer").body(), "first");
        let answer = call().expect("the second answer");
        assert_eq!(answer.body(), "second");
        assert!(answer.stderr().is_empty(), "{answer:?}");
    }
}

pub fn a_fault_costs_one_connection<A: Pooled>() {
    let request = Script::new().await_request();
    let faults = [
        (Script::new().await_bytes(1), "reset"),
        (hello().cut(30), "reset"),
        (request.clone().bytes("HTTP/1.1 400 Bad Request\r\n\r\n").await_close(), "not_fastcgi"),
        (
            request.clone().stdout("A: b\n\nhalf").bytes([0xff; 8].to_vec()).await_close(),
            "protocol",
        ),
        (request.clone().end_with(ProtocolStatus::Overloaded, 0).await_close(), "overloaded"),
        (request.stdout("no head").end().await_close(), "head"),
        (Script::new().await_close(), "timeout"),
    ];
    for (script, kind) in faults {
        let application = at_first(script);
        let limits = Timeouts::default().with_first_byte(Duration::from_millis(200));
        let config = Config::default().max_connections(1);
        let pool = one::<A>(application.address(), config, limits);
        let call = || {
            Ok::<Bytes, fcgi_proto::Error>(A::pool_call(&pool, Request::get("/x.php"))?.into_body())
        };
        let error = call().expect_err(kind);
        assert!(error.code().contains(kind), "{} is not {kind}: {error}", error.code());
        // By whichever call; an application that refuses in order may keep its connection, and says nothing on it here.
        let limit = Duration::from_secs(60);
        assert!(wait_until(limit, || call().is_ok_and(|body| body == "hey")), "{kind}");
        let now = A::snapshot(&pool);
        assert_eq!((now.in_flight, now.waiting), (0, 0), "{now:?}");
    }
}

pub fn kept_connections_to_other_libraries<A: Pooled>() {
    // libfcgi serves one connection at a time, so it has to be the same for all.
    for application in [Application::libfcgi(), Application::go()] {
        let config = Config::default().max_connections(1);
        let pool = one::<A>(application.address(), config, Timeouts::default());
        for len in (0..20).map(|i| i * 5000) {
            let request = Request::post("/x?kept").body(pattern(len));
            let answer = A::pool_call(&pool, request).expect("an answer");
            let head = format!("kept {len}\n");
            assert!(answer.body().strip_prefix(head.as_bytes()) == Some(&pattern(len)[..]));
        }
        let now = A::snapshot(&pool);
        assert_eq!((now.dials, now.reuses), (1, 19), "{application:?}");
    }
}

pub fn requests_share_a_connection_to_a_go_application<A: Pooled>() {
    const AT_ONCE: u16 = 12;
    let application = Application::go();
    let config = Config::default().max_connections(1);
    let config = config.multiplex(NonZeroU16::new(AT_ONCE).expect("not 0"));
    let pool = one::<A>(application.address(), config, Timeouts::default());
    // None is answered before all are there, and there is one connection.
    run::<A>(&pool, AT_ONCE.into(), "/x?wait=12", "wait=12 0\n");
    assert_eq!(A::snapshot(&pool).dials, 1);
    thread::scope(|scope| {
        for len in (1..20).map(|i| i * 10_000) {
            let pool = &pool;
            scope.spawn(move || {
                let answer = A::pool_call(pool, Request::post("/x?m").body(pattern(len)));
                let head = format!("m {len}\n");
                let answer = answer.expect("an answer");
                assert!(answer.body().strip_prefix(head.as_bytes()) == Some(&pattern(len)[..]));
            });
        }
    });
    assert_eq!(A::snapshot(&pool).dials, 1);
}
