//! Callers of a pool without a socket or a clock: who gets which connection, who shares one, and what ends it.

mod harness;
mod single;

use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Call, Caller, Session};
use fcgi_proto::pool::{Access, Clock, Config, Lease, Line, Mode, Negotiate};
use fcgi_proto::{BeginError, Error, ErrorKind, Params, Phase, Request, Timeouts};
use harness::*;

/// A connection that requests share, and the right to the first of them.
struct Opened {
    session: Session,
    caller: Caller,
    line: Line<Socket, Hand>,
    lease: Lease<Socket, Hand>,
}

fn open(lobby: &TestLobby) -> Opened {
    let mut place = enter(lobby);
    let Access::Dial(mode) = place.access else { panic!("{:?}", place.access) };
    assert_ne!(mode, Mode::Single);
    let (session, caller) = lobby.session(mode, &place.address);
    let line = place.lease.on_shared(caller.clone());
    Opened { session, caller, line, lease: place.lease }
}

fn begin(caller: &Caller) -> Call {
    let (parts, ()) = Request::get("/a.php").into_parts().expect("a request");
    let mut call =
        caller.begin(&parts, Timeouts::default(), Duration::ZERO, Duration::ZERO).expect("a place");
    call.finish_body();
    call
}

fn write(session: &mut Session) {
    session.write_with(Duration::ZERO, |outgoing| outgoing.advance(outgoing.remaining()));
}

fn stdout(id: u8, data: &[u8]) -> Bytes {
    let [high, low] = u16::try_from(data.len()).expect("one record").to_be_bytes();
    [&[1, 6, 0, id, high, low, 0, 0], data].concat().into()
}

#[test]
fn callers_share_a_connection_and_more_of_them_wait() {
    let lobby = lobby(shared(2));
    let first = open(&lobby);
    let second = enter(&lobby);
    assert!(matches!(second.access, Access::Shared(_)), "{:?}", second.access);
    let mut third = lobby.enter();
    assert!(poll(&mut third).is_pending());
    let metrics = lobby.metrics().pool;
    assert_eq!((metrics.connections, metrics.in_flight, metrics.waiting), (1, 2, 1));
    drop(first.lease);
    let Poll::Ready(Ok(place)) = poll(&mut third) else { panic!("no turn") };
    assert!(matches!(place.access, Access::Shared(_)), "{:?}", place.access);
    drop((second, place));
    let metrics = lobby.metrics().pool;
    assert_eq!((metrics.connections, metrics.idle, metrics.in_flight), (1, 1, 0));
    assert!(!first.session.is_over() && first.caller.is_usable());
}

#[test]
fn those_who_come_while_it_is_dialled_get_it_when_it_is_open() {
    let lobby = lobby(shared(3));
    let mut place = enter(&lobby);
    let mut entries = [lobby.enter(), lobby.enter()];
    assert!(entries.iter_mut().all(|entry| poll(entry).is_pending()));
    let (_session, caller) = lobby.session(Mode::Shared, &place.address);
    let _line = place.lease.on_shared(caller);
    for entry in &mut entries {
        let Poll::Ready(Ok(place)) = poll(entry) else { panic!("no turn") };
        assert!(matches!(place.access, Access::Shared(_)), "{:?}", place.access);
    }
    assert_eq!(lobby.metrics().pool.dials, 1);
}

#[test]
fn a_turn_that_nobody_took_goes_to_the_next() {
    let lobby = lobby(shared(1).max_connections(1));
    let place = enter(&lobby);
    let (mut gone, mut next) = (lobby.enter(), lobby.enter());
    assert!(poll(&mut gone).is_pending() && poll(&mut next).is_pending());
    place.lease.on_connected();
    place.lease.give_back(Socket::default());
    assert!(poll(&mut next).is_pending());
    drop(gone);
    assert!(poll(&mut next).is_ready());
}

#[test]
fn what_the_socket_has_lost_is_dialled_anew() {
    let lobby = lobby(shared(4));
    let Opened { session, line, lease, .. } = open(&lobby);
    drop(lease);
    drop(session);
    // Before the pool is told, it is found out.
    let place = enter(&lobby);
    assert!(matches!(place.access, Access::Dial(Mode::Shared)), "{:?}", place.access);
    assert_eq!(lobby.metrics().stale, 1);
    drop((place, line));
    let again = open(&lobby);
    drop(again.line);
    assert_eq!(lobby.metrics().pool.connections, 0);
}

#[test]
fn one_that_idles_too_long_ends() {
    let lobby = lobby(shared(4).idle_timeout(Duration::from_secs(3)));
    let Opened { mut session, caller, line, lease } = open(&lobby);
    drop((begin(&caller), lease, caller));
    write(&mut session);
    assert!(!session.is_over());
    ring(&lobby);
    assert!(session.is_over(), "the pool has dropped its handle");
    drop(line);
    assert_eq!(lobby.metrics().pool.connections, 0);
}

#[test]
fn it_ends_with_its_pool() {
    let lobby = lobby(shared(4));
    let Opened { session, caller, line, lease } = open(&lobby);
    drop((caller, lease));
    assert!(!session.is_over());
    drop(lobby);
    assert!(session.is_over());
    drop(line);
}

#[test]
fn an_address_that_goes_takes_its_idle_connection_along() {
    let lobby = lobby(shared(4));
    let Opened { session, caller, line, lease } = open(&lobby);
    drop((caller, lease));
    lobby.set_addresses([address(2)]);
    assert!(session.is_over());
    drop(line);
    assert_eq!(*enter(&lobby).address, address(2));
}

#[test]
fn a_refusal_ends_the_sharing() {
    let lobby = lobby(shared(4).max_connections(2));
    let first = open(&lobby);
    let second = enter(&lobby);
    assert!(matches!(second.access, Access::Shared(_)));
    second.lease.on_error(&Error::new(ErrorKind::CantMultiplex));
    drop(second);
    let third = enter(&lobby);
    assert!(matches!(third.access, Access::Dial(Mode::Single)), "{:?}", third.access);
    drop((first.lease, first.line));
}

#[test]
fn the_answer_of_an_application_decides() {
    for (answer, mode) in [("1", Mode::Shared), ("0", Mode::Single)] {
        let config = Config::default().negotiate(Negotiate::Throwaway);
        let lobby = lobby(config);
        let place = enter(&lobby);
        assert!(matches!(place.access, Access::Dial(Mode::Probing)), "{:?}", place.access);
        let mut values = Params::new();
        values.push("FCGI_MPXS_CONNS", answer);
        assert_eq!(place.lease.on_values(Some(&values)), mode);
    }
}

#[test]
fn the_answer_on_a_shared_connection_decides_for_the_next() {
    let config = Config::default().max_connections(4).negotiate(Negotiate::Inline);
    let lobby = lobby(config);
    let first = open(&lobby);
    assert!(format!("{:?}", first.line).contains("Line"));
    let alone = enter(&lobby);
    assert!(matches!(alone.access, Access::Dial(_)), "nothing is known yet: {alone:?}");
    let mut values = Params::new();
    values.push("FCGI_MPXS_CONNS", "1");
    values.push("FCGI_MAX_REQS", "9");
    first.line.on_values(&values);
    let shared = enter(&lobby);
    assert!(matches!(shared.access, Access::Shared(_)), "{shared:?}");
}

#[test]
fn who_waits_too_long_is_told() {
    let lobby = lobby(shared(1).queue_timeout(Duration::from_secs(5)));
    let place = enter(&lobby);
    let mut entry = lobby.enter();
    assert!(poll(&mut entry).is_pending());
    place.lease.on_connected();
    let Poll::Ready(Err(error)) = (0..10)
        .map(|_| {
            ring(&lobby);
            poll(&mut entry)
        })
        .find(Poll::is_ready)
        .expect("an end")
    else {
        panic!("a place")
    };
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
    assert_eq!(lobby.clock().now(), Duration::from_secs(5));
}

#[test]
fn a_kept_one_that_was_closed_is_passed_over() {
    let lobby = lobby(Config::default());
    let (place, socket) = (enter(&lobby), Socket::default());
    place.lease.on_connected();
    place.lease.give_back(socket.clone());
    socket.0.store(true, Ordering::Relaxed);
    assert!(matches!(enter(&lobby).access, Access::Dial(Mode::Single)));
    assert_eq!(lobby.metrics().stale, 1);
}

#[test]
fn a_session_takes_as_many_requests_as_may_share_it() {
    for most in [2, 3, 40] {
        let lobby = lobby(shared(most));
        let opened = open(&lobby);
        let _calls = Vec::from_iter((0..most).map(|_| begin(&opened.caller)));
        let (parts, ()) = Request::get("/a.php").into_parts().expect("a request");
        let zero = Duration::ZERO;
        let more = opened.caller.begin(&parts, Timeouts::default(), zero, zero);
        let limit = most;
        assert_eq!(more.map(drop), Err(BeginError::TooManyRequests { limit }));
    }
}

#[test]
fn the_windows_are_those_of_the_pool() {
    for (config, most, is_paused) in [
        (shared(4), 256 * 1024, false),
        (shared(4), 256 * 1024 + 1, true),
        (shared(4).request_window(1000), 1000, false),
        (shared(4).request_window(1000), 1001, true),
        (shared(4).connection_window(1000), 1001, true),
    ] {
        let lobby = lobby(config.clone());
        let Opened { mut session, caller, .. } = open(&lobby);
        let _call = begin(&caller);
        write(&mut session);
        session.handle_read(stdout(1, b"A: b\n\n"), Duration::ZERO);
        let mut left = most;
        while left > 0 {
            let count = left.min(30_000);
            session.handle_read(stdout(1, &vec![b'x'; count]), Duration::ZERO);
            left -= count;
        }
        assert_eq!(!session.wants_read(), is_paused, "{most} of {config:?}");
    }
}

#[test]
fn a_body_is_held_up_to_its_window() {
    for (config, window) in [(shared(4), 64 * 1024), (shared(4).body_window(1000), 1000)] {
        let lobby = lobby(config);
        let Opened { session, caller, .. } = open(&lobby);
        let request = Request::<Bytes>::post("/a.php");
        let (mut parts, _) = request.into_parts().expect("a request");
        parts.set_content_length(10_000_000);
        let now = Duration::ZERO;
        let mut call = caller.begin(&parts, Timeouts::default(), now, now).expect("a place");
        let cx = Context::from_waker(Waker::noop());
        let mut held = 0;
        while call.poll_body(&cx) == Poll::Ready(true) {
            call.send_body(vec![b'x'; 1000].into());
            held += 1000;
        }
        // Besides what the connection has taken into its output.
        let output = 60_000..80_000;
        assert!(output.contains(&(held - window)), "{held} with a window of {window}");
        assert!(session.has_outgoing());
    }
}
