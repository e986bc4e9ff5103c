//! All 65,535 ids of a connection at once, on both sides: what grows with their number squared would not end here.

mod support;

use std::num::NonZeroU16;

use fcgi_proto::server::{self, RefusedReason};
use fcgi_proto::{BeginError, ProtocolStatus, RecordType, RequestKey, Role, client};
use support::{begin, empty, end, record};

const ALL: u16 = u16::MAX;

/// Every id once, far from sorted: the step has no factor in common with their number.
fn shuffled() -> impl Iterator<Item = u16> {
    (0..u32::from(ALL)).map(|at| u16::try_from(at * 40_009 % 65_535 + 1).expect("an id"))
}

fn application() -> server::Connection {
    let config = server::Config::default().max_requests(NonZeroU16::MAX).max_buffered(usize::MAX);
    server::Connection::new(config)
}

/// What a whole request without a body takes on the wire, up to the end of its parameters.
fn asking(id: u16) -> Vec<u8> {
    [begin(id, Role::Responder), empty(RecordType::Params, id)].concat()
}

fn open_all(conn: &mut server::Connection, ids: impl Iterator<Item = u16>) -> Vec<RequestKey> {
    let mut keys = Vec::new();
    for id in ids {
        let wire = asking(id);
        let mut input = &wire[..];
        while let Some(event) = conn.poll_event(&mut input).expect("a good record") {
            let server::Event::Request { key, .. } = event else { panic!("{event:?}") };
            keys.push(key);
        }
    }
    assert_eq!((keys.len(), conn.open_requests()), (usize::from(ALL), usize::from(ALL)));
    keys
}

#[test]
fn an_application_opens_and_ends_all_ids_in_any_order() {
    let mut conn = application();
    for round in 0..2 {
        let keys = match round {
            0 => open_all(&mut conn, (1..=ALL).rev()),
            _ => open_all(&mut conn, shuffled()),
        };
        // Ended before their input, which still comes: first its data, then its end.
        for key in &keys {
            conn.response(*key).expect("open").end(0);
        }
        assert_eq!(conn.open_requests(), 0);
        for id in shuffled() {
            let late = [record(RecordType::Stdin, id, b"late"), empty(RecordType::Stdin, id)];
            assert_eq!(conn.poll_event(&mut &late.concat()[..]), Ok(None));
        }
        assert!(keys.iter().all(|key| conn.response(*key).is_none()));
    }
}

#[test]
fn an_application_refuses_one_more_and_reports_all_as_aborted_at_the_end() {
    let config = server::Config::default().max_requests(NonZeroU16::new(ALL - 1).expect("many"));
    let mut conn = server::Connection::new(config.max_buffered(usize::MAX));
    for id in 1..ALL {
        let wire = asking(id);
        let event = conn.poll_event(&mut &wire[..]);
        assert!(matches!(event, Ok(Some(server::Event::Request { .. }))));
    }
    let reason = RefusedReason::TooManyRequests;
    let refused = server::Event::Refused { request_id: ALL, reason };
    assert_eq!(conn.poll_event(&mut &begin(ALL, Role::Responder)[..]), Ok(Some(refused)));
    conn.handle_eof();
    for id in 1..ALL {
        let Ok(Some(server::Event::Aborted { key })) = conn.poll_event(&mut &b""[..]) else {
            panic!("request {id} is open")
        };
        assert_eq!(key.request_id(), id);
    }
    assert_eq!(conn.poll_event(&mut &b""[..]), Ok(None));
}

#[test]
fn a_client_gives_out_all_ids_and_gets_them_back() {
    let config = client::Config::default().keep_conn(true).max_requests(NonZeroU16::MAX);
    let mut conn = client::Connection::new(config.max_buffered(usize::MAX));
    let none = || [("", ""); 0];
    for round in 0..2 {
        let keys: Vec<_> =
            (0..ALL).map(|_| conn.begin(Role::Responder, none()).expect("an id is free")).collect();
        assert_eq!((conn.open_requests(), conn.capacity()), (usize::from(ALL), 0));
        let full = BeginError::TooManyRequests { limit: ALL };
        assert_eq!(conn.begin(Role::Responder, none()), Err(full));
        // Aborted ones keep their id until the application agrees.
        for key in keys.iter().step_by(2) {
            conn.request(*key).expect("open").abort();
        }
        assert_eq!(conn.begin(Role::Responder, none()), Err(full), "round {round}");
        for id in shuffled() {
            let wire = end(id, ProtocolStatus::RequestComplete, 0);
            let event = conn.poll_event(&mut &wire[..]).expect("a good record");
            let Some(client::Event::End { key, .. }) = event else { panic!("{event:?}") };
            assert_eq!(key.request_id(), id);
        }
        assert_eq!(conn.open_requests(), 0);
        assert!(keys.iter().all(|key| conn.request(*key).is_none()));
    }
}
