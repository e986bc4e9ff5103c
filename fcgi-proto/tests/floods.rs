//! Peers that send without end, and the limits that bound what it costs. Every limit of both configurations is shown at its
//! default and at a value of its own.

mod support;

use core::num::NonZeroU16;

use bytes::Buf;
use fcgi_proto::server::RefusedReason;
use fcgi_proto::{
    BeginError, ProtocolError, ProtocolStatus, RecordType, RequestKey, Role, client, server,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{
    Seen, Side, begin, begin_flags, empty, end, events, padded, pairs, params, record, records_of,
    stream, to_application, to_client,
};

fn limit(requests: u16) -> NonZeroU16 {
    NonZeroU16::new(requests).expect("at least one")
}

fn application(config: server::Config) -> server::Connection {
    server::Connection::new(config)
}

/// An application with request 1, whose parameters have come.
fn serving(config: server::Config) -> (server::Connection, RequestKey) {
    let mut conn = application(config);
    let wire = [begin(1, Role::Responder), empty(RecordType::Params, 1)].concat();
    let key = match conn.poll_event(&mut &wire[..]) {
        Ok(Some(server::Event::Request { key, .. })) => key,
        other => panic!("not a request: {other:?}"),
    };
    (conn, key)
}

fn asking(config: client::Config) -> (client::Connection, RequestKey) {
    let mut conn = client::Connection::new(config.keep_conn(true));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.take_output(usize::MAX);
    (conn, key)
}

/// How often `wire` is taken before it is too much; the output is written away.
fn taken(side: &mut impl Side, wire: &[u8], error: ProtocolError) -> u32 {
    for count in 0..100_000 {
        match events(side, [wire]).pop() {
            Some(Seen::Failed(found)) => {
                assert_eq!(found, error);
                return count;
            }
            _ => drop(side.take_output(usize::MAX)),
        }
    }
    panic!("no end to it");
}

const FREE: ProtocolError = ProtocolError::TooManyFreeRecords { limit: 1000 };

// Records that bring nothing.

#[test]
fn free_records_end_at_the_limit_on_an_application() {
    let of_request = |record_type| empty(record_type, 1);
    let free = [
        ("a request that is not there", record(RecordType::Stdin, 9, b"x")),
        ("its abort", empty(RecordType::AbortRequest, 9)),
        ("a second end of PARAMS", of_request(RecordType::Params)),
        ("PARAMS behind the end", record(RecordType::Params, 1, b"x")),
        ("an unknown type", of_request(RecordType::Other(99))),
        ("an unknown type for the connection", empty(RecordType::Other(99), 0)),
        ("GET_VALUES", empty(RecordType::GetValues, 0)),
        ("GET_VALUES of a request", empty(RecordType::GetValues, 1)),
    ];
    for (what, wire) in free {
        let (mut conn, _) = serving(server::Config::default());
        assert_eq!(taken(&mut conn, &wire, FREE), 1000, "{what}");
        assert!(conn.is_closing() && !conn.wants_read());
        let (mut conn, _) = serving(server::Config::default().max_free_records(7));
        let error = ProtocolError::TooManyFreeRecords { limit: 7 };
        assert_eq!(taken(&mut conn, &wire, error), 7, "{what}");
    }
}

#[test]
fn free_records_end_at_the_limit_on_a_client() {
    let free = [
        ("an empty STDOUT", empty(RecordType::Stdout, 1)),
        ("an empty STDERR", empty(RecordType::Stderr, 1)),
        ("an unknown type", empty(RecordType::Other(99), 1)),
        ("UNKNOWN_TYPE", record(RecordType::UnknownType, 0, &[0; 8])),
        ("values that were not asked for", empty(RecordType::GetValuesResult, 0)),
    ];
    for (what, wire) in free {
        let (mut conn, _) = asking(client::Config::default());
        assert_eq!(taken(&mut conn, &wire, FREE), 1000, "{what}");
        let (mut conn, _) = asking(client::Config::default().max_free_records(7));
        let error = ProtocolError::TooManyFreeRecords { limit: 7 };
        assert_eq!(taken(&mut conn, &wire, error), 7, "{what}");
        assert!(conn.is_closing() && !conn.wants_read());
    }
    // Late records of a request that has ended, the largest there are.
    let (mut conn, _) = asking(client::Config::default());
    events(&mut conn, [&end(1, ProtocolStatus::RequestComplete, 0)[..]]);
    let late = padded(RecordType::Stdout, 1, &[b'x'; 65_535], 255);
    assert_eq!(taken(&mut conn, &late, FREE), 1000);
}

#[test]
fn a_useful_record_refills_what_free_ones_may_spend() {
    let (mut conn, _) = serving(server::Config::default().max_free_records(5));
    let spend = empty(RecordType::Other(99), 1).repeat(5);
    for _ in 0..100 {
        assert_eq!(events(&mut conn, [&spend[..]]), []);
        assert_eq!(events(&mut conn, [&record(RecordType::Stdin, 1, b"x")[..]]).len(), 1);
    }
    let (mut conn, _) = asking(client::Config::default().max_free_records(5));
    for _ in 0..100 {
        assert_eq!(events(&mut conn, [&spend[..]]), []);
        assert_eq!(events(&mut conn, [&record(RecordType::Stdout, 1, b"x")[..]]).len(), 1);
    }
    assert_eq!(events(&mut conn, [&spend[..]]), []);
    let end = end(1, ProtocolStatus::RequestComplete, 0);
    assert_eq!(events(&mut conn, [&end[..]]), [Seen::complete(1)]);
    assert_eq!(events(&mut conn, [&spend[..]]), []);
}

#[test]
fn a_record_in_many_pieces_is_counted_once() {
    let (mut conn, _) = serving(server::Config::default().max_free_records(1));
    let wire = record(RecordType::Stdin, 9, &[b'x'; 1000]);
    assert_eq!(events(&mut conn, wire.chunks(1)), []);
    let (mut conn, _) = asking(client::Config::default().max_free_records(1));
    let wire = record(RecordType::Other(99), 1, &[b'x'; 1000]);
    assert_eq!(events(&mut conn, wire.chunks(1)), []);
}

// Requests.

// spec: S40
#[test]
fn an_application_admits_32_requests_by_default() {
    let mut conn = application(server::Config::default());
    for id in 1..=32 {
        assert_eq!(events(&mut conn, [&begin(id, Role::Responder)[..]]), []);
    }
    assert_eq!(conn.open_requests(), 32);
    let refused = Seen::Refused(33, RefusedReason::TooManyRequests);
    assert_eq!(events(&mut conn, [&begin(33, Role::Responder)[..]]), [refused]);
    assert_eq!(conn.take_output(usize::MAX), end(33, ProtocolStatus::Overloaded, 0));
    assert_eq!(conn.open_requests(), 32);
}

// spec: S13, S39
#[test]
fn an_application_with_one_request_at_a_time_cannot_multiplex() {
    let (mut conn, key) = serving(server::Config::default().max_requests(limit(1)));
    let refused = Seen::Refused(2, RefusedReason::TooManyRequests);
    assert_eq!(events(&mut conn, [&begin(2, Role::Responder)[..]]), [refused]);
    assert_eq!(conn.take_output(usize::MAX), end(2, ProtocolStatus::CantMultiplex, 0));
    conn.response(key).expect("the first goes on").end(0);
    assert_eq!(events(&mut conn, [&begin(2, Role::Responder)[..]]), []);
    assert_eq!(conn.open_requests(), 1);
}

/// A burst of requests is nothing bad, so that refusals are not counted; but they have to be read.
#[test]
fn a_flood_of_65_535_begins_is_bounded() {
    let mut conn = application(server::Config::default());
    let mut refused = 0_u32;
    for id in 1..=u16::MAX {
        match events(&mut conn, [&begin(id, Role::Responder)[..]]).as_slice() {
            [] => assert!(id <= 32),
            [Seen::Refused(..)] => refused += 1,
            other => panic!("unexpected: {other:?}"),
        }
        conn.take_output(usize::MAX);
    }
    assert_eq!((refused, conn.open_requests()), (65_535 - 32, 32));
    // Who does not read them is not read from.
    let mut conn = application(server::Config::default().max_buffered(1600));
    let wire = (1..=u16::MAX).flat_map(|id| begin(id, Role::Responder)).collect::<Vec<_>>();
    let mut input = &wire[..];
    let refusals = std::iter::from_fn(|| conn.poll_event(&mut input).expect("no error")).count();
    assert_eq!(refusals, 100);
    assert!(!conn.wants_read() && !input.is_empty());
}

// spec: S13
#[test]
fn a_client_holds_one_request_by_default() {
    let conn = client::Connection::new(client::Config::default());
    assert_eq!((conn.capacity(), conn.open_requests()), (1, 0));
    let config = client::Config::default().keep_conn(true).max_requests(limit(3));
    let mut conn = client::Connection::new(config);
    for open in 0..3 {
        assert_eq!((conn.capacity(), conn.open_requests()), (3 - open, open));
        conn.begin(Role::Responder, [("A", "1")]).expect("room");
    }
    let error = BeginError::TooManyRequests { limit: 3 };
    assert_eq!(conn.begin(Role::Responder, [("A", "1")]), Err(error));
}

#[test]
fn keep_conn_is_off_by_default() {
    for (config, flags) in
        [(client::Config::default(), 0), (client::Config::default().keep_conn(true), 1)]
    {
        let mut conn = client::Connection::new(config);
        conn.begin(Role::Responder, [("A", "1")]).expect("room");
        let wire = conn.take_output(usize::MAX);
        assert!(wire.starts_with(&begin_flags(1, Role::Responder, flags)));
        assert_eq!(conn.is_closing(), flags == 0);
    }
}

#[test]
fn large_pairs_are_not_split_by_default() {
    let pair = [("N", vec![b'x'; 70_000])];
    let mut conn = client::Connection::new(client::Config::default());
    let error = BeginError::PairTooLarge { name_len: 1, value_len: 70_000 };
    assert_eq!(conn.begin(Role::Responder, pair.clone()), Err(error));
    let mut conn = client::Connection::new(client::Config::default().split_large_pairs(true));
    assert!(conn.begin(Role::Responder, pair).is_ok());
}

// What is over while its input still comes.

#[test]
fn late_input_of_a_request_that_ended_early_is_not_counted() {
    let (mut conn, key) = serving(server::Config::default().max_free_records(0));
    conn.response(key).expect("open").end(0);
    let late = record(RecordType::Stdin, 1, b"x").repeat(5000);
    assert_eq!(events(&mut conn, [&late[..]]), []);
    assert_eq!(events(&mut conn, [&empty(RecordType::Stdin, 1)[..]]), []);
    // What comes behind its end is a stray like any other.
    let error = ProtocolError::TooManyFreeRecords { limit: 0 };
    let stray = record(RecordType::Stdin, 1, b"x");
    assert_eq!(events(&mut conn, [&stray[..]]), [Seen::Failed(error)]);
}

// spec: S58
#[test]
fn late_input_of_a_filter_ends_with_its_file() {
    let mut conn = application(server::Config::default().max_free_records(2));
    let wire = [begin(1, Role::Filter), empty(RecordType::Params, 1)].concat();
    let Ok(Some(server::Event::Request { key, .. })) = conn.poll_event(&mut &wire[..]) else {
        panic!("the parameters are complete");
    };
    conn.response(key).expect("open").end(0);
    let late = [
        stream(RecordType::Stdin, 1, b"x"),
        record(RecordType::Data, 1, b"x").repeat(100),
        empty(RecordType::Data, 1),
    ];
    assert_eq!(events(&mut conn, [&late.concat()[..]]), []);
}

#[test]
fn input_of_a_refused_request_is_not_counted() {
    let config = server::Config::default().max_requests(limit(1)).max_free_records(2);
    let (mut conn, _) = serving(config);
    let refused = Seen::Refused(2, RefusedReason::TooManyRequests);
    let wire = [
        begin(2, Role::Responder),
        record(RecordType::Params, 2, &pairs([("A", "1")])).repeat(100),
        empty(RecordType::Params, 2),
        record(RecordType::Stdin, 2, b"x").repeat(100),
        empty(RecordType::Stdin, 2),
    ];
    assert_eq!(events(&mut conn, [&wire.concat()[..]]), [refused]);
}

/// An id that drains must be no way around the limit.
#[test]
fn empty_records_of_a_draining_request_are_counted() {
    let config = server::Config::default().max_requests(limit(1));
    for record_type in [RecordType::Params, RecordType::Data] {
        let (mut conn, _) = serving(config.clone());
        assert_eq!(events(&mut conn, [&begin(2, Role::Responder)[..]]).len(), 1);
        let wire = empty(record_type, 2);
        assert_eq!(taken(&mut conn, &wire, FREE), 1000);
    }
}

#[test]
fn draining_ids_are_forgotten_oldest_first() {
    let config = server::Config::default().max_requests(limit(1)).max_free_records(200);
    let (mut conn, _) = serving(config);
    // One more than are kept: the open ones and 64.
    for id in 2..=67 {
        assert_eq!(events(&mut conn, [&begin(id, Role::Responder)[..]]).len(), 1);
    }
    let data = |id| record(RecordType::Stdin, id, b"x").repeat(1000);
    assert_eq!(events(&mut conn, [&data(67)[..], &data(3)]), []);
    let error = ProtocolError::TooManyFreeRecords { limit: 200 };
    assert_eq!(events(&mut conn, [&data(2)[..]]), [Seen::Failed(error)]);
}

#[test]
fn an_id_used_anew_does_not_drain() {
    let (mut conn, key) = serving(server::Config::default());
    conn.response(key).expect("open").end(0);
    let wire = [
        record(RecordType::Stdin, 1, b"late"),
        begin(1, Role::Responder),
        params(1, &[("B", "2")]),
        record(RecordType::Stdin, 1, b"new"),
        empty(RecordType::Stdin, 1),
    ];
    let wire = wire.concat();
    let mut input = &wire[..];
    let Ok(Some(server::Event::Request { key, .. })) = conn.poll_event(&mut input) else {
        panic!("the parameters are complete");
    };
    assert_eq!(events(&mut conn, [input]), [Seen::stdin(1, "new"), Seen::StdinEnd(1)]);
    // Nothing is due for the new one, and nothing for the old one any more.
    conn.response(key).expect("open").end(0);
    assert_eq!(taken(&mut conn, &record(RecordType::Stdin, 1, b"stray"), FREE), 1000);
}

// Parameters.

#[test]
fn params_end_at_1_mib_by_default() {
    let block = |len: usize| {
        let params = stream(RecordType::Params, 1, &pairs([("N", vec![b'x'; len - 6])]));
        [begin(1, Role::Responder), params].concat()
    };
    let refused = [Seen::Refused(1, RefusedReason::ParamsTooLarge)];
    let default = server::Config::default;
    let own = || server::Config::default().max_params(500);
    for (config, len) in [(default(), 1024 * 1024), (own(), 500)] {
        let seen = events(&mut application(config.clone()), [&block(len)[..]]);
        assert!(matches!(seen.as_slice(), [Seen::Request(..)]));
        let mut conn = application(config.clone());
        assert_eq!(events(&mut conn, [&block(len + 1)[..]]), refused);
        assert_eq!(conn.take_output(usize::MAX), end(1, ProtocolStatus::Overloaded, 0));
        assert_eq!(events(&mut application(config), block(len + 1).chunks(7)), refused);
    }
}

#[test]
fn an_endless_params_stream_is_skipped_once_it_is_refused() {
    let mut conn = application(server::Config::default().max_params(1000));
    assert_eq!(events(&mut conn, [&begin(1, Role::Responder)[..]]), []);
    let part = record(RecordType::Params, 1, &[0; 900]);
    assert_eq!(events(&mut conn, [&part[..]]), []);
    let refused = Seen::Refused(1, RefusedReason::ParamsTooLarge);
    assert_eq!(events(&mut conn, [&part[..]]), [refused]);
    for _ in 0..5000 {
        assert_eq!(events(&mut conn, [&part[..]]), []);
    }
    assert_eq!(conn.open_requests(), 0);
}

#[test]
fn params_end_at_2000_pairs_by_default() {
    let wire =
        |count: usize| [begin(1, Role::Responder), params(1, &vec![("", ""); count])].concat();
    let own = server::Config::default().max_param_count(3);
    for (config, count) in [(server::Config::default(), 2000), (own, 3)] {
        let seen = events(&mut application(config.clone()), [&wire(count)[..]]);
        assert!(matches!(seen.as_slice(), [Seen::Request(_, _, list)] if list.len() == count));
        let mut conn = application(config);
        let refused = Seen::Refused(1, RefusedReason::TooManyParams);
        assert_eq!(events(&mut conn, [&wire(count + 1)[..]]), [refused]);
        assert_eq!(conn.take_output(usize::MAX), end(1, ProtocolStatus::Overloaded, 0));
    }
}

// Values.

#[test]
fn get_values_ends_at_4096_bytes_by_default() {
    // The record is judged by its header, before its content has come.
    let wire = |len: usize| record(RecordType::GetValues, 0, &pairs([(vec![b'N'; len - 5], "")]));
    for (config, limit) in
        [(server::Config::default(), 4096), (server::Config::default().max_values(200), 200)]
    {
        let len = usize::from(limit);
        let mut conn = application(config.clone());
        assert_eq!(events(&mut conn, [&wire(len)[..]]), []);
        assert_eq!(conn.take_output(usize::MAX), empty(RecordType::GetValuesResult, 0));
        let error = ProtocolError::ValuesTooLarge { limit };
        let seen = events(&mut application(config), [&wire(len + 1)[..9]]);
        assert_eq!(seen, [Seen::Failed(error)]);
    }
}

#[test]
fn the_answer_to_get_values_ends_at_4096_bytes_by_default() {
    let wire =
        |len: usize| record(RecordType::GetValuesResult, 0, &pairs([("N", vec![b'x'; len - 6])]));
    for (config, limit) in
        [(client::Config::default(), 4096), (client::Config::default().max_values(200), 200)]
    {
        let len = usize::from(limit);
        let asked = || {
            let mut conn = client::Connection::new(config.clone());
            conn.get_values(["FCGI_MAX_REQS"]).expect("nothing is open");
            assert!(!conn.is_idle(), "an answer is due");
            conn
        };
        let mut conn = asked();
        assert!(matches!(events(&mut conn, [&wire(len)[..]]).as_slice(), [Seen::Values(_)]));
        conn.take_output(usize::MAX);
        assert!(conn.is_idle());
        let error = ProtocolError::ValuesTooLarge { limit };
        assert_eq!(events(&mut asked(), [&wire(len + 1)[..9]]), [Seen::Failed(error)]);
        // Nor may the question be larger.
        let mut conn = client::Connection::new(config.clone());
        assert!(conn.get_values([vec![b'N'; len - 5]]).is_ok());
        assert!(conn.get_values([vec![b'N'; len - 4]]).is_err());
    }
}

// spec: S26
#[test]
fn an_application_tells_what_it_was_configured_with() {
    let answer = |config| {
        let mut conn = application(config);
        let names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"];
        let ask = record(RecordType::GetValues, 0, &pairs(names.map(|name| (name, ""))));
        assert_eq!(events(&mut conn, [&ask[..]]), []);
        let wire = conn.take_output(usize::MAX);
        let params = fcgi_proto::Params::parse(records_of(&wire)[0].1).expect("valid");
        names.map(|name| params.get_str(name).expect("asked for").to_owned())
    };
    let default = server::Config::default;
    assert_eq!(answer(default()), ["1024", "32768", "1"]);
    assert_eq!(answer(default().max_conns(7)), ["7", "224", "1"]);
    assert_eq!(answer(default().max_conns(7).max_requests(limit(1))), ["7", "7", "0"]);
    assert_eq!(answer(default().max_reqs(9)), ["1024", "9", "1"]);
    let most = default().max_conns(u32::MAX).max_requests(NonZeroU16::MAX);
    assert_eq!(answer(most), ["4294967295", "4294967295", "1"], "it does not wrap");
}

// Output.

#[test]
fn output_of_an_application_ends_at_256_kib_by_default() {
    let own = server::Config::default().max_buffered(5000);
    for (config, cap) in [(server::Config::default(), 256 * 1024), (own, 5000)] {
        let (mut conn, key) = serving(config);
        // Each takes 9 bytes on the wire.
        while conn.response(key).expect("open").stdout_slice(b"x").is_ok() {
            assert!(conn.outgoing().remaining() < cap + 9, "the cap is soft by one payload");
        }
        assert!(conn.outgoing().remaining() >= cap);
        assert!(conn.is_blocked() && !conn.wants_read());
    }
}

#[test]
fn output_of_a_client_ends_at_64_kib_by_default() {
    let own = client::Config::default().max_buffered(5000);
    for (config, cap) in [(client::Config::default(), 64 * 1024), (own, 5000)] {
        let (mut conn, key) = asking(config);
        while conn.request(key).expect("open").stdin_slice(b"x").is_ok() {
            assert!(conn.outgoing().remaining() < cap + 9, "the cap is soft by one payload");
        }
        assert!(conn.outgoing().remaining() >= cap);
        assert!(conn.is_blocked() && conn.wants_read(), "a client answers nothing by itself");
    }
}

#[test]
fn questions_of_a_peer_that_never_reads_stay_under_the_cap() {
    let cap = 10_000;
    for (what, wire) in [
        ("GET_VALUES", record(RecordType::GetValues, 0, &pairs([("FCGI_MAX_REQS", "")]))),
        ("unknown types", empty(RecordType::Other(99), 0)),
        ("refused requests", begin(2, Role::Responder)),
        ("aborts", [begin(3, Role::Responder), empty(RecordType::AbortRequest, 3)].concat()),
    ] {
        let config = server::Config::default().max_buffered(cap).max_free_records(u32::MAX);
        let config = match what {
            "aborts" => config,
            _ => config.max_requests(limit(1)),
        };
        let (mut conn, _) = serving(config);
        let flood = wire.repeat(5000);
        let mut input = &flood[..];
        while conn.poll(&mut input).expect("within the limits").is_some() {}
        assert!(!input.is_empty(), "{what}: it stops taking input");
        assert!(!conn.wants_read(), "{what}");
        let held = conn.outgoing().remaining();
        assert!((cap..cap + 100).contains(&held), "{what}: {held} bytes are held");

        // It goes on once some of it is written, and stops again.
        conn.take_output(held - cap + 1);
        assert!(conn.wants_read(), "{what}");
        let before = input.len();
        while conn.poll(&mut input).expect("within the limits").is_some() {}
        assert!(input.len() < before && !conn.wants_read(), "{what}");
    }
}

#[test]
fn ends_of_all_requests_at_the_cap_are_bounded_by_their_number() {
    let mut conn = application(server::Config::default().max_buffered(1));
    let mut keys = Vec::new();
    for id in 1..=32 {
        let wire = [begin(id, Role::Responder), empty(RecordType::Params, id)].concat();
        let Ok(Some(server::Event::Request { key, .. })) = conn.poll_event(&mut &wire[..]) else {
            panic!("the parameters are complete");
        };
        keys.push(key);
    }
    for key in keys {
        conn.response(key).expect("open").end(0);
    }
    assert_eq!(conn.outgoing().remaining(), 32 * 24);
}

// Whatever a peer sends.

/// What happens next at one end.
#[derive(Clone, Debug)]
enum Op {
    /// The peer sends this, in pieces of so many bytes.
    Feed(Vec<u8>, usize),
    /// The peer takes so many bytes.
    Write(usize),
    /// The application answers, or the client goes on with, the newest request but so many.
    Send(usize, usize),
    /// The application ends, or the client aborts, the newest request but so many.
    End(usize),
    Begin,
    Eof,
}

fn any_op(records: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (vec(records, 1..5), 1_usize..50).prop_map(|(list, size)| Op::Feed(list.concat(), size)),
        3 => (0_usize..500).prop_map(Op::Write),
        3 => (0_usize..4, 0_usize..1200).prop_map(|(which, len)| Op::Send(which, len)),
        3 => (0_usize..4).prop_map(Op::End),
        2 => Just(Op::Begin),
        1 => prop_oneof![9 => Just(Op::Begin), 1 => Just(Op::Eof)],
    ]
}

fn newest(keys: &[RequestKey], which: usize) -> Option<RequestKey> {
    keys.get(keys.len().checked_sub(which + 1)?).copied()
}

/// The largest payload above, an answer to GET_VALUES, and the ends of four requests.
const OVER_CAP: usize = 1300 + 100 + 4 * 32;

fn check_application(conn: &mut server::Connection, error: Option<ProtocolError>, is_eof: bool) {
    assert!(conn.outgoing().remaining() <= 1000 + OVER_CAP, "the cap is soft, but it is one");
    assert!(conn.open_requests() <= 4);
    // A loop that does not read has something to write, or a reason to stop.
    let is_over = error.is_some() || is_eof;
    assert_eq!(conn.wants_read(), !is_over && !conn.is_blocked());
    assert!(!conn.is_blocked() || conn.has_outgoing());
    assert!(error.is_none() || conn.is_closing());
    assert!(!conn.is_closing() || error.is_some() || conn.open_requests() == 0);
}

fn check_client(conn: &mut client::Connection, error: Option<ProtocolError>, is_eof: bool) {
    assert!(conn.outgoing().remaining() <= 1000 + OVER_CAP, "the cap is soft, but it is one");
    assert!(conn.open_requests() <= 4);
    assert_eq!(conn.wants_read(), error.is_none() && !is_eof);
    assert!(conn.wants_read() || conn.is_closing());
    assert!(!conn.is_closing() || conn.capacity() == 0);
    assert!(!conn.is_idle() || conn.open_requests() == 0 && !conn.has_outgoing());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_peer_makes_an_application_grow_or_hang(ops in vec(any_op(to_application()), 0..60)) {
        let config = server::Config::default().max_requests(limit(4)).max_params(400);
        let mut conn = application(config.max_buffered(1000).max_free_records(15));
        let (mut keys, mut error, mut is_eof) = (Vec::new(), None, false);
        for op in ops {
            match op {
                Op::Feed(wire, size) if !is_eof => {
                    for mut input in wire.chunks(size) {
                        loop {
                            match conn.poll_event(&mut input) {
                                Ok(Some(server::Event::Request { key, .. })) => keys.push(key),
                                Ok(Some(_)) => {}
                                Ok(None) if input.is_empty() => break,
                                Ok(None) => {
                                    prop_assert!(conn.is_blocked());
                                    prop_assert!(!conn.take_output(50).is_empty());
                                }
                                Err(found) => {
                                    prop_assert_eq!(*error.get_or_insert(found), found);
                                    break;
                                }
                            }
                        }
                    }
                }
                Op::Write(len) => drop(conn.take_output(len)),
                Op::Send(which, len) => {
                    let key = newest(&keys, which);
                    if let Some(mut response) = key.and_then(|key| conn.response(key)) {
                        let _ = response.stdout(vec![0; len]);
                        let _ = response.stderr(vec![0; len / 100]);
                    }
                }
                Op::End(which) => {
                    if let Some(key) = newest(&keys, which) {
                        if let Some(response) = conn.response(key) {
                            response.end(0);
                        }
                        prop_assert!(conn.response(key).is_none());
                    }
                }
                Op::Eof => {
                    conn.handle_eof();
                    is_eof = true;
                    while conn.poll(&mut &b""[..]).is_ok_and(|event| event.is_some()) {}
                }
                Op::Begin | Op::Feed(..) => {}
            }
            check_application(&mut conn, error, is_eof);
        }
        // Once all are ended and written, nothing is left to wait for.
        for key in keys {
            if let Some(response) = conn.response(key) {
                response.end(0);
            }
        }
        conn.take_output(usize::MAX);
        prop_assert!(conn.is_closing() || !is_eof);
    }

    #[test]
    fn no_peer_makes_a_client_grow_or_hang(
        ops in vec(any_op(to_client()), 0..60),
        keep_conn: bool,
    ) {
        let config = client::Config::default().keep_conn(keep_conn).max_requests(limit(4));
        let mut conn = client::Connection::new(config.max_buffered(1000).max_free_records(15));
        let (mut keys, mut error, mut is_eof) = (Vec::new(), None, false);
        for op in ops {
            match op {
                Op::Feed(wire, size) if !is_eof => {
                    for piece in wire.chunks(size) {
                        if let Some(Seen::Failed(found)) = events(&mut conn, [piece]).last() {
                            prop_assert_eq!(error.get_or_insert(*found), found);
                        }
                    }
                }
                Op::Write(len) => drop(conn.take_output(len)),
                Op::Send(which, len) => {
                    let key = newest(&keys, which);
                    if let Some(mut request) = key.and_then(|key| conn.request(key)) {
                        let _ = request.stdin(vec![0; len]);
                    }
                }
                Op::End(which) => {
                    let key = newest(&keys, which);
                    if let Some(request) = key.and_then(|key| conn.request(key)) {
                        request.abort();
                    }
                }
                Op::Begin => {
                    let room = conn.capacity();
                    match conn.begin(Role::Responder, [("A", "1")]) {
                        Ok(key) => {
                            prop_assert!(room > 0 && !keys.contains(&key));
                            keys.push(key);
                        }
                        Err(BeginError::Blocked) => prop_assert!(conn.is_blocked()),
                        Err(BeginError::Closing) => prop_assert!(conn.is_closing()),
                        Err(_) => prop_assert_eq!(room, 0),
                    }
                }
                Op::Eof => {
                    let open = conn.open_requests();
                    match conn.handle_eof() {
                        Ok(()) => prop_assert_eq!(open, 0),
                        Err(found) => prop_assert_eq!(*error.get_or_insert(found), found),
                    }
                    is_eof = true;
                }
                Op::Feed(..) => {}
            }
            check_client(&mut conn, error, is_eof);
        }
    }
}
