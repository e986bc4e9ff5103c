//! A pool that keeps its idle connections: whoever is granted one gets it, and whoever does not keeps nothing back.

use core::time::Duration;
use std::rc::Rc;

use fcgi_proto::pool::{Config, ConnId, Depot, Pool, Turn, WaitError, WaiterId};

const NOW: Duration = Duration::from_secs(1);

/// A connection whose end can be seen.
type Link = Rc<&'static str>;

fn depot(config: Config) -> Depot<Link> {
    Depot::new(Pool::new(config, 1))
}

fn dial(depot: &mut Depot<Link>) -> ConnId {
    match depot.acquire(NOW) {
        Ok(Ok(Turn::Dial { conn, upstream: 0, .. })) => {
            depot.handle_connected(conn, NOW);
            depot.handle_first_byte(conn);
            conn
        }
        other => panic!("{other:?} instead of a dial"),
    }
}

fn wait(depot: &mut Depot<Link>) -> WaiterId {
    match depot.acquire(NOW) {
        Ok(Err(waiter)) => waiter,
        other => panic!("{other:?} instead of a place in the queue"),
    }
}

#[test]
fn a_link_is_kept_and_handed_out() {
    let mut depot = depot(Config::default());
    let conn = dial(&mut depot);
    let link = Rc::new("one");
    depot.release(conn, Rc::clone(&link), NOW);
    assert_eq!((Rc::strong_count(&link), depot.snapshot().idle), (2, 1));
    let Ok(Ok(Turn::Reuse { conn: again, upstream: 0, link: found })) = depot.acquire(NOW) else {
        panic!("nothing kept");
    };
    assert!(again == conn && Rc::ptr_eq(&found, &link));
    assert_eq!(Rc::strong_count(&link), 2, "not in two hands");
}

#[test]
fn a_link_beyond_the_limit_is_dropped() {
    let mut depot = depot(Config::default().max_idle(0));
    let conn = dial(&mut depot);
    let link = Rc::new("one");
    depot.release(conn, Rc::clone(&link), NOW);
    assert_eq!((Rc::strong_count(&link), depot.snapshot().connections), (1, 0));
}

#[test]
fn a_link_that_idles_too_long_is_dropped() {
    let mut depot = depot(Config::default().idle_timeout(Duration::from_millis(5)));
    let conn = dial(&mut depot);
    let link = Rc::new("one");
    depot.release(conn, Rc::clone(&link), NOW);
    let end = depot.poll_timeout(NOW).expect("it idles");
    assert!(depot.poll_turn(end).is_none());
    assert_eq!(Rc::strong_count(&link), 1);
    assert_eq!(depot.poll_timeout(end), None);
}

#[test]
fn a_link_goes_to_who_waits() {
    let mut depot = depot(Config::default().max_connections(1));
    let conn = dial(&mut depot);
    let waiter = wait(&mut depot);
    depot.release(conn, Rc::new("one"), NOW);
    let Some((granted, turn @ Turn::Reuse { .. })) = depot.poll_turn(NOW) else {
        panic!("no turn")
    };
    assert_eq!(granted, waiter);
    // Who was granted it is gone, and the next one gets it.
    let next = wait(&mut depot);
    depot.take_back(turn, NOW);
    let Some((granted, Turn::Reuse { link, .. })) = depot.poll_turn(NOW) else { panic!("no turn") };
    assert_eq!((granted, *link), (next, "one"));
}

#[test]
fn who_gives_up_leaves_no_trace() {
    let mut depot = depot(Config::default().max_connections(1));
    let conn = dial(&mut depot);
    let (first, second) = (wait(&mut depot), wait(&mut depot));
    depot.cancel(first);
    depot.handle_closed(conn, NOW);
    let Some((granted, turn @ Turn::Dial { .. })) = depot.poll_turn(NOW) else { panic!("no turn") };
    assert_eq!(granted, second);
    depot.take_back(turn, NOW);
    assert!(depot.poll_turn(NOW).is_none());
    let snapshot = depot.snapshot();
    assert_eq!((snapshot.connections, snapshot.in_flight, snapshot.waiting), (0, 0, 0));
}

#[test]
fn who_waits_in_vain_is_told() {
    let mut depot = depot(Config::default().max_connections(1));
    let Ok(Ok(Turn::Dial { conn, .. })) = depot.acquire(NOW) else { panic!("no dial") };
    let waiter = wait(&mut depot);
    depot.handle_connect_error(conn, NOW);
    let Some((told, turn @ Turn::Fail(WaitError::Unreachable))) = depot.poll_turn(NOW) else {
        panic!("not told");
    };
    assert_eq!(told, waiter);
    depot.take_back(turn, NOW);
    assert_eq!(depot.snapshot().failed_dials, 1);
}

#[test]
fn an_idle_link_gives_way_to_who_gets_no_answer() {
    for is_answered in [false, true] {
        let mut depot = depot(Config::default());
        let idle = dial(&mut depot);
        let Ok(Ok(Turn::Dial { conn, .. })) = depot.acquire(NOW) else { panic!("no dial") };
        depot.handle_connected(conn, NOW);
        let link = Rc::new("one");
        depot.release(idle, Rc::clone(&link), NOW);
        if is_answered {
            depot.handle_first_byte(conn);
        }
        assert!(depot.poll_turn(NOW + Duration::from_millis(5)).is_none());
        assert_eq!(Rc::strong_count(&link), 1 + usize::from(is_answered));
    }
}

#[test]
fn links_are_counted_and_not_shown() {
    let mut depot = depot(Config::default());
    let conn = dial(&mut depot);
    depot.release(conn, Rc::new("secret"), NOW);
    let text = format!("{depot:?}");
    assert!(text.starts_with("Depot {") && text.ends_with("idle: 1 }"), "{text}");
    assert!(!text.contains("secret"));
}

#[test]
fn a_link_in_use_is_never_granted_even_where_the_pool_might_share() {
    let multiplex = core::num::NonZeroU16::new(4).expect("not 0");
    let mut depot = depot(Config::default().multiplex(multiplex).max_connections(2));
    let conn = dial(&mut depot);
    dial(&mut depot);
    let waiter = wait(&mut depot);
    assert!(depot.poll_turn(NOW).is_none());
    depot.release(conn, Rc::new("one"), NOW);
    let Some((who, Turn::Reuse { .. })) = depot.poll_turn(NOW) else { panic!("not handed on") };
    assert_eq!(who, waiter);
}

#[test]
fn addresses_come_and_go() {
    let mut depot = depot(Config::default());
    let conn = dial(&mut depot);
    let link = Rc::new("at the first address");
    depot.release(conn, Rc::clone(&link), NOW);
    let second = depot.add_upstream();
    let third = depot.add_upstream();
    assert_eq!((second, third), (1, 2));
    depot.remove_upstream(0, NOW);
    depot.remove_upstream(second, NOW);
    let is_removed = [0, second, third, 3].map(|upstream| depot.is_removed(upstream));
    assert_eq!(is_removed, [true, true, false, true]);
    // What idled at a removed address is not handed out; what is dialled is where there is an address.
    let Ok(Ok(Turn::Dial { upstream, .. })) = depot.acquire(NOW) else { panic!("not a dial") };
    assert_eq!(upstream, third);
}
