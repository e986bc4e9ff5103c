//! Connections for one request at a time: dialling, failing, waiting, and the addresses they lead to.

use core::task::Poll;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fcgi_proto::pool::{Access, Clock, Config, Lobby, Mode};
use fcgi_proto::{Address, Error, ErrorKind, Phase, Request};

use crate::harness::*;

fn is_dial(access: &Access<Socket>) -> bool {
    matches!(access, Access::Dial(Mode::Single))
}

/// The error of a caller that got no place.
fn refused(polled: Poll<Result<TestPlace, Error>>) -> Error {
    match polled {
        Poll::Ready(Err(error)) => error,
        other => panic!("{other:?} instead of an error"),
    }
}

fn unreachable() -> Error {
    Error::connect(&address(1), io::ErrorKind::ConnectionRefused.into())
}

#[test]
fn a_connection_is_handed_on() {
    let lobby = lobby(Config::default().max_connections(1));
    let mut first = enter(&lobby);
    assert!(is_dial(&first.access));
    first.lease.on_connected();
    first.lease.on_first_byte();
    let mut second = lobby.enter();
    assert!(poll(&mut second).is_pending());
    first.lease.give_back(Socket::default());
    let Poll::Ready(Ok(second)) = poll(&mut second) else { panic!("no turn") };
    assert!(matches!(second.access, Access::Single(_)), "{second:?}");
    assert_eq!((lobby.metrics().pool.dials, lobby.metrics().pool.reuses), (1, 1));
    drop(second);
    assert_eq!(lobby.metrics().pool.connections, 0, "nobody knows in what state it is");
}

#[test]
fn the_first_byte_ends_the_wait_for_a_worker() {
    for is_served in [false, true] {
        let lobby = lobby(Config::default());
        let [idle, mut fresh] = [(); 2].map(|()| enter(&lobby));
        idle.lease.on_connected();
        fresh.lease.on_connected();
        idle.lease.give_back(Socket::default());
        if is_served {
            fresh.lease.on_first_byte();
        }
        ring(&lobby);
        assert_eq!(lobby.clock().now(), Duration::from_millis(5));
        assert_eq!(lobby.metrics().pool.idle, usize::from(is_served));
    }
}

#[test]
fn a_failed_dial_is_told_to_all_who_wait() {
    let lobby = lobby(Config::default().max_connections(1));
    let place = enter(&lobby);
    let mut waiting = lobby.enter();
    assert!(poll(&mut waiting).is_pending());
    place.lease.on_connect_error(&unreachable());
    let error = refused(poll(&mut waiting));
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)));
    assert_eq!(error.address(), Some(&address(1)));
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
    assert_eq!((lobby.metrics().pool.failed_dials, lobby.metrics().timeouts), (1, 0));
    // Nobody dials until the address has been left alone for a while.
    let mut later = lobby.enter();
    assert!(poll(&mut later).is_pending());
    ring(&lobby);
    assert_eq!(lobby.clock().now(), Duration::from_millis(20));
    assert!(matches!(poll(&mut later), Poll::Ready(Ok(place)) if is_dial(&place.access)));
}

#[test]
fn a_dial_that_takes_too_long_counts_as_a_timeout() {
    let lobby = lobby(Config::default().max_connections(1));
    let place = enter(&lobby);
    let mut waiting = lobby.enter();
    assert!(poll(&mut waiting).is_pending());
    place.lease.on_connect_error(&Error::timeout(Phase::Connect, Duration::from_secs(3)));
    let error = refused(poll(&mut waiting));
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::TimedOut));
    assert_eq!(lobby.metrics().timeouts, 1);
}

#[test]
fn who_cannot_even_wait_is_told_at_once() {
    let lobby = lobby(Config::default().max_connections(1).max_waiting(1));
    let _place = enter(&lobby);
    let mut waiting = lobby.enter();
    assert!(poll(&mut waiting).is_pending());
    let error = refused(poll(&mut lobby.enter()));
    assert_eq!(error.kind(), ErrorKind::PoolFull { limit: 1 });
    assert_eq!((error.phase(), error.address()), (Some(Phase::Queue), Some(&address(1))));
    drop(waiting); // leaves the queue
    assert_eq!(lobby.metrics().pool.waiting, 0);
    assert!(poll(&mut lobby.enter()).is_pending());
}

#[test]
fn a_turn_that_came_and_was_not_taken_is_given_back() {
    let lobby = lobby(Config::default().max_connections(1));
    let place = enter(&lobby);
    place.lease.on_connected();
    let mut waiting = lobby.enter();
    assert!(poll(&mut waiting).is_pending());
    place.lease.give_back(Socket::default());
    drop(waiting);
    assert_eq!((lobby.metrics().pool.idle, lobby.metrics().pool.in_flight), (1, 0));
}

#[test]
fn a_stale_connection_may_be_tried_again_and_a_fresh_one_not() {
    let lobby = lobby(Config::default());
    let broken = Error::io(io::ErrorKind::ConnectionReset.into()).begun(true);
    let fresh = enter(&lobby);
    fresh.lease.on_connected();
    assert!(!fresh.lease.may_retry(&broken, false, true, 1));
    fresh.lease.give_back(Socket::default());
    let kept = enter(&lobby);
    for (has_response, is_replayable, number, is_allowed) in [
        (false, true, 1, true),
        (true, true, 1, false),
        (false, false, 1, false),
        (false, true, 2, false),
    ] {
        let may_retry = kept.lease.may_retry(&broken, has_response, is_replayable, number);
        assert_eq!(may_retry, is_allowed, "{has_response} {is_replayable} {number}");
    }
    lobby.count_retry();
    assert_eq!(lobby.metrics().retries, 1);
}

/// A look costs a system call, and is of use only where a request must not be sent twice.
#[test]
fn a_kept_connection_is_looked_at_unless_the_request_may_be_sent_again() {
    let parts = |request: Request<()>| request.into_parts().expect("a request").0;
    for (request, can_fail, looks) in [
        (Request::get("/a.php"), true, false),
        (Request::get("/a.php"), false, true),
        (Request::new("PUT", "/a.php"), true, false),
        (Request::post("/a.php"), true, true),
        (Request::post("/a.php").idempotent(true), true, false),
        (Request::post("/a.php").idempotent(true), false, true),
    ] {
        let lobby = lobby(Config::default());
        let (place, socket) = (enter(&lobby), Socket::default());
        place.lease.on_connected();
        place.lease.give_back(socket.clone());
        socket.0.store(true, Ordering::Relaxed);
        let parts = parts(request);
        let Poll::Ready(Ok(place)) = poll(&mut lobby.enter().to_send(&parts, can_fail)) else {
            panic!("no place")
        };
        assert_eq!(is_dial(&place.access), looks, "{parts:?}");
        assert_eq!(lobby.metrics().stale, u64::from(looks));
        let broken = Error::io(io::ErrorKind::ConnectionReset.into()).begun(true);
        let may_retry = place.lease.may_retry(&broken, false, can_fail, 1);
        assert_eq!(may_retry, can_fail && (!looks || parts.is_idempotent), "{parts:?}");
    }
}

#[test]
fn a_refusal_to_share_is_followed_by_one_attempt_more() {
    let lobby = lobby(Config::default());
    let place = enter(&lobby);
    let refused = Error::new(ErrorKind::CantMultiplex);
    for (is_replayable, number, is_allowed) in
        [(true, 1, true), (false, 1, false), (true, 2, false), (false, 2, false)]
    {
        let may_retry = place.lease.may_retry(&refused, false, is_replayable, number);
        assert_eq!(may_retry, is_allowed, "{is_replayable} {number}");
    }
    let other = Error::new(ErrorKind::Overloaded);
    assert!(!place.lease.may_retry(&other, false, true, 1));
}

#[test]
fn addresses_come_and_go() {
    let lobby = lobby(Config::default());
    let place = enter(&lobby);
    place.lease.on_connected();
    place.lease.give_back(Socket::default());
    // One that stays keeps its connection, whatever comes beside it.
    lobby.set_addresses([address(2), address(1)]);
    let of =
        |lobby: &TestLobby| Vec::from_iter(lobby.addresses().iter().map(|a| Address::clone(a)));
    assert_eq!(of(&lobby), [address(1), address(2)]);
    assert_eq!(lobby.metrics().pool.idle, 1);
    lobby.set_addresses([address(2)]);
    assert_eq!((of(&lobby), lobby.metrics().pool.idle), (vec![address(2)], 0));
    assert_eq!(*lobby.first_address(), address(2));
    // What is gone is not removed again, and its place is used again.
    lobby.set_addresses([address(3)]);
    assert_eq!(of(&lobby), [address(3)]);
    assert_eq!(*enter(&lobby).address, address(3));
    lobby.set_addresses([]);
    assert_eq!(of(&lobby), []);
    assert!(poll(&mut lobby.enter()).is_pending(), "there may be some in time");
}

#[test]
fn without_an_address_everybody_waits_for_one() {
    let lobby: TestLobby = Lobby::new(Config::default(), [], Hand::default());
    let mut entry = lobby.enter();
    assert!(poll(&mut entry).is_pending());
    assert_eq!(*lobby.first_address(), Address::Unix(String::new()));
    lobby.set_addresses([address(7)]);
    let Poll::Ready(Ok(place)) = poll(&mut entry) else { panic!("no turn") };
    assert_eq!(*place.address, address(7));
}

#[test]
fn what_is_shown_names_the_figures_and_no_secret() {
    let lobby = lobby(Config::default());
    let entry = lobby.enter();
    let place = enter(&lobby);
    let shown = format!("{lobby:?} {entry:?} {place:?}");
    for expected in ["10.0.0.1", "dials: 1", "waiter: None", "Lease"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    let socket = Socket::default();
    place.lease.on_connected();
    place.lease.give_back(socket.clone());
    assert_eq!(Arc::strong_count(&socket.0), 2, "the lobby has it");
    assert!(!socket.0.load(Ordering::Relaxed));
}
