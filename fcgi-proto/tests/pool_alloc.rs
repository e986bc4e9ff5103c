//! A pool allocates nothing once it has seen as many connections and callers before, and no call looks at all of them.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::time::Duration;
use std::alloc::System;
use std::time::Instant;

use fcgi_proto::pool::{Action, Config, ConnId, Grant, Pool};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Duration = Duration::from_secs(1);

fn busy(pool: &mut Pool) -> ConnId {
    match pool.acquire(NOW) {
        Ok(Grant::Dial { conn, .. }) => {
            pool.handle_connected(conn, NOW);
            pool.handle_first_byte(conn);
            conn
        }
        Ok(Grant::Reuse { conn, .. }) => conn,
        other => panic!("{other:?}"),
    }
}

/// Everything that happens to a pool: requests on kept connections and new ones, callers that wait, and those that leave.
fn round(pool: &mut Pool, size: usize, conns: &mut Vec<ConnId>) {
    conns.extend((0..size).map(|_| busy(pool)));
    for _ in 0..size {
        let Ok(Grant::Wait(waiter)) = pool.acquire(NOW) else { panic!("full") };
        if pool.snapshot().waiting % 2 == 0 {
            pool.cancel(waiter);
        }
    }
    for conn in conns.drain(..) {
        pool.release(conn, true, NOW);
    }
    while let Some(action) = pool.poll_action(NOW) {
        let Action::Grant(_, Grant::Reuse { conn, .. }) = action else { panic!("{action:?}") };
        conns.push(conn);
    }
    for (number, conn) in conns.drain(..).enumerate() {
        match number % 3 {
            0 => pool.handle_closed(conn, NOW),
            _ => assert!(pool.release(conn, number % 3 == 1, NOW).is_keep() == (number % 3 == 1)),
        }
    }
    assert!(pool.poll_timeout(NOW).is_some());
}

#[test]
fn a_warm_pool_allocates_nothing() {
    let config = Config::default().max_connections(100).max_idle(100);
    let mut pool = Pool::new(config, 1);
    let mut conns = Vec::new();
    for _ in 0..3 {
        round(&mut pool, 100, &mut conns);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..10 {
        round(&mut pool, 100, &mut conns);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn thousands_of_connections_cost_no_more_each() {
    // The shortest of several tries is what the work takes; a search through all would take a hundred times as long.
    let per_request = |size: usize| {
        let config = Config::default().max_connections(size).max_idle(size);
        let mut pool = Pool::new(config, 1);
        let mut conns = Vec::from_iter((0..size).map(|_| busy(&mut pool)));
        conns.drain(size / 2..).for_each(|conn| assert!(pool.release(conn, true, NOW).is_keep()));
        let tries = (0..20).map(|_| {
            let start = Instant::now();
            for _ in 0..1000 {
                let conn = busy(&mut pool);
                assert!(pool.release(conn, true, NOW).is_keep());
                assert!(pool.poll_action(NOW).is_none());
                assert!(pool.poll_timeout(NOW).is_some());
            }
            start.elapsed()
        });
        tries.min().expect("several tries")
    };
    let (few, many) = (per_request(100), per_request(10_000));
    assert!(many < few * 10, "{few:?} with 100, {many:?} with 10,000 connections");
}
