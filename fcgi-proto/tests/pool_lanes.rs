//! Which of several connections a caller gets, where each thread has an event loop of its own.

use core::num::NonZeroU16;
use core::time::Duration;

use fcgi_proto::Params;
use fcgi_proto::pool::{Action, Config, ConnId, Depot, Grant, Lane, Mode, Negotiate, Pool, Turn};

const NOW: Duration = Duration::from_secs(1);
const HERE: Lane = Lane::new(0);
const THERE: Lane = Lane::new(1);
const ELSEWHERE: Lane = Lane::new(2);

fn config() -> Config {
    Config::default().idle_timeout(None).max_lifetime(None).queue_timeout(None).max_idle(8)
}

fn sharing(requests: u16) -> Config {
    config().multiplex(NonZeroU16::new(requests).expect("not 0"))
}

/// What the tests want to say in one word.
trait Say {
    fn dial(&mut self, lane: Lane) -> ConnId;
    fn served(&mut self, lane: Lane) -> ConnId;
    fn reuse(&mut self, lane: Lane) -> ConnId;
}

impl Say for Pool {
    fn dial(&mut self, lane: Lane) -> ConnId {
        match self.acquire_from(lane, NOW) {
            Ok(Grant::Dial { conn, .. }) => conn,
            other => panic!("{other:?} instead of a dial"),
        }
    }

    fn served(&mut self, lane: Lane) -> ConnId {
        let conn = self.dial(lane);
        self.handle_connected(conn, NOW);
        self.handle_first_byte(conn);
        conn
    }

    fn reuse(&mut self, lane: Lane) -> ConnId {
        match self.acquire_from(lane, NOW) {
            Ok(Grant::Reuse { conn, .. }) => conn,
            other => panic!("{other:?} instead of a connection that is there"),
        }
    }
}

fn keep(pool: &mut Pool, conn: ConnId) {
    assert!(pool.release(conn, true, NOW).is_keep());
}

#[test]
fn an_idle_connection_of_the_own_lane_comes_first() {
    let mut pool = Pool::new(config(), 1);
    let conns = [HERE, THERE, HERE, THERE].map(|lane| pool.served(lane));
    for conn in conns {
        keep(&mut pool, conn);
    }
    // Of these, the one used last.
    assert_eq!(pool.reuse(HERE), conns[2]);
    assert_eq!(pool.reuse(HERE), conns[0]);
    assert_eq!(pool.reuse(THERE), conns[3]);
    assert_eq!(pool.snapshot().connections, 4);
}

#[test]
fn another_lane_s_connection_is_better_than_a_dial_and_moves() {
    let mut pool = Pool::new(config(), 1);
    let conn = pool.served(HERE);
    keep(&mut pool, conn);
    assert_eq!(pool.reuse(THERE), conn);
    let second = pool.served(HERE);
    keep(&mut pool, conn);
    keep(&mut pool, second);
    assert_eq!(pool.reuse(THERE), conn, "it is that lane's now, and was used before the other");
}

#[test]
fn nobody_in_the_queue_is_passed_over() {
    let mut pool = Pool::new(config().max_connections(1), 1);
    let conn = pool.served(HERE);
    let waiters = [THERE, HERE, ELSEWHERE].map(|lane| match pool.acquire_from(lane, NOW) {
        Ok(Grant::Wait(waiter)) => waiter,
        other => panic!("{other:?}"),
    });
    for waiter in waiters {
        keep(&mut pool, conn);
        let grant = Grant::Reuse { conn, upstream: 0 };
        assert_eq!(pool.poll_action(NOW), Some(Action::Grant(waiter, grant)));
    }
}

#[test]
fn who_waited_in_a_lane_gets_its_connection() {
    let mut pool = Pool::new(config().max_connections(2), 1);
    let (here, there) = (pool.served(HERE), pool.served(THERE));
    let Ok(Grant::Wait(waiter)) = pool.acquire_from(THERE, NOW) else { panic!("full") };
    keep(&mut pool, here);
    assert!(matches!(pool.poll_action(NOW), Some(Action::Grant(granted, _)) if granted == waiter));
    keep(&mut pool, there);
    keep(&mut pool, here);
    // The first has moved with who waited: both are of that lane now.
    assert_eq!(pool.reuse(HERE), here, "the one used last, for want of an own one");
    assert_eq!(pool.reuse(THERE), there);
}

#[test]
fn each_lane_dials_a_shared_connection_of_its_own() {
    let mut pool = Pool::new(sharing(4), 1);
    let here = pool.served(HERE);
    let there = pool.dial(THERE);
    // Until it is there, the lane goes on with what is, and no other lane dials as well.
    assert_eq!(pool.reuse(THERE), here);
    assert_eq!(pool.reuse(ELSEWHERE), here);
    pool.handle_connected(there, NOW);
    assert_eq!(pool.reuse(THERE), there);
    assert_eq!(pool.reuse(HERE), here);
    assert!(matches!(pool.acquire_from(ELSEWHERE, NOW), Ok(Grant::Dial { .. })));
}

#[test]
fn a_shared_connection_stays_in_its_lane() {
    let mut pool = Pool::new(sharing(4).max_connections(2), 1);
    let (here, there) = (pool.served(HERE), pool.served(THERE));
    keep(&mut pool, here);
    keep(&mut pool, there);
    assert_eq!(pool.reuse(ELSEWHERE), there, "the one used last, as no third may be dialled");
    assert_eq!(pool.reuse(HERE), here);
    assert_eq!(pool.reuse(THERE), there);
    keep(&mut pool, there);
    keep(&mut pool, there);
    assert_eq!(pool.reuse(THERE), there);
}

#[test]
fn lanes_share_what_the_limit_allows() {
    let mut pool = Pool::new(sharing(4).max_connections(1), 1);
    let here = pool.served(HERE);
    assert_eq!(pool.reuse(THERE), here);
}

#[test]
fn a_full_connection_of_the_own_lane_is_passed_over() {
    let mut pool = Pool::new(sharing(2).max_connections(2), 1);
    let (here, there) = (pool.served(HERE), pool.served(THERE));
    assert_eq!(pool.reuse(HERE), here);
    assert_eq!(pool.reuse(HERE), there);
    assert!(matches!(pool.acquire_from(HERE, NOW), Ok(Grant::Wait(_))));
}

#[test]
fn a_lane_that_cannot_dial_shares() {
    let backoff = Duration::from_millis(20);
    let mut pool = Pool::new(sharing(4).backoff(backoff, backoff), 1);
    let here = pool.served(HERE);
    let failed = pool.dial(THERE);
    pool.handle_connect_error(failed, NOW);
    assert!(pool.may_dial_again(1));
    assert_eq!(pool.reuse(THERE), here);
}

#[test]
fn one_request_at_a_time_moves_also_where_others_share() {
    let mut pool = Pool::new(sharing(4), 1);
    let conn = pool.served(HERE);
    pool.set_single(conn);
    keep(&mut pool, conn);
    assert_eq!(pool.reuse(THERE), conn);
    let later = pool.served(HERE);
    pool.set_single(later);
    keep(&mut pool, conn);
    keep(&mut pool, later);
    assert_eq!(pool.reuse(THERE), conn, "it is that lane's now, and was used before the other");
}

#[test]
fn who_waits_again_is_still_of_its_lane() {
    let mut pool = Pool::new(config().max_connections(2), 1);
    let (here, there) = (pool.served(HERE), pool.served(THERE));
    let Ok(Grant::Wait(waiter)) = pool.acquire_from(THERE, NOW) else { panic!("full") };
    keep(&mut pool, here);
    let grant = Grant::Reuse { conn: here, upstream: 0 };
    assert_eq!(pool.poll_action(NOW), Some(Action::Grant(waiter, grant)));
    // It turns out to be closed.
    pool.handle_closed(here, NOW);
    let another = pool.served(HERE);
    keep(&mut pool, there);
    keep(&mut pool, another);
    pool.acquire_again(waiter, THERE, NOW, NOW);
    let grant = Grant::Reuse { conn: there, upstream: 0 };
    assert_eq!(pool.poll_action(NOW), Some(Action::Grant(waiter, grant)));
}

/// A depot whose application has answered the first caller's question so.
fn asked(values: &[(&str, &str)]) -> Depot<()> {
    let mut depot = Depot::new(Pool::new(config().negotiate(Negotiate::Throwaway), 1));
    let Ok(Ok(Turn::Dial { conn, mode: Mode::Probing, .. })) = depot.acquire_from(HERE, NOW) else {
        panic!("it is to ask")
    };
    let mut params = Params::new();
    for (name, value) in values {
        params.push(name, value);
    }
    assert_eq!(depot.handle_values(conn, Some(&params)), Mode::Shared);
    let (_, caller) = fcgi_proto::client::Session::new(Default::default());
    depot.handle_shared(conn, caller, NOW);
    depot
}

fn dials_there(depot: &mut Depot<()>) -> bool {
    matches!(depot.acquire_from(THERE, NOW), Ok(Ok(Turn::Dial { .. })))
}

#[test]
fn lanes_take_no_more_connections_than_the_application_accepts() {
    let yes = ("FCGI_MPXS_CONNS", "1");
    for (values, dials) in [
        (&[yes][..], false),
        (&[yes, ("FCGI_MAX_CONNS", "1")], false),
        (&[yes, ("FCGI_MAX_CONNS", "0")], false),
        (&[yes, ("FCGI_MAX_CONNS", "many")], false),
        (&[yes, ("FCGI_MAX_CONNS", "2")], true),
        (&[yes, ("FCGI_MAX_CONNS", "99999999999999999999")], true),
    ] {
        assert_eq!(dials_there(&mut asked(values)), dials, "{values:?}");
    }
}

#[test]
fn what_an_address_accepts_is_forgotten_with_it() {
    let mut depot = asked(&[("FCGI_MPXS_CONNS", "1")]);
    depot.remove_upstream(0, NOW);
    assert_eq!(depot.add_upstream(), 1);
    assert!(dials_there(&mut depot), "another application");
}

#[test]
fn numbers_beyond_the_lanes_begin_anew() {
    assert_eq!(Lane::new(Lane::COUNT), HERE);
    assert_eq!(Lane::new(Lane::COUNT + 1), THERE);
    assert_ne!(HERE, THERE);
}
