//! Client and application together, in memory, driven at every cut: what one says the other hears.

mod support;

use core::num::NonZeroU16;

use std::collections::BTreeMap;

use bytes::Buf;
use fcgi_proto::server::{Refusal, RefusedReason};
use fcgi_proto::{
    BeginError, ProtocolError, ProtocolStatus, RecordType, Role, SendError, client, server,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Pair, Seen, Side, begin, empty, end, events, params, pattern, record, stream};

const CUTS: [usize; 8] = [1, 2, 7, 8, 9, 64, 4096, usize::MAX];

fn limit(requests: u16) -> NonZeroU16 {
    NonZeroU16::new(requests).expect("at least one")
}

fn kept(requests: u16) -> client::Config {
    client::Config::default().keep_conn(true).max_requests(limit(requests))
}

/// An application that does nothing by itself.
fn idle(_: &mut server::Connection, _: &server::Event<'_>) {}

/// The key of the only request that an application has.
fn only_key(conn: &mut server::Connection, wire: &[u8]) -> fcgi_proto::RequestKey {
    let mut input = wire;
    let mut found = None;
    while let Some(event) = conn.poll_event(&mut input).expect("an honest peer") {
        if let server::Event::Request { key, .. } = event {
            found = Some(key);
        }
    }
    found.expect("the wire begins a request")
}

// spec: S35, S46
#[test]
fn echo_at_every_cut() {
    let body = pattern(70_000);
    for cut in CUTS {
        let mut pair = Pair::new(cut);
        let key = pair.begin(&[("SCRIPT_NAME", "/x"), ("EMPTY", "")]);
        pair.send_body(key, &body);
        pair.drive();
        assert_eq!(
            pair.server_seen,
            [
                Seen::request(1, Role::Responder, [("SCRIPT_NAME", "/x"), ("EMPTY", "")]),
                Seen::stdin(1, &body),
                Seen::StdinEnd(1),
            ],
            "cut {cut}"
        );
        assert_eq!(pair.client_seen, [Seen::stdout(1, &body), Seen::complete(1)], "cut {cut}");
        assert!(pair.client.is_idle() && pair.server.open_requests() == 0, "cut {cut}");
    }
}

#[test]
fn multiplexed_requests_do_not_mix() {
    for cut in CUTS {
        let mut pair = Pair::new(cut);
        let keys: Vec<_> = (0..5).map(|_| pair.begin(&[("A", "1")])).collect();
        let bodies: Vec<_> = (0_u8..5).map(|at| vec![b'a' + at; 3000]).collect();
        for part in 0..3 {
            for (key, body) in keys.iter().zip(&bodies) {
                let part = &body[part * 1000..][..1000];
                while pair.request(*key).stdin_slice(part) == Err(SendError::Blocked) {
                    assert!(pair.step(), "cut {cut}");
                }
                pair.step();
            }
        }
        // The first begun is the last to end.
        for key in keys.iter().rev() {
            pair.request(*key).finish().expect("once");
        }
        pair.drive();
        for (key, body) in keys.iter().zip(&bodies) {
            let id = key.request_id();
            let expected = [Seen::stdout(id, body), Seen::complete(id)];
            assert_eq!(pair.client_seen_of(*key), expected, "cut {cut}");
        }
        let ends: Vec<_> =
            pair.client_seen.iter().filter(|seen| matches!(seen, Seen::End(..))).collect();
        assert_eq!(ends, [5, 4, 3, 2, 1].map(Seen::complete).iter().collect::<Vec<_>>());
    }
}

// spec: S35, S42, S58
#[test]
fn a_filter_is_given_its_file_after_stdin() {
    for cut in CUTS {
        let app = |conn: &mut server::Connection, event: &server::Event<'_>| match *event {
            server::Event::Data { key, data } => {
                conn.response(key).expect("open").stdout_slice(data).expect("room");
            }
            server::Event::DataEnd { key } => conn.response(key).expect("open").end(0),
            _ => {}
        };
        let mut pair = Pair::with(cut, kept(1), server::Config::default(), app);
        let key = pair.begin_role(Role::Filter, &[("FCGI_DATA_LENGTH", "4")]);
        let mut request = pair.request(key);
        assert_eq!(request.data("early"), Err(SendError::Finished));
        assert_eq!(request.finish_data(), Err(SendError::Finished));
        request.stdin("in").expect("room");
        request.finish().expect("once");
        assert_eq!(request.stdin("late"), Err(SendError::Finished));
        request.data("file").expect("room");
        request.finish_data().expect("once");
        assert_eq!(request.finish_data(), Err(SendError::Finished));
        pair.drive();
        assert_eq!(
            pair.server_seen,
            [
                Seen::request(1, Role::Filter, [("FCGI_DATA_LENGTH", "4")]),
                Seen::stdin(1, "in"),
                Seen::StdinEnd(1),
                Seen::data(1, "file"),
                Seen::DataEnd(1),
            ],
            "cut {cut}"
        );
        assert_eq!(pair.client_seen, [Seen::stdout(1, "file"), Seen::complete(1)], "cut {cut}");
        assert!(pair.client.is_idle(), "cut {cut}");
    }
}

// spec: S32
#[test]
fn an_authorizer_and_an_unknown_role_are_as_they_were_sent() {
    for role in [Role::Authorizer, Role::Other(700)] {
        let mut pair = Pair::new(8);
        let key = pair.begin_role(role, &[]);
        pair.send_body(key, b"");
        pair.drive();
        assert_eq!(pair.server_seen, [Seen::request(1, role, []), Seen::StdinEnd(1)]);
        assert_eq!(pair.client_seen, [Seen::complete(1)]);
    }
}

// spec: S40, S41
#[test]
fn refusals_arrive_as_what_they_are() {
    for (refusal, status) in [
        (Refusal::CantMultiplex, ProtocolStatus::CantMultiplex),
        (Refusal::Overloaded, ProtocolStatus::Overloaded),
        (Refusal::UnknownRole, ProtocolStatus::UnknownRole),
    ] {
        let app = move |conn: &mut server::Connection, event: &server::Event<'_>| {
            if let server::Event::Request { key, .. } = *event {
                conn.response(key).expect("open").refuse(refusal);
            }
        };
        let mut pair = Pair::with(3, kept(1), server::Config::default(), app);
        let key = pair.begin(&[]);
        pair.send_body(key, b"unwanted");
        pair.drive();
        assert_eq!(pair.client_seen, [Seen::End(1, status, 0)]);
        assert_eq!(pair.server_seen, [Seen::request(1, Role::Responder, [])]);
    }
}

// spec: S38
#[test]
fn an_app_status_keeps_its_top_bit() {
    let app = |conn: &mut server::Connection, event: &server::Event<'_>| {
        if let server::Event::StdinEnd { key } = *event {
            conn.response(key).expect("open").end(u32::MAX);
        }
    };
    let mut pair = Pair::with(1, kept(1), server::Config::default(), app);
    let key = pair.begin(&[]);
    pair.send_body(key, b"");
    pair.drive();
    assert_eq!(pair.client_seen, [Seen::End(1, ProtocolStatus::RequestComplete, u32::MAX)]);
}

// spec: S8, S52
#[test]
fn stdout_stderr_and_their_ends_come_in_one_piece() {
    let mut conn = server::Connection::new(server::Config::default());
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    let mut response = conn.response(key).expect("open");
    response.stderr("oops").expect("room");
    response.stdout("fine").expect("room");
    response.stdout("").expect("nothing is nothing");
    response.stderr("").expect("nothing is nothing");
    response.end(0);
    let output = conn.take_output(usize::MAX);
    let expected = [
        support::hex(r#" 01 07 0001 0004 04 00 "oops" 00000000 "#),
        record(RecordType::Stdout, 1, b"fine"),
        empty(RecordType::Stderr, 1),
        empty(RecordType::Stdout, 1),
        end(1, ProtocolStatus::RequestComplete, 0),
    ];
    assert_eq!(output, expected.concat());
}

// spec: S44
#[test]
fn no_stderr_means_no_end_of_it() {
    let mut conn = server::Connection::new(server::Config::default());
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    conn.response(key).expect("open").stderr("").expect("nothing is nothing");
    conn.response(key).expect("open").end(0);
    let expected = [empty(RecordType::Stdout, 1), end(1, ProtocolStatus::RequestComplete, 0)];
    assert_eq!(conn.take_output(usize::MAX), expected.concat());
}

// Aborts.

/// How far a request got before it is aborted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    Params,
    Stdin,
    StdinEnd,
    Stdout,
}

// spec: S36
#[test]
fn an_abort_in_every_phase_is_confirmed_and_frees_the_id() {
    for cut in CUTS {
        for until in [Until::Params, Until::Stdin, Until::StdinEnd, Until::Stdout] {
            let app = move |conn: &mut server::Connection, event: &server::Event<'_>| match *event {
                server::Event::Stdin { key, .. } if until == Until::Stdout => {
                    let mut response = conn.response(key).expect("open");
                    response.stdout_slice(&[b'x'; 5000]).expect("room");
                }
                server::Event::Aborted { key } => conn.response(key).expect("open").end(9),
                _ => {}
            };
            let mut pair = Pair::with(cut, kept(2), server::Config::default(), app);
            let key = pair.begin(&[("A", "1")]);
            if until != Until::Params {
                pair.request(key).stdin_slice(b"some").expect("room");
            }
            if until == Until::StdinEnd {
                pair.request(key).finish().expect("once");
            }
            if until == Until::Stdout {
                pair.step();
            } else {
                pair.drive();
            }
            pair.request(key).abort();
            assert!(pair.client.request(key).is_none(), "an aborted request sends nothing");
            assert_eq!(pair.client.open_requests(), 1, "its id stays taken");
            assert_eq!(pair.client.capacity(), 1);
            let before = pair.client_seen.len();
            pair.drive();
            let aborted = Seen::End(1, ProtocolStatus::RequestComplete, 9);
            assert_eq!(pair.client_seen[before..], [aborted], "cut {cut}, {until:?}");
            assert_eq!(pair.server_seen.last(), Some(&Seen::Aborted(1)), "cut {cut}, {until:?}");
            // The next request is not touched by any of it.
            let next = pair.begin(&[]);
            assert_eq!(next.request_id(), 2);
            assert!(pair.client.is_idle() || pair.client.open_requests() == 1);
        }
    }
}

// spec: S36
#[test]
fn an_abort_amid_params_is_answered_without_the_application() {
    let mut conn = server::Connection::new(server::Config::default());
    let wire = [begin(1, Role::Responder), empty(RecordType::AbortRequest, 1)].concat();
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::Refused(1, RefusedReason::Aborted)]);
    assert_eq!(conn.take_output(usize::MAX), end(1, ProtocolStatus::RequestComplete, 0));
    assert_eq!(conn.open_requests(), 0);
}

#[test]
fn an_abort_after_the_end_is_nothing() {
    let mut conn = server::Connection::new(server::Config::default());
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    conn.response(key).expect("open").end(0);
    conn.take_output(usize::MAX);
    assert_eq!(events(&mut conn, [&empty(RecordType::AbortRequest, 1)[..]]), []);
    assert!(!conn.has_outgoing());
}

#[test]
fn an_aborted_request_may_still_answer() {
    let mut conn = server::Connection::new(server::Config::default());
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    let abort = empty(RecordType::AbortRequest, 1);
    assert_eq!(events(&mut conn, [&abort[..], &abort]), [Seen::Aborted(1)]);
    conn.response(key).expect("open").stdout("rest").expect("room");
    conn.response(key).expect("open").end(0);
    assert!(conn.response(key).is_none());
}

#[test]
fn a_second_abort_sends_nothing() {
    let mut conn = client::Connection::new(kept(1));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").abort();
    conn.take_output(usize::MAX);
    assert!(conn.request(key).is_none());
    assert!(!conn.has_outgoing());
}

// The end of input.

// spec: S37
#[test]
fn eof_aborts_what_is_open_once_each() {
    let mut conn = server::Connection::new(server::Config::default());
    let wire = [
        begin(9, Role::Responder),
        params(9, &[]),
        begin(4, Role::Filter),
        params(4, &[]),
        stream(RecordType::Stdin, 4, b"x"),
        begin(6, Role::Responder), // never announced: its parameters are cut off
        b"\x01\x04\x00".to_vec(),
    ]
    .concat();
    events(&mut conn, [&wire[..]]);
    assert!(conn.wants_read());
    conn.handle_eof();
    assert!(!conn.wants_read());
    assert_eq!(events(&mut conn, [&b""[..]]), [Seen::Aborted(4), Seen::Aborted(9)]);
    assert_eq!(events(&mut conn, [&b""[..]]), []);
    assert_eq!(conn.open_requests(), 2, "the application still calls end");
    assert!(!conn.is_closing());
}

#[test]
fn responses_go_on_to_a_peer_that_closed_its_half() {
    let mut conn = server::Connection::new(server::Config::default());
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    conn.handle_eof();
    assert_eq!(events(&mut conn, [&b""[..]]), [Seen::Aborted(1)]);
    conn.response(key).expect("open").stdout("all").expect("room");
    conn.response(key).expect("open").end(0);
    assert!(conn.is_closing() && conn.has_outgoing());
    let expected = [
        record(RecordType::Stdout, 1, b"all"),
        empty(RecordType::Stdout, 1),
        end(1, ProtocolStatus::RequestComplete, 0),
    ];
    assert_eq!(conn.take_output(usize::MAX), expected.concat());
}

/// A driver that reads to the end of the stream before it has fed all of it must not hang: `None` with input left over has
/// to mean that writing helps.
#[test]
fn input_left_at_eof_is_not_lost() {
    let mut conn = server::Connection::new(server::Config::default().max_buffered(1));
    let head = [begin(1, Role::Responder), params(1, &[])].concat();
    only_key(&mut conn, &head);
    let values = record(RecordType::GetValues, 0, &support::pairs([("FCGI_MAX_REQS", "")]));
    let wire = [values, record(RecordType::Stdin, 1, b"last"), begin(2, Role::Filter)].concat();
    let mut input = &wire[..];
    assert_eq!(conn.poll(&mut input), Ok(None));
    assert!(!input.is_empty() && conn.has_outgoing());
    conn.handle_eof();
    assert_eq!(conn.poll(&mut input), Ok(None), "what is left comes before the aborts");
    assert_eq!(events(&mut conn, [input]), [Seen::stdin(1, "last"), Seen::Aborted(1)]);
    assert_eq!(conn.open_requests(), 1, "the second was never announced");
}

#[test]
fn a_client_tells_a_clean_end_from_a_cut_one() {
    let mut conn = client::Connection::new(kept(1));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").finish().expect("once");
    events(&mut conn, [&end(1, ProtocolStatus::RequestComplete, 0)[..]]);
    assert!(conn.wants_read() && !conn.is_closing());
    assert_eq!(conn.handle_eof(), Ok(()));
    assert!(!conn.wants_read(), "a loop that reads on would spin");
    assert!(conn.is_closing() && conn.capacity() == 0);
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(BeginError::Closing));
    assert_eq!(conn.get_values(["FCGI_MAX_REQS"]), Err(BeginError::Closing));

    let mut conn = client::Connection::new(kept(2));
    conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.begin(Role::Responder, [("A", "1")]).expect("room");
    let cut = ProtocolError::UnexpectedEof { open_requests: 2, in_record: false };
    assert_eq!(conn.handle_eof(), Err(cut));
    assert_eq!(conn.handle_eof(), Err(cut));
    assert_eq!(conn.poll_event(&mut &b""[..]), Err(cut));
}

// Keys and ids.

#[test]
fn keys_that_outlive_their_request_find_nothing() {
    let mut pair = Pair::new(usize::MAX);
    let key = pair.begin(&[]);
    pair.send_body(key, b"");
    pair.drive();
    assert!(pair.client.request(key).is_none());

    // The application's id comes back at once; the old key does not speak for the new request.
    let mut conn = server::Connection::new(server::Config::default());
    let wire = [begin(1, Role::Responder), params(1, &[]), empty(RecordType::Stdin, 1)].concat();
    let old = only_key(&mut conn, &wire);
    conn.response(old).expect("open").end(0);
    assert!(conn.response(old).is_none());
    let new = only_key(&mut conn, &wire);
    assert_eq!((old.request_id(), new.request_id()), (1, 1));
    assert!(old != new && conn.response(old).is_none() && conn.response(new).is_some());
}

// spec: S10
#[test]
fn an_id_is_taken_until_its_end_request() {
    let mut conn = client::Connection::new(kept(1));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").finish().expect("once");
    let too_many = BeginError::TooManyRequests { limit: 1 };
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(too_many));
    // Neither the ends of the streams nor an abort free it.
    events(&mut conn, [&empty(RecordType::Stdout, 1)[..], &empty(RecordType::Stderr, 1)]);
    conn.request(key).expect("open").abort();
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(too_many));
    assert_eq!((conn.capacity(), conn.open_requests()), (0, 1));
}

// spec: S12
#[test]
fn ids_wrap_behind_65535_and_skip_open_ones() {
    let mut conn = client::Connection::new(kept(3));
    let run = |conn: &mut client::Connection| {
        let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
        conn.request(key).expect("open").finish().expect("once");
        conn.take_output(usize::MAX);
        let wire = end(key.request_id(), ProtocolStatus::RequestComplete, 0);
        assert_eq!(events(conn, [&wire[..]]), [Seen::complete(key.request_id())]);
        key.request_id()
    };
    assert_eq!(run(&mut conn), 1);
    let open = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    assert_eq!(open.request_id(), 2);
    for id in 3..=u16::MAX {
        assert_eq!(run(&mut conn), id);
    }
    assert_eq!(run(&mut conn), 1, "never 0");
    assert_eq!(run(&mut conn), 3, "2 is open");
    assert!(conn.request(open).is_some());
}

// spec: S12
#[test]
fn all_65535_ids_can_be_open_at_once() {
    let config = kept(u16::MAX).max_buffered(usize::MAX);
    let mut conn = client::Connection::new(config);
    for id in 1..=u16::MAX {
        let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
        assert_eq!(key.request_id(), id);
    }
    let too_many = BeginError::TooManyRequests { limit: u16::MAX };
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(too_many));
    events(&mut conn, [&end(777, ProtocolStatus::RequestComplete, 0)[..]]);
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("one is free");
    assert_eq!(key.request_id(), 777);
}

// Backpressure.

#[test]
fn stdin_is_blocked_at_the_cap_and_goes_on_below_it() {
    let mut conn = client::Connection::new(kept(2).max_buffered(1000));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.take_output(usize::MAX);
    let mut request = conn.request(key).expect("open");
    request.stdin(vec![1; 5000]).expect("the cap is soft: a payload is taken whole");
    assert_eq!(request.stdin("x"), Err(SendError::Blocked));
    assert_eq!(request.stdin_slice(b"x"), Err(SendError::Blocked));
    assert!(conn.is_blocked());
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(BeginError::Blocked));
    conn.take_output(4008);
    assert!(conn.is_blocked(), "1000 bytes are left");
    conn.take_output(1);
    assert!(!conn.is_blocked(), "999 bytes are left");
    conn.request(key).expect("open").stdin_slice(b"x").expect("room again");
    assert_eq!(conn.take_output(usize::MAX).len(), 999 + 8 + 1, "what was refused left no trace");
}

#[test]
fn ends_are_never_blocked() {
    let mut conn = client::Connection::new(kept(2).max_buffered(1));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").finish().expect("an end is taken at the cap");
    conn.request(key).expect("open").abort();

    let mut conn = server::Connection::new(server::Config::default().max_buffered(1));
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    conn.response(key).expect("open").stdout("x").expect("room");
    let mut response = conn.response(key).expect("open");
    assert_eq!(response.stdout("x"), Err(SendError::Blocked));
    assert_eq!(response.stdout_slice(b"x"), Err(SendError::Blocked));
    assert_eq!(response.stderr("x"), Err(SendError::Blocked));
    response.end(0);
    assert_eq!(conn.take_output(usize::MAX).len(), 9 + 8 + 16);
}

#[test]
fn a_full_output_stops_the_input_of_an_application() {
    let mut conn = server::Connection::new(server::Config::default().max_buffered(100));
    let key = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    conn.response(key).expect("open").stdout(vec![0; 100]).expect("room");
    assert!(!conn.wants_read() && conn.is_blocked());
    let stdin = record(RecordType::Stdin, 1, b"body");
    let mut input = &stdin[..];
    assert_eq!(conn.poll(&mut input), Ok(None));
    assert_eq!(input, stdin, "nothing was taken");
    conn.take_output(usize::MAX);
    assert!(conn.wants_read());
    assert_eq!(conn.poll(&mut input), Ok(Some(Seen::stdin(1, "body"))));
}

#[test]
fn a_cap_of_zero_still_moves() {
    for cut in CUTS {
        let mut pair = Pair::with(
            cut,
            kept(2).max_buffered(0),
            server::Config::default().max_buffered(0),
            support::echo,
        );
        let key = pair.begin(&[("A", "1")]);
        pair.drive();
        pair.send_body(key, b"body");
        pair.drive();
        assert_eq!(pair.client_seen, [Seen::stdout(1, "body"), Seen::complete(1)], "cut {cut}");
    }
}

// Who closes, and when.

// spec: S21
#[test]
fn without_keep_conn_both_sides_close_after_the_request() {
    let config = client::Config::default();
    let mut pair = Pair::with(7, config, server::Config::default(), support::echo);
    assert_eq!(pair.client.capacity(), 1);
    assert!(!pair.client.is_closing() && !pair.server.is_closing());
    let key = pair.begin(&[]);
    assert!(pair.client.is_closing(), "no other request may begin");
    assert_eq!(pair.client.begin(Role::Responder, [("A", "1")]), Err(BeginError::Closing));
    assert!(pair.client.wants_read());
    pair.send_body(key, b"body");
    while pair.server.open_requests() > 0 || pair.server_seen.is_empty() {
        assert!(!pair.server.is_closing());
        assert!(pair.step());
    }
    assert!(pair.server.is_closing(), "the application closes once its output is written");
    assert!(pair.server.has_outgoing());
    pair.drive();
    assert_eq!(pair.client_seen, [Seen::stdout(1, "body"), Seen::complete(1)]);
    assert_eq!(pair.client.open_requests(), 0);
    assert!(!pair.client.is_idle());
    assert_eq!(pair.client.handle_eof(), Ok(()));
}

// spec: S33
#[test]
fn with_keep_conn_nobody_closes() {
    let mut pair = Pair::new(64);
    for id in 1..=100 {
        let key = pair.begin(&[("A", "1")]);
        assert_eq!(key.request_id(), id);
        pair.send_body(key, b"body");
        pair.drive();
        assert!(pair.client.is_idle() && !pair.client.is_closing() && !pair.server.is_closing());
    }
}

/// One request asked for the close, another is still running: it is finished, and no other begins meanwhile.
// spec: S21
#[test]
fn a_closing_application_finishes_what_is_open() {
    let mut conn = server::Connection::new(server::Config::default().max_free_records(10));
    let kept = only_key(&mut conn, &[begin(1, Role::Responder), params(1, &[])].concat());
    let last = [support::begin_flags(2, Role::Responder, 0), params(2, &[])].concat();
    let last = only_key(&mut conn, &last);
    conn.response(last).expect("open").end(0);
    assert!(!conn.is_closing() && conn.wants_read());
    conn.take_output(usize::MAX);

    // A late comer is not answered, and however much it sends, it does not cost the other its connection.
    let late = [begin(3, Role::Responder), params(3, &[("A", "1")])].concat();
    assert_eq!(events(&mut conn, [&late[..]]), []);
    for _ in 0..100 {
        assert_eq!(events(&mut conn, [&record(RecordType::Stdin, 3, b"body")[..]]), []);
    }
    assert_eq!(conn.open_requests(), 1);
    assert!(!conn.has_outgoing());

    let stdin = stream(RecordType::Stdin, 1, b"more");
    assert_eq!(events(&mut conn, [&stdin[..]]), [Seen::stdin(1, "more"), Seen::StdinEnd(1)]);
    conn.response(kept).expect("open").end(0);
    assert!(conn.is_closing());
}

#[test]
fn a_refused_request_without_keep_conn_closes_as_well() {
    let config = server::Config::default().max_params(3);
    let mut conn = server::Connection::new(config);
    let wire = [support::begin_flags(1, Role::Responder, 0), params(1, &[("LONG", "1")])].concat();
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::Refused(1, RefusedReason::ParamsTooLarge)]);
    assert!(conn.is_closing() && conn.has_outgoing());
}

/// What was queued for a request that has ended would come as strays, for which php and libfcgi close.
#[test]
fn an_answer_before_the_end_of_stdin_ends_a_single_connection() {
    let mut conn = client::Connection::new(kept(1));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").stdin_slice(b"part").expect("room");
    let wire = end(1, ProtocolStatus::RequestComplete, 0);
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::complete(1)]);
    assert!(conn.is_closing() && !conn.is_idle() && conn.open_requests() == 0);
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(BeginError::Closing));

    // So does an abort, even once it is confirmed.
    let mut conn = client::Connection::new(kept(1));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").finish().expect("once");
    conn.request(key).expect("open").abort();
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::complete(1)]);
    assert!(conn.is_closing());

    // A peer that multiplexes skips strays.
    let mut conn = client::Connection::new(kept(2));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").abort();
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::complete(1)]);
    assert!(!conn.is_closing());
    let next = conn.begin(Role::Responder, [("A", "1")]).expect("it goes on");
    assert_eq!(next.request_id(), 2);
}

// Errors.

// spec: S60
#[test]
fn errors_are_stored_and_repeated() {
    let mut conn = client::Connection::new(kept(1));
    let error = ProtocolError::WrongDirection { record_type: RecordType::Stdin };
    assert_eq!(events(&mut conn, [&empty(RecordType::Stdin, 1)[..]]), [Seen::Failed(error)]);
    assert!(conn.is_closing() && !conn.wants_read() && conn.capacity() == 0);
    assert_eq!(conn.handle_eof(), Err(error));
    assert_eq!(conn.poll_event(&mut &end(1, ProtocolStatus::RequestComplete, 0)[..]), Err(error));
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(BeginError::Closing));

    let mut conn = server::Connection::new(server::Config::default());
    let error = ProtocolError::WrongDirection { record_type: RecordType::Stdout };
    assert_eq!(events(&mut conn, [&empty(RecordType::Stdout, 1)[..]]), [Seen::Failed(error)]);
    conn.handle_eof();
    assert_eq!(conn.poll_event(&mut &begin(1, Role::Responder)[..]), Err(error));
    assert!(conn.is_closing() && !conn.wants_read());
}

#[test]
fn a_stranger_is_known_by_its_first_byte() {
    for (bytes, name) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], Some("HTTP")),
        (b"\x15\x03\x01\x00\x02", Some("TLS")),
        (b"-ERR unknown command", Some("Redis")),
        (b"-DENIED Redis is running in protected mode", Some("Redis")),
        (b"-NOAUTH Authentication required.\r\n", Some("Redis")),
        (b"\x4a\x00\x00\x00\x0a8.0.36", Some("MySQL")),
        (b"\x4a\x01\x00\x00\x0a5.5.5-10.11.6-MariaDB", Some("MySQL")),
        (b"\x17\x00\x00\x00\xff\x10\x04Too many connections", Some("MySQL")),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Some("SSH")),
        (b"\x16\x03\x03\x00\x7a\x02", Some("TLS")),
        (b"<html>\r\n<head><title>400 Bad Request", Some("HTML")),
        (b"<?xml version=\"1.0\"?>", Some("XML")),
        (b"{\"error\":", Some("JSON")),
        (b"GET / HTTP/1.1\r\n", Some("HTTP")),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", Some("HTTP/2")),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", Some("HTTP/2")),
        (b"E\x00\x00\x00\x84SFATAL", Some("PostgreSQL")),
        (b"EFATAL:  unsupported frontend protocol", Some("PostgreSQL")),
        (b"ERROR\r\n", Some("memcached")),
        (b"220 mail.example.org ESMTP", Some("SMTP or FTP")),
        (b"220-welcome", Some("SMTP or FTP")),
        (b"+OK Dovecot ready.", Some("Redis or POP3")),
        (b"* OK [CAPABILITY IMAP4rev1", Some("IMAP")),
        (b"\x00", None),
        (b"\x02\x06\x00\x01", None),
    ] {
        let mut conn = client::Connection::new(kept(1));
        conn.begin(Role::Responder, [("A", "1")]).expect("room");
        let Err(ProtocolError::NotFastCgi(first)) = conn.poll_event(&mut &bytes[..]) else {
            panic!("{bytes:?} is no FastCGI");
        };
        assert_eq!(first.looks_like(), name);
        assert!(bytes.starts_with(first.as_slice()));
    }
    // After a first record it is the version that is wrong.
    let mut conn = client::Connection::new(kept(1));
    conn.begin(Role::Responder, [("A", "1")]).expect("room");
    let wire = [empty(RecordType::Stdout, 1), b"HTTP/1.1".to_vec()].concat();
    let error = ProtocolError::UnsupportedVersion(b'H');
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::Failed(error)]);
}

// Parameters of one request never reach another.

#[test]
fn a_recycled_buffer_is_empty() {
    let mut conn = server::Connection::new(server::Config::default());
    for (name, value) in [("SECRET", "of the first request"), ("B", "2")] {
        let wire = [begin(1, Role::Responder), params(1, &[(name, value)])].concat();
        let mut input = &wire[..];
        let Ok(Some(server::Event::Request { key, params, .. })) = conn.poll_event(&mut input)
        else {
            panic!("the parameters are complete");
        };
        assert_eq!(params, [(name, value)].into_iter().collect());
        conn.recycle(params);
        conn.response(key).expect("open").end(0);
        conn.take_output(usize::MAX);
    }
}

/// A pair of requests at once: only one of them gets the spare buffer.
#[test]
fn a_recycled_buffer_goes_to_one_request() {
    let app = |conn: &mut server::Connection, event: &server::Event<'_>| match event {
        server::Event::Request { params, .. } => conn.recycle(params.clone()),
        server::Event::StdinEnd { key } => conn.response(*key).expect("open").end(0),
        _ => {}
    };
    let mut pair = Pair::with(5, kept(4), server::Config::default(), app);
    for _ in 0..5 {
        let keys = ["1", "2", "3", "4"].map(|value| pair.begin(&[("WHO", value)]));
        for key in keys {
            pair.send_body(key, b"");
        }
        pair.drive();
        for (key, value) in keys.into_iter().zip(["1", "2", "3", "4"]) {
            let id = key.request_id();
            let expected =
                [Seen::request(id, Role::Responder, [("WHO", value)]), Seen::StdinEnd(id)];
            assert_eq!(pair.server_seen_of(key), expected);
        }
    }
}

#[test]
fn idle_applications_leave_requests_open() {
    let mut pair = Pair::with(64, kept(2), server::Config::default(), idle);
    let key = pair.begin(&[]);
    pair.send_body(key, b"body");
    pair.drive();
    assert_eq!((pair.client.open_requests(), pair.server.open_requests()), (1, 1));
    assert!(pair.client_seen.is_empty());
}

// Anything that two honest ends may do.

/// What either end does next; a request is chosen among those that this end knows.
#[derive(Clone, Debug)]
enum Op {
    Begin { is_filter: bool },
    Stdin { which: usize, len: usize },
    Finish { which: usize },
    Abort { which: usize },
    Respond { which: usize, len: usize },
    Complain { which: usize },
    End { which: usize },
    Values,
    Step,
}

fn any_op() -> impl Strategy<Value = Op> {
    let which = 0_usize..8;
    let len = prop_oneof![8 => 0_usize..50, 2 => 1000_usize..3000, 1 => 65_000_usize..70_000];
    prop_oneof![
        3 => any::<bool>().prop_map(|is_filter| Op::Begin { is_filter }),
        4 => (which.clone(), len.clone()).prop_map(|(which, len)| Op::Stdin { which, len }),
        3 => which.clone().prop_map(|which| Op::Finish { which }),
        1 => which.clone().prop_map(|which| Op::Abort { which }),
        4 => (which.clone(), len).prop_map(|(which, len)| Op::Respond { which, len }),
        1 => which.clone().prop_map(|which| Op::Complain { which }),
        2 => which.prop_map(|which| Op::End { which }),
        1 => Just(Op::Values),
        10 => Just(Op::Step),
    ]
}

/// What is known of a request outside of the connections.
#[derive(Debug, Default)]
struct Model {
    sent: usize,
    answered: usize,
    is_aborted: bool,
}

/// A pair with a record of what went in. All bytes of a request are its id, so that a stray one is known.
struct Simulation {
    pair: Pair,
    keys: Vec<fcgi_proto::RequestKey>,
    models: BTreeMap<u16, Model>,
}

/// The keys that the application was given.
type Given = std::rc::Rc<core::cell::RefCell<Vec<fcgi_proto::RequestKey>>>;

impl Simulation {
    const CAP: usize = 5000;

    fn new(cut: usize) -> (Self, Given) {
        let given = Given::default();
        let app = {
            let given = Given::clone(&given);
            move |_: &mut server::Connection, event: &server::Event<'_>| {
                if let server::Event::Request { key, .. } = event {
                    given.borrow_mut().push(*key);
                }
            }
        };
        let client = kept(5).max_buffered(Self::CAP);
        let server = server::Config::default().max_buffered(Self::CAP).max_requests(limit(5));
        let pair = Pair::with(cut, client, server, app);
        (Self { pair, keys: Vec::new(), models: BTreeMap::new() }, given)
    }

    fn apply(&mut self, op: &Op, given: &Given) {
        let chosen = |keys: &[fcgi_proto::RequestKey], which: usize| {
            keys.len().checked_sub(which + 1).map(|at| keys[at])
        };
        let mine = |which| chosen(&self.keys, which);
        let theirs = |which| chosen(&given.borrow(), which);
        match *op {
            Op::Begin { is_filter } => {
                let role = if is_filter { Role::Filter } else { Role::Responder };
                if let Ok(key) = self.pair.client.begin(role, [("A", "1")]) {
                    self.keys.push(key);
                    assert!(self.models.insert(key.request_id(), Model::default()).is_none());
                }
            }
            Op::Stdin { which, len } => {
                let Some(key) = mine(which) else { return };
                let Some(mut request) = self.pair.client.request(key) else { return };
                if request.stdin(tagged(key, len)).is_ok() {
                    self.model(key).sent += len;
                }
            }
            Op::Finish { which } => {
                let Some(key) = mine(which) else { return };
                let Some(mut request) = self.pair.client.request(key) else { return };
                if request.finish().is_err() && request.data(tagged(key, 10)).is_ok() {
                    request.finish_data().expect("its data was taken");
                    self.model(key).sent += 10;
                }
            }
            Op::Abort { which } => {
                let Some(key) = mine(which) else { return };
                let Some(request) = self.pair.client.request(key) else { return };
                request.abort();
                self.model(key).is_aborted = true;
            }
            Op::Respond { which, len } => {
                let Some(key) = theirs(which) else { return };
                let Some(mut response) = self.pair.server.response(key) else { return };
                if response.stdout(tagged(key, len)).is_ok() {
                    self.model(key).answered += len;
                }
            }
            Op::Complain { which } => {
                let Some(key) = theirs(which) else { return };
                let Some(mut response) = self.pair.server.response(key) else { return };
                if response.stderr(tagged(key, 100)).is_ok() {
                    self.model(key).answered += 100;
                }
            }
            Op::End { which } => {
                let Some(key) = theirs(which) else { return };
                let Some(response) = self.pair.server.response(key) else { return };
                response.end(key.request_id().into());
            }
            Op::Values => {
                let client = &mut self.pair.client;
                let is_blocked = client.is_blocked();
                assert_eq!(client.get_values(["FCGI_MAX_REQS"]).is_err(), is_blocked, "it is open");
            }
            Op::Step => drop(self.pair.step()),
        }
    }

    fn model(&mut self, key: fcgi_proto::RequestKey) -> &mut Model {
        self.models.get_mut(&key.request_id()).expect("every request has one")
    }

    /// Ends all that is open, on both ends, and compares what came with what was sent.
    fn finish(mut self, given: &Given) {
        for which in 0..self.keys.len() {
            for _ in 0..2 {
                self.apply(&Op::Finish { which }, given);
                while self.pair.step() {}
            }
        }
        while self.pair.step() {}
        for which in 0..given.borrow().len() {
            self.apply(&Op::End { which }, given);
            while self.pair.step() {}
        }
        self.pair.drive();
        assert_eq!(self.pair.client.open_requests(), 0, "every request ends");
        assert_eq!(self.pair.server.open_requests(), 0);
        assert!(self.pair.client.is_idle(), "and leaves nothing behind");
        for (id, model) in &self.models {
            self.check(*id, model);
        }
    }

    fn check(&self, id: u16, model: &Model) {
        let (mut received, mut answered, mut ends) = (0, 0, 0);
        for seen in self.pair.client_seen.iter().chain(&self.pair.server_seen) {
            match seen {
                Seen::Stdin(of, data) | Seen::Data(of, data) if *of == id => {
                    assert!(data.iter().all(|byte| *byte == tag(id)), "a byte of another request");
                    received += data.len();
                }
                Seen::Stdout(of, data) | Seen::Stderr(of, data) if *of == id => {
                    assert!(data.iter().all(|byte| *byte == tag(id)), "a byte of another request");
                    assert_eq!(ends, 0, "nothing comes after the end");
                    answered += data.len();
                }
                Seen::End(of, status, app_status) if *of == id => {
                    assert_eq!(*status, ProtocolStatus::RequestComplete);
                    assert!(*app_status == u32::from(id) || model.is_aborted);
                    ends += 1;
                }
                _ => {}
            }
        }
        assert_eq!(ends, 1, "END_REQUEST comes once");
        assert!(received <= model.sent && answered <= model.answered);
        if !model.is_aborted {
            assert_eq!(answered, model.answered, "the whole answer comes");
        }
    }
}

fn tag(id: u16) -> u8 {
    id.to_be_bytes()[1]
}

fn tagged(key: fcgi_proto::RequestKey, len: usize) -> Vec<u8> {
    vec![tag(key.request_id()); len]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Honest ends are never refused, hold no more than their caps and one payload, and always come to an end.
    #[test]
    fn honest_ends_get_along(ops in vec(any_op(), 0..80), cut in prop::sample::select(&CUTS[3..])) {
        let (mut simulation, given) = Simulation::new(cut);
        for op in &ops {
            simulation.apply(op, &given);
            let bound = Simulation::CAP + 70_100 + 5 * 100 + ops.len() * 40;
            prop_assert!(simulation.pair.client.outgoing().remaining() <= bound);
            prop_assert!(simulation.pair.server.outgoing().remaining() <= bound);
        }
        simulation.finish(&given);
    }
}
