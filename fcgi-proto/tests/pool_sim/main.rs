//! The pool's policy under thousands of random schedules: callers, cancellations, scripts, stale connections, restarts.
//!
//! After every step its accounts are compared with naive ones, and what must never be is looked for. Time is simulated,
//! every schedule has a number: `SEED=number cargo test -p fcgi-proto --test pool_sim` runs that one alone, and
//! `SCHEDULES=number` so many of them.

mod model;
mod world;

use core::num::NonZeroU16;
use core::time::Duration;

use fcgi_proto::pool::{Action, Grant};
use model::Limits;
use world::{Fpm, Random, State, World, us};

fn any_limits(random: &mut Random, upstreams: u64) -> Limits {
    let connections = usize::try_from(1 + random.below(8)).expect("few");
    let multiplex = if upstreams == 1 && random.percent(25) { random.pick(&[2, 3, 9]) } else { 1 };
    Limits {
        connections,
        idle: random.pick(&[0, 1, 1, 2, 8]),
        linger: random.pick(&[us(0), us(1000), us(20_000)]),
        requests: random.pick(&[None, None, Some(1), Some(3)]),
        waiting: random.pick(&[0, 1, 5, 1000, 1000]),
        multiplex,
        idle_timeout: random.pick(&[None, Some(us(500)), Some(us(20_000)), Some(us(1_000_000))]),
        lifetime: random.pick(&[None, Some(us(10_000)), Some(us(1_000_000))]),
        queue_timeout: random.pick(&[None, Some(us(3000)), Some(us(100_000))]),
        patience: random.pick(&[us(0), us(1000), us(5000)]),
        backoff: random.pick(&[(us(1000), us(50_000)), (us(20_000), us(1_000_000))]),
    }
}

fn schedule(seed: u64) -> World {
    let mut random = Random(seed);
    let upstreams = random.pick(&[1, 1, 1, 2, 5]);
    let limits = any_limits(&mut random, upstreams);
    let fpms = (0..upstreams).map(|_| {
        let workers = usize::try_from(1 + random.below(8)).expect("few");
        Fpm::new(workers, random.pick(&[1, 4, 511]), random.pick(&[0, 0, 5, 50]))
    });
    let fpms = fpms.collect();
    let mut world = World::new(seed, limits, fpms);
    world.lazy = random.pick(&[0, 0, 30, 70]);
    world.model.is_lazy = world.lazy > 0;
    world.grain = random.pick(&[1, 100, 1000]);
    world.writes_early = random.pick(&[0, 50, 100]);
    world.lanes = random.pick(&[1, 2, 5]);
    let callers = 5 + random.below(80);
    let span = random.pick(&[1, 10_000, 200_000]);
    for caller in 0..callers {
        let script = us(1 + random.pick(&[10, 1000, 20_000]) * random.below(10));
        let at = us(random.below(span));
        world.come(at, script, u32::try_from(random.below(3)).expect("few"));
        if random.percent(15) {
            let late = us(random.below(20_000));
            world.cancel(usize::try_from(caller).expect("few"), at + late);
        }
    }
    for upstream in 0..usize::try_from(upstreams).expect("few") {
        if random.percent(25) {
            let down = us(random.pick(&[1, 1000, 100_000]));
            world.stop(upstream, us(random.below(span)), down);
        }
    }
    world.run();
    world
}

#[test]
fn schedules() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    if let Some(seed) = number("SEED") {
        schedule(seed);
        return;
    }
    let schedules = number("SCHEDULES").unwrap_or(4000);
    let (mut served, mut failed, mut cancelled) = (0, 0, 0);
    for seed in 0..schedules {
        let world = std::panic::catch_unwind(|| schedule(seed));
        let world = world.unwrap_or_else(|_| panic!("schedule {seed}"));
        for caller in &world.callers {
            match caller.state {
                State::Served => served += 1,
                State::Failed => failed += 1,
                _ => cancelled += 1,
            }
        }
    }
    // The schedules are worth something only if all of it happens.
    let is_enough = served > 25 * schedules && failed > 2 * schedules && cancelled > schedules / 2;
    assert!(is_enough, "{served} served, {failed} failed, {cancelled} cancelled");
}

/// A pool as it is by default.
fn default_limits() -> Limits {
    Limits {
        connections: 8,
        idle: 2,
        linger: us(20_000),
        requests: None,
        waiting: 1024,
        multiplex: 1,
        idle_timeout: Some(Duration::from_secs(10)),
        lifetime: Some(Duration::from_secs(300)),
        queue_timeout: Some(Duration::from_secs(5)),
        patience: us(5000),
        backoff: (us(20_000), us(1_000_000)),
    }
}

/// D1: 80 callers at once, 4 workers, scripts of 100 ms.
fn rush(writes_early: u64) -> World {
    let mut world = World::new(1, default_limits(), vec![Fpm::new(4, 511, 0)]);
    world.writes_early = writes_early;
    for _ in 0..80 {
        world.come(us(0), us(100_000), 0);
    }
    world.run();
    world
}

#[test]
fn more_callers_than_workers_are_all_served_in_turn() {
    for writes_early in [0, 50, 100] {
        let world = rush(writes_early);
        for (number, caller) in (0_u32..).zip(&world.callers) {
            assert_eq!(caller.state, State::Served);
            // The fifth waits for the first, and so on. Only those who dial at once may change places.
            let turn = us(100_000) * (number / 4 + 1);
            let place = us(100_000) * 2 + us(1000) * (number / 4 + 1);
            assert!(caller.ended <= turn + place, "{number} ended at {:?}", caller.ended);
        }
        let last = world.callers.iter().map(|caller| caller.ended).max();
        assert!(last <= Some(us(20 * 100_000 + 20 * 400)), "{last:?}");
    }
}

/// So many callers, each of whom comes again as soon as it was served.
fn steady(callers: u64, workers: usize, script: u64, again: u32) -> World {
    let mut world = World::new(1, default_limits(), vec![Fpm::new(workers, 511, 0)]);
    for caller in 0..callers {
        world.come(us(caller * 10), us(script + caller), again);
    }
    world.run();
    assert!(world.callers.iter().all(|caller| caller.state == State::Served));
    world
}

#[test]
fn with_workers_enough_connections_are_kept() {
    for callers in [1, 2, 4, 8] {
        let world = steady(callers, 8, 1000, 200);
        let snapshot = world.pool.snapshot();
        assert!(snapshot.dials < 2 * callers, "{callers} callers: {snapshot:?}");
    }
}

#[test]
fn with_fewer_workers_than_connections_nobody_starves() {
    for workers in [1, 2, 4, 7] {
        for callers in [8, 40] {
            let script = 1000;
            let world = steady(callers, workers, script, 50);
            let longest = world.callers.iter().map(|caller| caller.ended - caller.came).max();
            // Everybody once, and the patience of each time that a worker is handed on.
            let workers = u64::try_from(workers).expect("few");
            let fair = (callers.div_ceil(workers) + 1) * (script + 500) + 8 * 5000;
            assert!(longest <= Some(us(fair)), "{workers} workers, {callers} callers: {longest:?}");
        }
    }
}

/// An adapter that mixes everything up does harm to itself, but the accounts stay in order and nothing panics.
#[test]
fn careless_adapters() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let limits = any_limits(&mut random, 1);
        let mut world = World::new(seed, limits, vec![Fpm::new(1, 1, 0); 3]);
        let pool = &mut world.pool;
        let (mut conns, mut waiters) = (Vec::new(), Vec::new());
        let mut now = us(0);
        let note = |grant, conns: &mut Vec<_>, waiters: &mut Vec<_>| match grant {
            Grant::Reuse { conn, .. } | Grant::Dial { conn, .. } => conns.push(conn),
            Grant::Wait(waiter) => waiters.push(waiter),
        };
        for _ in 0..500 {
            now += us(random.pick(&[0, 0, 100, 10_000]));
            let now = now.saturating_sub(us(random.pick(&[0, 0, 5000])));
            if let Some(grant) = pool.acquire(now).ok().filter(|_| random.percent(90)) {
                note(grant, &mut conns, &mut waiters);
            }
            if !waiters.is_empty() && random.percent(30) {
                pool.cancel(random.pick(&waiters));
            }
            if conns.is_empty() {
                continue;
            }
            let conn = random.pick(&conns);
            match random.below(9) {
                0..=2 => pool.handle_connected(conn, now),
                3 => pool.handle_connect_error(conn, now),
                4 => pool.handle_first_byte(conn),
                5 => pool.handle_closed(conn, now),
                6 => pool.set_multiplex(
                    0,
                    random.pick(&[1, 2, 3].map(|n| NonZeroU16::MIN.saturating_add(n))),
                ),
                _ => {
                    pool.release(conn, random.percent(80), now);
                }
            }
            while let Some(action) = pool.poll_action(now).filter(|_| random.percent(90)) {
                if let Action::Grant(_, grant) = action {
                    note(grant, &mut conns, &mut waiters);
                }
            }
            let snapshot = pool.snapshot();
            assert!(snapshot.idle <= snapshot.connections && snapshot.connections <= 3 * 8);
        }
        // Once all is closed nothing is left behind.
        for conn in conns {
            pool.handle_closed(conn, now);
        }
        for _ in 0..1000 {
            match pool.poll_action(now) {
                Some(Action::Grant(_, Grant::Reuse { conn, .. } | Grant::Dial { conn, .. })) => {
                    pool.handle_closed(conn, now);
                }
                Some(_) => {}
                None => break,
            }
        }
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.connections - snapshot.in_flight, snapshot.idle), (0, 0), "{seed}");
    }
}
