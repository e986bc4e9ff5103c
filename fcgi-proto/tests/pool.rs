//! The pool's policy, rule by rule. `pool_sim.rs` tries them all at once.

use core::num::NonZeroU16;
use core::time::Duration;

use fcgi_proto::pool::{
    AcquireError, Action, Attempt, Config, ConnId, Grant, Lane, Pool, Released, WaitError, WaiterId,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const START: Duration = ms(1000);
const LATE: Duration = Duration::from_secs(1 << 40);

fn many(requests: u16) -> NonZeroU16 {
    NonZeroU16::new(requests).expect("not 0")
}

/// Limits that no test meets by chance.
fn config() -> Config {
    Config::default().idle_timeout(None).max_lifetime(None).queue_timeout(None).max_idle(8)
}

fn pool(config: Config) -> Pool {
    Pool::new(config, 1)
}

/// What the tests want to say in one word.
trait Say {
    fn dial(&mut self, now: Duration) -> ConnId;
    fn open(&mut self, now: Duration) -> ConnId;
    fn served(&mut self, now: Duration) -> ConnId;
    fn reuse(&mut self, now: Duration) -> ConnId;
    fn wait(&mut self, now: Duration) -> WaiterId;
    fn actions(&mut self, now: Duration) -> Vec<Action>;
}

impl Say for Pool {
    /// A caller is told to dial.
    fn dial(&mut self, now: Duration) -> ConnId {
        match self.acquire(now) {
            Ok(Grant::Dial { conn, .. }) => conn,
            other => panic!("{other:?} instead of a dial"),
        }
    }

    /// A caller has dialled and waits for the first byte.
    fn open(&mut self, now: Duration) -> ConnId {
        let conn = self.dial(now);
        self.handle_connected(conn, now);
        conn
    }

    /// A caller has dialled, and a worker answers.
    fn served(&mut self, now: Duration) -> ConnId {
        let conn = self.open(now);
        self.handle_first_byte(conn);
        conn
    }

    fn reuse(&mut self, now: Duration) -> ConnId {
        match self.acquire(now) {
            Ok(Grant::Reuse { conn, .. }) => conn,
            other => panic!("{other:?} instead of a connection"),
        }
    }

    fn wait(&mut self, now: Duration) -> WaiterId {
        match self.acquire(now) {
            Ok(Grant::Wait(waiter)) => waiter,
            other => panic!("{other:?} instead of a place in the queue"),
        }
    }

    fn actions(&mut self, now: Duration) -> Vec<Action> {
        core::iter::from_fn(|| self.poll_action(now)).collect()
    }
}

fn reuse(waiter: WaiterId, conn: ConnId) -> Action {
    Action::Grant(waiter, Grant::Reuse { conn, upstream: 0 })
}

fn dialled(action: Option<&Action>) -> Option<(WaiterId, ConnId)> {
    match action {
        Some(Action::Grant(waiter, Grant::Dial { conn, .. })) => Some((*waiter, *conn)),
        _ => None,
    }
}

// Settings.

#[test]
fn at_most_so_many_connections() {
    for (config, limit) in [
        (Config::default(), 8),
        (Config::default().max_connections(3), 3),
        (Config::default().max_connections(0), 1),
    ] {
        let mut pool = pool(config);
        for _ in 0..limit {
            pool.dial(START);
        }
        pool.wait(START);
        assert_eq!(pool.snapshot().connections, limit);
        assert_eq!(pool.snapshot().waiting, 1);
    }
}

#[test]
fn at_most_so_many_idle() {
    for (config, open, limit) in [
        (Config::default(), 8, 2),
        (Config::default().max_connections(3), 3, 1),
        (Config::default().max_connections(100), 50, 25),
        (Config::default().max_idle(5), 8, 5),
        (Config::default().max_idle(0), 8, 0),
    ] {
        assert_eq!(config.allowed_idle(), limit);
        let mut pool = pool(config.linger(ms(0)));
        let conns = Vec::from_iter((0..open).map(|_| pool.served(START)));
        let released = conns.iter().map(|conn| pool.release(*conn, true, START));
        assert_eq!(released.filter(|released| released.is_keep()).count(), limit);
        assert_eq!(pool.snapshot().idle, limit);
        assert_eq!(pool.snapshot().connections, limit);
    }
}

#[test]
fn more_than_may_idle_linger_for_the_next_request() {
    for (config, linger) in [(config(), ms(20)), (config().linger(ms(7)), ms(7))] {
        let mut pool = pool(config.max_idle(1));
        let conns = [(); 3].map(|()| pool.served(START));
        for (conn, at) in conns.iter().zip(0..) {
            assert!(pool.release(*conn, true, START + ms(at)).is_keep());
        }
        // The one used last is used again, and those that idle longest go.
        assert_eq!(pool.reuse(START + ms(3)), conns[2]);
        assert_eq!(pool.poll_timeout(START + ms(3)), Some(START + linger));
        assert_eq!(pool.actions(START + linger - ms(1)), []);
        assert_eq!(pool.actions(START + linger), [Action::Close(conns[0])]);
        assert_eq!(pool.poll_timeout(START + linger), None, "one may idle");
        assert!(pool.release(conns[2], true, START + ms(100)).is_keep());
        assert_eq!(pool.actions(START + ms(100)), [Action::Close(conns[1])], "too many again");
        assert_eq!(pool.snapshot().idle, 1);
    }
}

#[test]
fn what_lingers_gives_way_to_who_waits_for_its_worker() {
    let mut pool = pool(config().max_idle(1));
    let conns = [(); 3].map(|()| pool.served(START));
    pool.release(conns[0], true, START);
    pool.release(conns[1], true, START);
    assert_eq!([(); 2].map(|()| pool.reuse(START)), [conns[1], conns[0]]);
    pool.dial(START);
    pool.release(conns[0], true, START + ms(4));
    assert_eq!(pool.actions(START + ms(5)), [Action::Close(conns[0])]);
    assert_eq!(pool.release(conns[1], true, START + ms(5)), Released::Close);
}

/// Otherwise a process that is slow itself, having much to do, would close its connections and have more to do.
#[test]
fn patience_follows_the_usual_time_of_requests() {
    // So long takes each request but the last, which takes none, and so long a fresh connection may wait then.
    for (usual, patience) in [(1, 5), (2, 7), (4, 14), (8, 28), (16, 50), (1000, 50)] {
        let mut pool = pool(config());
        let conn = pool.served(START);
        let mut now = START;
        for _ in 0..200 {
            now += ms(usual);
            assert!(pool.release(conn, true, now).is_keep());
            assert_eq!(pool.reuse(now), conn);
        }
        pool.open(now);
        assert!(pool.release(conn, true, now).is_keep());
        let end = pool.poll_timeout(now).expect("an idle connection and a fresh one");
        let error = end.abs_diff(now + ms(patience));
        assert!(error < ms(1), "{usual} ms: {:?}", end - now);
        assert_eq!(pool.actions(end), [Action::Close(conn)]);
    }
}

#[test]
fn without_keep_alive_no_connection_is_handed_on() {
    let mut pool = pool(config().max_idle(0).max_connections(1));
    let conn = pool.served(START);
    let waiter = pool.wait(START);
    assert_eq!(pool.release(conn, true, START), Released::Close);
    assert!(
        matches!(dialled(pool.actions(START).first()), Some((granted, _)) if granted == waiter)
    );
}

/// A pool with one idle connection since [`START`].
fn idling(config: Config) -> (Pool, ConnId) {
    let mut pool = pool(config);
    let conn = pool.served(START);
    assert_eq!(pool.release(conn, true, START), Released::Keep);
    assert_eq!(pool.actions(START), []);
    (pool, conn)
}

// spec: S20
#[test]
fn idle_ones_are_closed_in_time() {
    for (config, limit) in [
        (Config::default(), Some(ms(10_000))),
        (Config::default().idle_timeout(ms(7)), Some(ms(7))),
        (Config::default().idle_timeout(None).max_lifetime(None), None),
        (Config::default().idle_timeout(Duration::ZERO).max_lifetime(None), None),
    ] {
        let (mut pool, conn) = idling(config);
        assert_eq!(pool.poll_timeout(START), limit.map(|limit| START + limit));
        let Some(limit) = limit else {
            assert_eq!(pool.actions(LATE), []);
            continue;
        };
        assert_eq!(pool.actions(START + limit - ms(1)), []);
        assert_eq!(pool.actions(START + limit), [Action::Close(conn)]);
        assert_eq!(pool.snapshot().connections, 0);
        assert_eq!(pool.poll_timeout(START + limit), None);
    }
}

#[test]
fn using_one_begins_its_idle_time_anew() {
    let (mut pool, conn) = idling(config().idle_timeout(ms(10)));
    let later = START + ms(9);
    assert_eq!(pool.reuse(later), conn);
    assert_eq!(pool.poll_timeout(later), None);
    assert!(pool.release(conn, true, later).is_keep());
    assert_eq!(pool.poll_timeout(later), Some(later + ms(10)));
    assert_eq!(pool.actions(START + ms(10)), []);
}

#[test]
fn each_idle_one_has_its_own_time() {
    let mut pool = pool(config().idle_timeout(ms(10)));
    let conns = [(); 3].map(|()| pool.served(START));
    for (delay, conn) in (0..).zip(conns) {
        assert!(pool.release(conn, true, START + ms(delay)).is_keep());
    }
    for (delay, conn) in (10..).zip(conns) {
        let due = START + ms(delay);
        assert_eq!(pool.poll_timeout(due - ms(1)), Some(due));
        assert_eq!(pool.actions(due), [Action::Close(conn)]);
    }
}

#[test]
fn an_idle_one_whose_time_is_over_is_not_granted() {
    // The adapter has not called in time.
    let (mut pool, conn) = idling(config().idle_timeout(ms(10)).max_connections(1).max_waiting(0));
    let fresh = pool.dial(START + ms(10));
    assert_ne!(fresh, conn);
    assert_eq!(pool.actions(START + ms(10)), [Action::Close(conn)]);
}

// spec: S20
#[test]
fn old_ones_carry_no_more() {
    for (config, limit) in [
        (Config::default().idle_timeout(None), Some(ms(300_000))),
        (Config::default().idle_timeout(None).max_lifetime(ms(20)), Some(ms(20))),
        (Config::default().idle_timeout(None).max_lifetime(Duration::ZERO), None),
    ] {
        let (mut pool, conn) = idling(config.clone());
        assert_eq!(pool.poll_timeout(START), limit.map(|limit| START + limit));
        let Some(limit) = limit else { continue };
        assert_eq!(pool.actions(START + limit), [Action::Close(conn)], "idle");

        let (mut pool, conn) = idling(config);
        assert_eq!(pool.reuse(START), conn);
        assert_eq!(pool.actions(START + limit), [], "in use");
        assert_eq!(pool.poll_timeout(START + limit), None, "once is enough");
        assert_eq!(pool.release(conn, true, START + limit), Released::Close);
    }
}

#[test]
fn age_counts_from_when_it_was_open() {
    let mut pool = pool(config().max_lifetime(ms(20)));
    let conn = pool.dial(START);
    assert_eq!(pool.poll_timeout(START), None);
    pool.handle_connected(conn, START + ms(15));
    pool.handle_first_byte(conn);
    assert!(pool.release(conn, true, START + ms(34)).is_keep());
    assert_eq!(pool.actions(START + ms(35)), [Action::Close(conn)]);
}

#[test]
fn so_many_requests_and_no_more() {
    for (limit, carries) in [(Some(1), 1), (Some(3), 3), (Some(0), 9), (None, 9)] {
        let mut pool = pool(config().max_requests(limit));
        let conn = pool.served(START);
        for number in 1..=9 {
            let released = pool.release(conn, true, START);
            assert_eq!(released.is_keep(), number < carries || carries == 9, "{limit:?} {number}");
            if !released.is_keep() {
                pool.dial(START);
                break;
            }
            assert_eq!(pool.reuse(START), conn);
        }
    }
}

#[test]
fn a_connection_with_too_many_requests_is_not_shared() {
    let mut pool = pool(config().max_requests(2).multiplex(many(9)));
    let conn = pool.served(START);
    assert_eq!(pool.reuse(START), conn);
    assert_ne!(pool.dial(START), conn);
    assert!(pool.release(conn, true, START).is_keep(), "the other is still on it");
    assert!(!pool.release(conn, true, START).is_keep());
}

#[test]
fn so_many_may_wait() {
    for (config, limit) in [
        (Config::default(), 1024),
        (Config::default().max_waiting(2), 2),
        (Config::default().max_waiting(0), 0),
    ] {
        let mut pool = pool(config.max_connections(1));
        pool.dial(START);
        for _ in 0..limit {
            pool.wait(START);
        }
        let refused = AcquireError::QueueFull { limit };
        assert_eq!(pool.acquire(START), Err(refused));
        assert_eq!(refused.to_string(), format!("{limit} callers wait for a connection already"));
        assert_eq!(pool.snapshot().turned_away, 1);
        assert_eq!(pool.snapshot().waiting, limit);
    }
}

#[test]
fn who_may_not_wait_does_not_wait_for_a_dial_either() {
    let mut pool = pool(config().max_waiting(0).multiplex(many(9)).max_connections(2));
    pool.dial(START);
    pool.dial(START);
    assert!(pool.acquire(START).is_err());
}

#[test]
fn waiting_ends_in_time() {
    for (config, limit) in [
        (Config::default(), Some(ms(5000))),
        (Config::default().queue_timeout(ms(7)), Some(ms(7))),
        (Config::default().queue_timeout(None), None),
        (Config::default().queue_timeout(Duration::ZERO), None),
    ] {
        let mut pool = pool(config.max_connections(1));
        pool.dial(START);
        let (first, second) = (pool.wait(START), pool.wait(START + ms(1)));
        assert_eq!(pool.poll_timeout(START + ms(1)), limit.map(|limit| START + limit));
        let Some(limit) = limit else {
            assert_eq!(pool.actions(LATE), []);
            continue;
        };
        let due = START + limit;
        assert_eq!(pool.actions(due - ms(1)), []);
        assert_eq!(pool.actions(due), [Action::Fail(first, WaitError::Expired)]);
        assert_eq!(pool.poll_timeout(due), Some(due + ms(1)));
        assert_eq!(pool.actions(due + ms(1)), [Action::Fail(second, WaitError::Expired)]);
        assert_eq!((pool.snapshot().expired, pool.snapshot().waiting), (2, 0));
    }
}

#[test]
fn waits_in_vain_say_why() {
    assert_eq!(WaitError::Expired.to_string(), "no connection became free in time");
    assert_eq!(WaitError::Unreachable.to_string(), "no address could be connected to");
}

#[test]
fn times_out_of_order_count_as_the_latest() {
    let mut pool = pool(config().max_connections(1).queue_timeout(ms(10)));
    pool.dial(START);
    let first = pool.wait(START + ms(1));
    let second = pool.wait(START);
    let both = [first, second].map(|waiter| Action::Fail(waiter, WaitError::Expired));
    assert_eq!(pool.actions(START + ms(10)), []);
    assert_eq!(pool.actions(START + ms(11)), both);
}

// Turns.

#[test]
fn turns_come_in_order() {
    let mut pool = pool(config().max_connections(2));
    let conns = [(); 2].map(|()| pool.served(START));
    let waiters = [(); 3].map(|()| pool.wait(START));
    assert!(pool.release(conns[1], true, START).is_keep());
    assert_eq!(pool.snapshot().idle, 0);
    assert!(pool.release(conns[0], true, START).is_keep());
    let last = pool.wait(START);
    assert_eq!(pool.actions(START), [reuse(waiters[0], conns[1]), reuse(waiters[1], conns[0])]);
    pool.release(conns[0], true, START);
    pool.release(conns[1], true, START);
    assert_eq!(pool.actions(START), [reuse(waiters[2], conns[0]), reuse(last, conns[1])]);
    assert_eq!(pool.snapshot().reuses, 4);
}

#[test]
fn a_turn_comes_however_a_place_becomes_free() {
    type Free = fn(&mut Pool, ConnId);
    let ways: [(&str, Free); 4] = [
        ("ended badly", |pool, conn| assert!(!pool.release(conn, false, START).is_keep())),
        ("broke", |pool, conn| pool.handle_closed(conn, START)),
        ("dial given up", |pool, conn| assert!(!pool.release(conn, true, START).is_keep())),
        ("dial broke", |pool, conn| pool.handle_closed(conn, START)),
    ];
    for (way, free) in ways {
        let mut pool = pool(config().max_connections(1));
        let conn = if way.starts_with("dial") { pool.dial(START) } else { pool.served(START) };
        let waiter = pool.wait(START);
        free(&mut pool, conn);
        let actions = pool.actions(START);
        let (granted, fresh) = dialled(actions.first()).expect(way);
        assert_eq!(granted, waiter, "{way}");
        assert_ne!(fresh, conn, "{way}");
        assert_eq!(actions.len(), 1, "{way}");
    }
}

#[test]
fn the_one_used_last_is_used_next() {
    let mut pool = pool(config());
    let conns = [(); 3].map(|()| pool.served(START));
    for conn in [conns[1], conns[2], conns[0]] {
        assert!(pool.release(conn, true, START).is_keep());
    }
    assert_eq!([(); 3].map(|()| pool.reuse(START)), [conns[0], conns[2], conns[1]]);
}

#[test]
fn who_expires_at_the_moment_of_a_release_has_expired() {
    let mut pool = pool(config().max_connections(1).queue_timeout(ms(10)));
    let conn = pool.served(START);
    let waiter = pool.wait(START);
    assert!(pool.release(conn, true, START + ms(10)).is_keep());
    assert_eq!(pool.actions(START + ms(10)), [Action::Fail(waiter, WaitError::Expired)]);
    assert_eq!(pool.snapshot().idle, 1);
}

// Giving way.

#[test]
fn a_fresh_connection_is_waited_for_so_long() {
    for (config, patience) in
        [(config(), ms(5)), (config().patience(ms(30)), ms(30)), (config().patience(ms(0)), ms(0))]
    {
        // Released before, at and after the end of patience.
        for (after, keeps) in
            [(patience.saturating_sub(ms(1)), true), (patience, false), (LATE, false)]
        {
            let mut pool = pool(config.clone());
            let old = pool.served(START);
            let fresh = pool.open(START);
            let keeps = keeps && patience > ms(0);
            assert_eq!(pool.release(old, true, START + after).is_keep(), keeps, "{after:?}");
            pool.handle_first_byte(fresh);
            assert!(pool.release(fresh, true, START + after).is_keep());
        }
    }
}

#[test]
fn idle_ones_are_closed_when_a_fresh_one_gets_no_answer() {
    let mut pool = pool(config());
    let idle = [(); 2].map(|()| pool.served(START));
    let fresh = pool.open(START);
    for conn in idle {
        assert!(pool.release(conn, true, START + ms(1)).is_keep());
    }
    assert_eq!(pool.poll_timeout(START + ms(1)), Some(START + ms(5)));
    assert_eq!(pool.actions(START + ms(4)), []);
    assert_eq!(pool.actions(START + ms(5)), idle.map(Action::Close));
    assert_eq!(pool.poll_timeout(START + ms(5)), None);
    pool.handle_first_byte(fresh);
    assert!(pool.release(fresh, true, START + ms(6)).is_keep());
}

#[test]
fn idle_ones_stay_when_the_answer_comes() {
    let mut pool = pool(config());
    let (idle, fresh) = (pool.served(START), pool.open(START));
    assert!(pool.release(idle, true, START).is_keep());
    pool.handle_first_byte(fresh);
    assert_eq!(pool.poll_timeout(START), None);
    assert_eq!(pool.actions(LATE), []);
}

#[test]
fn one_being_dialled_waits_already() {
    // A listen queue that is full keeps `connect` waiting.
    let mut pool = pool(config());
    let idle = pool.served(START);
    pool.dial(START);
    assert!(pool.release(idle, true, START).is_keep());
    assert_eq!(pool.actions(START + ms(5)), [Action::Close(idle)]);
}

#[test]
fn a_fresh_one_that_is_gone_is_not_waited_for() {
    for is_open in [false, true] {
        let mut pool = pool(config());
        let (idle, fresh) = (pool.served(START), pool.dial(START));
        if is_open {
            pool.handle_connected(fresh, START);
        }
        assert!(pool.release(idle, true, START).is_keep());
        pool.release(fresh, false, START);
        assert_eq!(pool.poll_timeout(START), None);
        assert_eq!(pool.actions(START + ms(5)), []);
    }
}

#[test]
fn a_good_end_is_as_good_as_a_first_byte() {
    let mut pool = pool(config());
    let (other, conn) = (pool.served(START), pool.open(START));
    assert!(pool.release(other, true, START).is_keep());
    assert!(pool.release(conn, true, START).is_keep());
    assert_eq!(pool.poll_timeout(START), None);
    // Nor is it waited for when it carries the next request.
    assert_eq!(pool.reuse(START), conn);
    assert_eq!(pool.actions(LATE), []);
    assert_eq!(pool.snapshot().idle, 1);
}

#[test]
fn the_queue_does_not_overtake_who_waits_for_a_worker() {
    let mut pool = pool(config().max_connections(2));
    let served = pool.served(START);
    pool.open(START); // no worker for this one
    let waiter = pool.wait(START);
    assert_eq!(pool.release(served, true, START + ms(5)), Released::Close);
    assert!(
        matches!(dialled(pool.actions(START + ms(5)).first()), Some((granted, _)) if granted == waiter)
    );
}

#[test]
fn at_another_address_nobody_gives_way() {
    let mut pool = Pool::new(config().max_connections(1), 2);
    let (idle, fresh) = (next(&mut pool).0, next(&mut pool).0);
    pool.handle_connected(idle, START);
    pool.handle_connected(fresh, START);
    assert!(pool.release(idle, true, START + ms(5)).is_keep());
    assert_eq!(pool.actions(LATE), []);
}

// Failing.

#[test]
fn an_address_is_left_alone_for_longer_each_time() {
    for (config, pauses) in [
        (Config::default(), [20, 40, 80, 160, 320, 640, 1000, 1000]),
        (config().backoff(ms(3), ms(10)), [3, 6, 10, 10, 10, 10, 10, 10]),
        (config().backoff(ms(3), ms(1)), [3; 8]),
    ] {
        let mut pool = pool(config.queue_timeout(None));
        let mut now = START;
        let mut conn = pool.dial(now);
        for pause in pauses {
            pool.handle_connect_error(conn, now);
            let waiter = pool.wait(now);
            assert_eq!(pool.actions(now + ms(pause - 1)), [], "{pause}");
            assert_eq!(pool.poll_timeout(now), Some(now + ms(pause)));
            now += ms(pause);
            let (granted, fresh) = dialled(pool.actions(now).first()).expect("time has passed");
            assert_eq!(granted, waiter);
            conn = fresh;
        }
        assert_eq!(pool.snapshot().failed_dials, 8);
        assert_eq!(pool.snapshot().dials, 9);
        // Success ends it.
        pool.handle_connected(conn, now);
        let conn = pool.dial(now);
        pool.handle_connect_error(conn, now);
        pool.wait(now);
        assert_eq!(pool.poll_timeout(now), Some(now + ms(pauses[0])));
    }
}

#[test]
fn dials_that_fail_together_count_once() {
    let mut pool = pool(config());
    let conns = [(); 8].map(|()| pool.dial(START));
    for conn in conns {
        pool.handle_connect_error(conn, START);
    }
    pool.wait(START);
    assert_eq!(pool.poll_timeout(START), Some(START + ms(20)));
    assert_eq!(pool.snapshot().failed_dials, 8);
}

#[test]
fn endless_backoff_is_no_overflow() {
    let mut pool = pool(config().backoff(Duration::MAX, Duration::MAX));
    let conn = pool.dial(START);
    pool.handle_connect_error(conn, START);
    pool.wait(START);
    assert_eq!(pool.poll_timeout(START), Some(Duration::MAX));
}

#[test]
fn all_are_told_when_nothing_can_be_reached() {
    let mut pool = pool(config().max_connections(2));
    let conns = [(); 2].map(|()| pool.dial(START));
    let waiters = [(); 2].map(|()| pool.wait(START));
    pool.handle_connect_error(conns[0], START);
    let told = waiters.map(|waiter| Action::Fail(waiter, WaitError::Unreachable));
    assert_eq!(pool.actions(START), told);
    // Who comes later waits for the next attempt.
    let waiter = pool.wait(START);
    pool.handle_connect_error(conns[1], START);
    assert_eq!(pool.actions(START), [Action::Fail(waiter, WaitError::Unreachable)]);
    assert_eq!(pool.snapshot().connections, 0);
}

#[test]
fn nobody_is_told_while_a_connection_is_open() {
    let mut pool = pool(config().max_connections(2));
    let open = pool.served(START);
    let dialling = pool.dial(START);
    let waiter = pool.wait(START);
    pool.handle_connect_error(dialling, START);
    assert_eq!(pool.actions(START), []);
    assert!(pool.release(open, true, START).is_keep());
    assert_eq!(pool.actions(START), [reuse(waiter, open)]);
}

#[test]
fn an_open_connection_serves_during_backoff() {
    let mut pool = pool(config());
    let (open, dialling) = (pool.served(START), pool.dial(START));
    pool.handle_connect_error(dialling, START);
    assert!(pool.release(open, true, START).is_keep());
    assert_eq!(pool.reuse(START), open);
}

#[test]
fn a_connect_error_on_an_open_connection_only_closes_it() {
    let mut pool = pool(config());
    let conn = pool.served(START);
    pool.handle_connect_error(conn, START);
    assert_eq!(pool.snapshot().failed_dials, 0);
    assert_eq!(pool.snapshot().connections, 0);
    pool.dial(START);
}

// Several addresses.

/// Where the next request goes.
fn next(pool: &mut Pool) -> (ConnId, usize) {
    match pool.acquire(START) {
        Ok(Grant::Dial { conn, upstream } | Grant::Reuse { conn, upstream }) => (conn, upstream),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_addresses_the_less_busy_one_is_taken() {
    let mut pool = Pool::new(config().max_connections(100), 2);
    let mut counts = [0_u32; 2];
    for _ in 0..100 {
        counts[next(&mut pool).1] += 1;
        assert!(counts[0].abs_diff(counts[1]) <= 1, "both are picked, and compared");
    }
}

#[test]
fn many_addresses_are_used_alike() {
    let mut pool = Pool::new(config().max_connections(10_000), 10);
    let mut counts = [0_u32; 10];
    for _ in 0..10_000 {
        counts[next(&mut pool).1] += 1;
    }
    // Choosing of one at random would differ by a hundred and more.
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most - least < 20), "{counts:?}");
}

#[test]
fn idle_addresses_are_picked_at_random() {
    for seed in [0, 1, 7] {
        let mut pool = Pool::new(config().seed(seed), 4);
        let mut counts = [0_u32; 4];
        for _ in 0..4000 {
            let (conn, upstream) = next(&mut pool);
            counts[upstream] += 1;
            pool.release(conn, false, START);
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{seed} {counts:?}");
    }
}

#[test]
fn seeds_differ() {
    let order = |seed| {
        let mut pool = Pool::new(config().seed(seed), 64);
        Vec::from_iter((0..20).map(|_| next(&mut pool).1))
    };
    assert_eq!(order(5), order(5));
    assert_ne!(order(5), order(6));
}

#[test]
fn limits_count_for_each_address() {
    let mut pool = Pool::new(config().max_connections(2), 3);
    let mut counts = [0; 3];
    for _ in 0..6 {
        counts[next(&mut pool).1] += 1;
    }
    assert_eq!(counts, [2; 3]);
    pool.wait(START);
}

#[test]
fn no_address_counts_as_one() {
    assert_eq!(next(&mut Pool::new(config(), 0)).1, 0);
}

#[test]
fn a_dead_address_is_passed_over() {
    let mut pool = Pool::new(config().max_connections(1), 2);
    let ((dead, down), (up, _)) = (next(&mut pool), next(&mut pool));
    let waiter = pool.wait(START);
    pool.handle_connected(up, START);
    pool.handle_connect_error(dead, START);
    assert_eq!(pool.actions(START), []);
    assert_eq!(pool.poll_timeout(START), Some(START + ms(20)));
    // The other one serves, or this one when its time has passed.
    let actions = pool.actions(START + ms(20));
    let [Action::Grant(granted, Grant::Dial { upstream, .. })] = actions[..] else { panic!() };
    assert_eq!((granted, upstream), (waiter, down));
}

#[test]
fn all_are_told_when_the_last_address_fails() {
    let mut pool = Pool::new(config().max_connections(1), 2);
    let (one, two) = (next(&mut pool).0, next(&mut pool).0);
    let waiter = pool.wait(START);
    pool.handle_connect_error(one, START);
    assert_eq!(pool.actions(START), []);
    pool.handle_connect_error(two, START);
    assert_eq!(pool.actions(START), [Action::Fail(waiter, WaitError::Unreachable)]);
}

// Multiplexing.

#[test]
fn so_many_requests_share_a_connection() {
    let mut pool = pool(config().multiplex(many(3)).max_connections(2));
    let conn = pool.open(START);
    assert_eq!([(); 2].map(|()| pool.reuse(START)), [conn; 2]);
    let other = pool.open(START);
    assert_ne!(other, conn);
    assert_eq!([(); 2].map(|()| pool.reuse(START)), [other; 2]);
    let waiter = pool.wait(START);
    assert_eq!(pool.snapshot().in_flight, 6);
    assert!(pool.release(conn, true, START).is_keep());
    assert_eq!(pool.actions(START), [reuse(waiter, conn)]);
}

#[test]
fn who_can_share_waits_for_a_dial_under_way() {
    let mut pool = pool(config().multiplex(many(3)));
    let conn = pool.dial(START);
    let waiters = [(); 2].map(|()| pool.wait(START));
    assert_eq!(pool.actions(START), []);
    // A third would find no room on that one.
    let third = pool.wait(START);
    let actions = pool.actions(START);
    let (granted, other) = dialled(actions.first()).expect("a second dial");
    assert_eq!(granted, waiters[0], "in the order of coming");
    pool.handle_connected(conn, START);
    assert_eq!(pool.actions(START), [reuse(waiters[1], conn), reuse(third, conn)]);
    pool.handle_connected(other, START);
    assert_eq!(pool.actions(START), []);
    assert_eq!(pool.snapshot().in_flight, 4);
}

#[test]
fn when_the_dial_is_given_up_the_next_one_dials() {
    type Fail = fn(&mut Pool, ConnId);
    let ways: [Fail; 2] = [
        |pool, conn| assert!(!pool.release(conn, false, START).is_keep()),
        |pool, conn| pool.handle_closed(conn, START),
    ];
    for fail in ways {
        let mut pool = pool(config().multiplex(many(9)));
        let conn = pool.dial(START);
        let waiters = [(); 2].map(|()| pool.wait(START));
        fail(&mut pool, conn);
        let actions = pool.actions(START);
        assert_eq!(dialled(actions.first()).map(|(granted, _)| granted), Some(waiters[0]));
        assert_eq!(actions.len(), 1);
    }
}

#[test]
fn a_shared_connection_goes_with_its_last_request() {
    let mut pool = pool(config().multiplex(many(3)));
    let conn = pool.open(START);
    pool.reuse(START);
    pool.reuse(START);
    assert_eq!(pool.release(conn, false, START), Released::Keep, "two others are on it");
    assert_ne!(pool.dial(START), conn, "but no more may come");
    assert_eq!(pool.release(conn, true, START), Released::Keep);
    assert_eq!(pool.release(conn, true, START), Released::Close);
}

#[test]
fn a_broken_shared_connection_takes_all_along() {
    let mut pool = pool(config().multiplex(many(3)));
    let conn = pool.open(START);
    pool.reuse(START);
    pool.handle_closed(conn, START);
    assert_eq!(pool.snapshot().in_flight, 0);
    assert_eq!(pool.release(conn, true, START), Released::Close);
    assert_eq!(pool.snapshot().connections, 0);
}

#[test]
fn a_multiplexing_application_has_no_worker_to_wait_for() {
    let mut pool = pool(config().multiplex(many(2)).max_connections(2).patience(ms(0)));
    let conn = pool.open(START);
    pool.reuse(START);
    pool.open(START);
    pool.release(conn, true, START);
    assert_eq!(pool.release(conn, true, START), Released::Keep);
    assert_eq!(pool.actions(LATE), []);
}

#[test]
fn requests_gather_on_a_shared_connection() {
    let mut pool = pool(config().multiplex(many(2)));
    let one = pool.open(START);
    pool.reuse(START);
    let two = pool.open(START);
    pool.release(one, true, START);
    pool.release(one, true, START);
    assert_eq!(pool.reuse(START), two, "the idle one may grow old");
}

#[test]
fn an_address_can_be_found_to_multiplex() {
    let mut pool = pool(config().max_connections(1));
    let conn = pool.open(START);
    let waiters = [(); 3].map(|()| pool.wait(START));
    pool.set_multiplex(0, many(3));
    assert_eq!(pool.actions(START), [reuse(waiters[0], conn), reuse(waiters[1], conn)]);
    // And not to.
    pool.set_multiplex(0, many(1));
    assert!(pool.release(conn, true, START).is_keep());
    assert!(pool.release(conn, true, START).is_keep());
    assert_eq!(pool.actions(START), []);
    assert!(pool.release(conn, true, START).is_keep());
    assert_eq!(pool.actions(START), [reuse(waiters[2], conn)]);
    pool.set_multiplex(7, many(3)); // no such address
}

#[test]
fn only_the_address_that_was_asked_multiplexes() {
    let mut pool = Pool::new(config().max_connections(1), 2);
    let (one, first) = next(&mut pool);
    pool.handle_connected(one, START);
    let (two, second) = next(&mut pool);
    pool.handle_connected(two, START);
    assert_ne!(first, second);
    pool.set_multiplex(second, many(2));
    assert_eq!(next(&mut pool), (two, second));
    pool.wait(START);
}

// Giving up.

#[test]
fn who_waits_may_give_up() {
    let mut pool = pool(config().max_connections(1).queue_timeout(ms(10)));
    let conn = pool.served(START);
    let waiters = [(); 4].map(|()| pool.wait(START));
    for waiter in [waiters[2], waiters[0], waiters[2]] {
        pool.cancel(waiter);
    }
    assert_eq!(pool.snapshot().waiting, 2);
    pool.release(conn, true, START);
    assert_eq!(pool.actions(START), [reuse(waiters[1], conn)]);
    pool.cancel(waiters[1]); // too late: the grant is to be released
    assert_eq!(pool.snapshot().in_flight, 1);
    pool.release(conn, true, START);
    assert_eq!(pool.actions(START), [reuse(waiters[3], conn)]);
}

#[test]
fn an_unheard_grant_of_a_connection_goes_to_the_next() {
    let mut pool = pool(config().max_connections(1));
    let conn = pool.served(START);
    let waiters = [(); 2].map(|()| pool.wait(START));
    pool.release(conn, true, START);
    pool.cancel(waiters[0]);
    assert_eq!(pool.actions(START), [reuse(waiters[1], conn)]);
    assert_eq!(pool.snapshot().reuses, 1);
}

#[test]
fn an_unheard_grant_of_a_connection_lets_it_idle() {
    let mut pool = pool(config().max_connections(1).idle_timeout(ms(10)));
    let conn = pool.served(START);
    let waiter = pool.wait(START);
    pool.release(conn, true, START);
    pool.cancel(waiter);
    assert_eq!(pool.actions(START), []);
    assert_eq!((pool.snapshot().idle, pool.snapshot().reuses), (1, 0));
    assert_eq!(pool.poll_timeout(START), Some(START + ms(10)));
    assert_eq!(pool.reuse(START), conn);
}

#[test]
fn an_unheard_grant_does_not_count() {
    let mut pool = pool(config().max_connections(1).max_requests(3));
    let conn = pool.served(START);
    let waiter = pool.wait(START);
    pool.release(conn, true, START);
    pool.cancel(waiter);
    for is_kept in [true, false] {
        assert_eq!(pool.reuse(START), conn);
        assert_eq!(pool.release(conn, true, START).is_keep(), is_kept);
    }
}

#[test]
fn an_unheard_grant_does_not_let_too_many_idle() {
    let mut pool = pool(config().max_connections(2).max_idle(1).linger(ms(0)));
    let conns = [(); 2].map(|()| pool.served(START));
    let waiter = pool.wait(START);
    pool.release(conns[0], true, START);
    assert!(pool.release(conns[1], true, START).is_keep());
    pool.cancel(waiter);
    assert_eq!(pool.actions(START), [Action::Close(conns[0])]);
    assert_eq!(pool.snapshot().idle, 1);
}

#[test]
fn an_unheard_grant_of_a_dial_goes_to_the_next() {
    let mut pool = pool(config().max_connections(1));
    let conn = pool.served(START);
    let waiters = [(); 2].map(|()| pool.wait(START));
    pool.handle_closed(conn, START);
    pool.cancel(waiters[0]);
    let actions = pool.actions(START);
    assert_eq!(dialled(actions.first()).map(|(granted, _)| granted), Some(waiters[1]));
    assert_eq!(actions.len(), 1);
    assert_eq!((pool.snapshot().connections, pool.snapshot().dials), (1, 2));
}

#[test]
fn an_unheard_failure_is_dropped() {
    let mut pool = pool(config().max_connections(1).queue_timeout(ms(10)));
    pool.dial(START);
    let waiters = [(); 2].map(|()| pool.wait(START));
    assert_eq!(
        pool.poll_action(START + ms(10)),
        Some(Action::Fail(waiters[0], WaitError::Expired))
    );
    assert_eq!(pool.poll_timeout(START + ms(10)), Some(START + ms(10)), "there is more to do");
    pool.cancel(waiters[1]);
    pool.cancel(waiters[0]);
    assert_eq!(pool.actions(START + ms(10)), []);
}

// Connections that go.

// spec: S22
#[test]
fn a_stale_connection_is_forgotten() {
    let (mut pool, conn) = idling(config());
    assert_eq!(pool.reuse(START), conn);
    pool.handle_closed(conn, START);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.connections, snapshot.idle, snapshot.in_flight), (0, 0, 0));
    pool.dial(START);
}

#[test]
fn an_idle_connection_may_break() {
    let (mut pool, conn) = idling(config().idle_timeout(ms(10)));
    pool.handle_closed(conn, START);
    assert_eq!((pool.snapshot().connections, pool.snapshot().idle), (0, 0));
    assert_eq!(pool.poll_timeout(START), None);
    assert_eq!(pool.actions(LATE), []);
}

#[test]
fn a_connection_that_breaks_before_its_grant_is_heard_of_is_replaced() {
    let mut pool = pool(config().max_connections(2).queue_timeout(ms(10)));
    let conns = [(); 2].map(|()| pool.served(START));
    let waiters = [(); 3].map(|()| pool.wait(START));
    pool.release(conns[0], true, START);
    pool.release(conns[1], true, START);
    pool.handle_closed(conns[0], START);
    let actions = pool.actions(START);
    assert_eq!(actions[0], reuse(waiters[1], conns[1]));
    assert_eq!(dialled(actions.get(1)).map(|(granted, _)| granted), Some(waiters[0]));
    assert_eq!(actions.len(), 2);
    assert_eq!((pool.snapshot().reuses, pool.snapshot().waiting), (1, 1));
}

#[test]
fn a_connection_that_becomes_unfit_before_its_grant_is_heard_of_is_replaced() {
    let mut pool = pool(config().max_connections(2).multiplex(many(2)));
    let conns = [pool.open(START), pool.reuse(START), pool.open(START), pool.reuse(START)];
    let waiters = [(); 2].map(|()| pool.wait(START));
    pool.release(conns[0], true, START);
    assert!(pool.release(conns[0], false, START) == Released::Close, "nobody is on it any more");
    let actions = pool.actions(START);
    assert_eq!(dialled(actions.first()).map(|(granted, _)| granted), Some(waiters[0]));
    assert_eq!(actions.len(), 1, "the other waits for that dial");
    assert_eq!((pool.snapshot().reuses, pool.snapshot().waiting), (2, 1));
}

#[test]
fn who_cannot_be_granted_anew_waits_on_in_order() {
    let mut pool = pool(config().max_connections(3).queue_timeout(ms(10)));
    let conns = [(); 2].map(|()| pool.served(START));
    let dialling = pool.dial(START);
    let waiters = [(); 3].map(|()| pool.wait(START));
    pool.handle_connect_error(dialling, START);
    pool.release(conns[0], true, START);
    pool.release(conns[1], true, START);
    pool.handle_closed(conns[1], START + ms(1));
    pool.handle_closed(conns[0], START + ms(1));
    assert_eq!(pool.actions(START + ms(1)), []);
    assert_eq!(pool.snapshot().waiting, 3);
    assert_eq!(pool.poll_timeout(START + ms(1)), Some(START + ms(10)));
    let told = waiters.map(|waiter| Action::Fail(waiter, WaitError::Expired));
    assert_eq!(pool.actions(START + ms(10)), told);
}

#[test]
fn a_name_outlives_its_connection() {
    let mut pool = pool(config());
    let old = pool.served(START);
    pool.handle_closed(old, START);
    let new = pool.dial(START); // in the same place
    assert_ne!(old, new);
    let before = pool.snapshot();
    assert_eq!(pool.release(old, true, START), Released::Close);
    pool.handle_connected(old, START);
    pool.handle_first_byte(old);
    pool.handle_connect_error(old, START);
    pool.handle_closed(old, START);
    assert_eq!(pool.snapshot(), before);
    pool.handle_connected(new, START);
    let other = pool.served(START);
    assert!(pool.release(other, true, START).is_keep());
    pool.handle_first_byte(old);
    assert_eq!(pool.actions(START + ms(5)), [Action::Close(other)], "the new one still waits");
    assert!(pool.release(new, true, START).is_keep());
}

#[test]
fn news_that_came_before_changes_nothing() {
    let mut pool = pool(config());
    let conn = pool.served(START);
    pool.handle_connected(conn, START);
    pool.handle_first_byte(conn);
    assert!(pool.release(conn, true, START).is_keep());
    let before = pool.snapshot();
    assert!(pool.release(conn, false, START).is_keep(), "it carries no request");
    assert_eq!(pool.snapshot(), before);
}

#[test]
fn figures() {
    let mut pool = pool(config().max_connections(2));
    let (one, two) = (pool.served(START), pool.dial(START));
    let waiter = pool.wait(START);
    let now = pool.snapshot();
    assert_eq!((now.connections, now.idle, now.in_flight, now.waiting), (2, 0, 2, 1));
    pool.cancel(waiter);
    pool.release(one, true, START);
    let now = pool.snapshot();
    assert_eq!((now.connections, now.idle, now.in_flight, now.waiting), (2, 1, 1, 0));
    pool.handle_connect_error(two, START);
    let now = pool.snapshot();
    assert_eq!((now.connections, now.idle, now.in_flight, now.waiting), (1, 1, 0, 0));
    assert_eq!((now.dials, now.failed_dials, now.reuses), (2, 1, 0));
}

// Addresses that come and go.

#[test]
fn an_address_that_is_removed_ends_with_its_requests() {
    let mut pool = Pool::new(config(), 1);
    let (idle, busy, dialling) = (pool.served(START), pool.served(START), pool.dial(START));
    pool.release(idle, true, START);
    let added = pool.add_upstream();
    pool.remove_upstream(0, START);
    assert!(pool.is_removed(0) && !pool.is_removed(added) && pool.is_removed(7));
    assert_eq!(pool.actions(START), [Action::Close(idle)]);
    // What is under way goes on, to its end.
    pool.handle_connected(dialling, START);
    assert_eq!(pool.snapshot().in_flight, 2);
    assert_eq!(pool.release(busy, true, START), Released::Close);
    assert_eq!(pool.release(dialling, true, START), Released::Close);
    // New requests go elsewhere, however many.
    for _ in 0..8 {
        assert!(
            matches!(pool.acquire(START), Ok(Grant::Dial { upstream, .. }) if upstream == added)
        );
    }
    pool.wait(START);
    assert_eq!(pool.snapshot().connections, 8);
}

#[test]
fn the_place_of_an_address_is_used_again_once_it_is_empty() {
    let mut pool = Pool::new(config(), 2);
    let conns = [pool.served(START), pool.served(START)];
    pool.remove_upstream(0, START);
    pool.remove_upstream(1, START);
    assert_eq!(pool.add_upstream(), 2, "the others still have connections");
    for conn in conns {
        pool.release(conn, true, START);
    }
    assert_eq!(pool.add_upstream(), 0);
    assert!(!pool.is_removed(0), "and it is as new");
}

#[test]
fn callers_wait_for_an_address_to_come() {
    let mut pool = Pool::new(config(), 1);
    pool.remove_upstream(0, START);
    let waiter = pool.wait(START);
    assert_eq!(pool.poll_timeout(START), None);
    let added = pool.add_upstream();
    let actions = pool.actions(START);
    assert!(
        matches!(&actions[..], [Action::Grant(granted, Grant::Dial { upstream, .. })]
            if *granted == waiter && *upstream == added),
        "{actions:?}"
    );
}

#[test]
fn the_backoff_of_a_removed_address_holds_nobody_up() {
    let mut pool = Pool::new(config(), 2);
    let conn = pool.dial(START);
    let Some(failing) = (0..2).find(|index| {
        let mut other = Pool::new(config(), 2);
        matches!(other.acquire(START), Ok(Grant::Dial { upstream, .. }) if upstream == *index)
    }) else {
        panic!("one of the two")
    };
    pool.handle_connect_error(conn, START);
    pool.remove_upstream(1 - failing, START);
    let waiter = pool.wait(START);
    pool.remove_upstream(failing, START);
    assert_eq!(pool.poll_timeout(START), None, "nothing to wait for but an address");
    pool.add_upstream();
    assert!(matches!(pool.actions(START)[..], [Action::Grant(granted, _)] if granted == waiter));
}

// Trying again.

// spec: S22
#[test]
fn once_more_only_when_stale_or_idempotent() {
    for bits in 0..32_u32 {
        let bit = |bit: u32| bits >> bit & 1 == 1;
        let attempt = Attempt {
            is_reused: bit(0),
            has_response: bit(1),
            is_replayable: bit(2),
            is_idempotent: bit(3),
            number: 1 + (bits >> 4),
        };
        // Replayable, nothing came, the first; and reused or idempotent.
        let expected = matches!(bits, 0b00101 | 0b01101 | 0b01100);
        assert_eq!(attempt.may_retry(), expected, "{attempt:?}");
    }
}

#[test]
fn who_meets_a_dead_address_keeps_its_place_beside_a_busy_one() {
    let timeout = Duration::from_secs(5);
    let config = config().max_connections(1).queue_timeout(timeout);
    let mut pool = Pool::new(config, 2);
    let busy = pool.dial(START);
    pool.handle_connected(busy, START);
    let dead = pool.dial(START);
    pool.handle_connect_error(dead, START);
    let (first, second) = (pool.wait(START), pool.wait(START));
    let mut now = START;
    for failed in 1..9 {
        // Its turn is to try the dead one once more, however often that was in vain.
        now = pool.poll_timeout(now).unwrap();
        let [Action::Grant(granted, Grant::Dial { conn, .. })] = pool.actions(now)[..] else {
            panic!("nobody looks after the dead one")
        };
        assert_eq!(granted, first);
        pool.handle_connect_error(conn, now);
        assert!(pool.may_dial_again(failed), "the busy one will have time");
        pool.acquire_again(first, Lane::default(), START, now);
        assert!(pool.actions(now).is_empty());
    }
    pool.handle_first_byte(busy);
    pool.release(busy, true, now);
    let actions = pool.actions(now);
    assert!(
        matches!(actions[..], [Action::Grant(granted, Grant::Reuse { .. })] if granted == first),
        "{actions:?}"
    );
    // It waits no longer than all others.
    pool.acquire_again(first, Lane::default(), START, now);
    let late = START + timeout;
    let expired = pool.actions(late);
    assert!(expired.iter().all(|action| matches!(action, Action::Fail(_, WaitError::Expired))));
    assert_eq!(expired.len(), 2, "{second:?} as well: {expired:?}");
}

#[test]
fn without_a_connection_each_address_is_tried_a_few_times() {
    let mut pool = Pool::new(config(), 2);
    assert!(pool.may_dial_again(2) && !pool.may_dial_again(3));
    let conn = pool.dial(START);
    assert!(!pool.may_dial_again(3), "a dial is no connection");
    pool.handle_connected(conn, START);
    assert!(pool.may_dial_again(usize::MAX));
    pool.remove_upstream(0, START);
    pool.remove_upstream(1, START);
    assert!(!pool.may_dial_again(0), "there is no address");
}

#[test]
fn a_backoff_of_nothing_is_one_of_a_millisecond() {
    let mut pool = Pool::new(config().backoff(Duration::ZERO, Duration::ZERO), 1);
    let conn = pool.dial(START);
    pool.handle_connect_error(conn, START);
    pool.wait(START);
    assert_eq!(pool.poll_timeout(START), Some(START + Duration::from_millis(1)));
}
