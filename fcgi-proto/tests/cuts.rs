//! The traps of the protocol, one test each, and the properties that hold for all input: what is encoded is what is decoded,
//! and where the bytes are cut makes no difference.

mod support;

use core::num::NonZeroU16;

use fcgi_proto::server::RefusedReason;
use fcgi_proto::wire::{Header, MAX_CONTENT};
use fcgi_proto::{
    BeginError, Params, ProtocolError, ProtocolStatus, RecordType, Role, SendError, client, params,
    server,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{
    Seen, Side, begin, begin_flags, bytes, cut, empty, end, events, hex, padded, pairs, pattern,
    record, records_of, stream, three_ways, to_application, to_client,
};

fn application() -> server::Connection {
    server::Connection::new(server::Config::default())
}

/// An application with one request, whose parameters have come.
fn serving(role: Role) -> server::Connection {
    let mut conn = application();
    let wire = [begin(1, role), empty(RecordType::Params, 1)].concat();
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::request(1, role, [])]);
    conn
}

/// A client with one request, which is written; its stdin is open.
fn asking() -> client::Connection {
    let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
    conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.take_output(usize::MAX);
    conn
}

fn key_of(conn: &mut server::Connection, mut input: &[u8]) -> fcgi_proto::RequestKey {
    match conn.poll_event(&mut input) {
        Ok(Some(server::Event::Request { key, .. })) => key,
        other => panic!("not a request: {other:?}"),
    }
}

// Sizes of records.

// spec: S6
#[test]
fn content_of_65_528_and_65_535_bytes() {
    for len in [65_528, 65_535] {
        for padding in [0, 7, 255] {
            let body = pattern(len);
            let stdin = padded(RecordType::Stdin, 1, &body, padding);
            three_ways(|| serving(Role::Responder), &stdin, &[Seen::stdin(1, &body)]);
            let stdout = padded(RecordType::Stdout, 1, &body, padding);
            three_ways(asking, &stdout, &[Seen::stdout(1, &body)]);
        }
    }
}

// spec: S7
#[test]
fn padding_of_255_on_every_record() {
    let wire = [
        padded(RecordType::BeginRequest, 1, &hex("0001 01 0000000000"), 255),
        padded(RecordType::Params, 1, &pairs([("A", "1")]), 255),
        padded(RecordType::Params, 1, b"", 255),
        padded(RecordType::Stdin, 1, b"body", 255),
        padded(RecordType::Stdin, 1, b"", 255),
        padded(RecordType::AbortRequest, 1, b"", 255),
    ];
    let expected = [
        Seen::request(1, Role::Responder, [("A", "1")]),
        Seen::stdin(1, "body"),
        Seen::StdinEnd(1),
        Seen::Aborted(1),
    ];
    three_ways(application, &wire.concat(), &expected);

    let wire = [
        padded(RecordType::Stderr, 1, b"oops", 255),
        padded(RecordType::Stdout, 1, b"body", 255),
        padded(RecordType::Stdout, 1, b"", 255),
        padded(RecordType::EndRequest, 1, &[0; 8], 255),
    ];
    let expected = [Seen::stderr(1, "oops"), Seen::stdout(1, "body"), Seen::complete(1)];
    three_ways(asking, &wire.concat(), &expected);
}

#[test]
fn a_header_split_at_each_of_its_bytes() {
    let wire = [record(RecordType::Stdout, 1, b"body"), end(1, ProtocolStatus::RequestComplete, 0)];
    let wire = wire.concat();
    for at in 0..=wire.len() {
        let (front, back) = wire.split_at(at);
        let seen = events(&mut asking(), [front, back]);
        assert_eq!(seen, [Seen::stdout(1, "body"), Seen::complete(1)], "split at {at}");
    }
}

// spec: S9
#[test]
fn reserved_bytes_are_ignored() {
    let wire = hex("
        01 01 0001 0008 00 ff  0001 01 ffffffffff   ; BEGIN_REQUEST
        01 04 0001 0000 00 ff
    ");
    three_ways(application, &wire, &[Seen::request(1, Role::Responder, [])]);
    let wire = hex("01 03 0001 0008 00 ff  00000000 00 ffffff");
    three_ways(asking, &wire, &[Seen::complete(1)]);
}

// Names and values.

// spec: S17
#[test]
fn names_of_127_and_128_bytes_in_both_encodings() {
    for len in [127, 128] {
        let name = "N".repeat(len);
        let wire = support::params(1, &[(&name, &name)]);
        let (header, _) = records_of(&wire)[0];
        assert_eq!(usize::from(header.content_len), 2 * len + if len < 128 { 2 } else { 8 });
        let expected = Seen::Request(1, Role::Responder, vec![(name.clone().into(), name.into())]);
        let wire = [begin(1, Role::Responder), wire].concat();
        three_ways(application, &wire, &[expected]);
    }
}

// spec: S17
#[test]
fn lengths_longer_than_they_need_to_be() {
    let wire = hex(r#"
        01 01 0001 0008 00 00  0001 01 0000000000
        01 04 0001 000b 00 00  80000001 80000002 "A" "yz"
        01 04 0001 0000 00 00
    "#);
    three_ways(application, &wire, &[Seen::request(1, Role::Responder, [("A", "yz")])]);
}

// spec: S34
#[test]
fn a_name_of_65_600_bytes_across_records() {
    let name = pattern(65_600);
    let config = client::Config::default().split_large_pairs(true);
    let mut conn = client::Connection::new(config);
    let list = [(&b"FIRST"[..], &b"1"[..]), (&name, b"2"), (b"LAST", b"3")];
    conn.begin(Role::Responder, list).expect("it may be cut");
    let wire = conn.take_output(usize::MAX);
    let expected = list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    three_ways(application, &wire, &[Seen::Request(1, Role::Responder, expected)]);
}

#[test]
fn a_pair_that_must_not_be_cut_is_refused() {
    let mut conn = client::Connection::new(client::Config::default());
    let name = pattern(65_600);
    let error = BeginError::PairTooLarge { name_len: 65_600, value_len: 1 };
    assert_eq!(conn.begin(Role::Responder, [("A", "1")].map(|_| (&name, "2"))), Err(error));
    assert!(!conn.has_outgoing(), "nothing was queued");
    assert_eq!((conn.capacity(), conn.open_requests()), (1, 0));
    assert!(!conn.is_closing());
    // A good pair before it leaves no trace either, and the first id is still the next.
    let list = [(&b"GOOD"[..], &b"1"[..]), (&name, b"2")];
    assert_eq!(conn.begin(Role::Responder, list), Err(error));
    assert!(!conn.has_outgoing());
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    assert_eq!(key.request_id(), 1);
}

#[test]
fn the_largest_pair_that_fits_one_record() {
    // One byte of name, lengths of 1 and 4 bytes.
    let fits = vec![b'x'; 65_535 - 1 - 1 - 4];
    let mut out = Vec::new();
    assert_eq!(params::encode(&mut out, 1, [(b"N", &fits)]), Ok(()));
    let lens: Vec<_> = records_of(&out).iter().map(|(header, _)| header.content_len).collect();
    assert_eq!(lens, [MAX_CONTENT, 0]);
    let too_large = vec![b'x'; fits.len() + 1];
    let mut kept = out.clone();
    let error = params::PairError::TooLarge { name_len: 1, value_len: 65_530 };
    assert_eq!(params::encode(&mut kept, 1, [(b"N", &too_large)]), Err(error));
    assert_eq!(kept, out, "an error leaves the buffer as it was");
}

// spec: S19
#[test]
fn empty_repeated_and_non_utf8_names() {
    let list = [
        (&b""[..], &b""[..]),
        (b"", b"value of no name"),
        (b"A", b"1"),
        (b"A", b"2"),
        (b"\xff\x00\n=", b"\x80\xfe"),
        (b"A", b""),
    ];
    let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
    conn.begin(Role::Responder, list).expect("any bytes go");
    let wire = conn.take_output(usize::MAX);
    let expected = list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    three_ways(application, &wire, &[Seen::Request(1, Role::Responder, expected)]);

    let params: Params = list.into_iter().collect();
    assert_eq!(params.get("A"), Some(&b""[..]), "the last one counts");
    assert_eq!(params.get(""), Some(&b"value of no name"[..]));
    assert_eq!(params.get_str(b"\xff\x00\n="), None);
    assert_eq!(params.len(), 6);
}

#[test]
fn lengths_near_2_to_the_31_end_the_request_alone() {
    for lengths in ["7fffffff 01", "ffffffff 01", "01 ffffffff", "ffffffff ffffffff", "80000000 ff"]
    {
        let content = [hex(lengths), b"A1".to_vec()].concat();
        let wire = [
            begin(1, Role::Responder),
            record(RecordType::Params, 1, &content),
            empty(RecordType::Params, 1),
        ];
        let refused = Seen::Refused(1, RefusedReason::MalformedParams);
        three_ways(application, &wire.concat(), &[refused]);
        assert!(Params::parse(content).is_err());
    }
}

#[test]
fn malformed_params_are_answered_and_others_go_on() {
    let mut conn = application();
    let wire = [
        begin(1, Role::Responder),
        begin(2, Role::Responder),
        record(RecordType::Params, 2, b"\x01"),
        empty(RecordType::Params, 2),
        empty(RecordType::Params, 1),
        stream(RecordType::Stdin, 2, b"for nobody"),
    ];
    let expected =
        [Seen::Refused(2, RefusedReason::MalformedParams), Seen::request(1, Role::Responder, [])];
    assert_eq!(events(&mut conn, [&wire.concat()[..]]), expected);
    assert_eq!(conn.take_output(usize::MAX), end(2, ProtocolStatus::RequestComplete, 1));
}

// Endings.

#[test]
fn stderr_after_the_end_of_stdout() {
    let wire = [
        stream(RecordType::Stdout, 1, b"body"),
        stream(RecordType::Stderr, 1, b"late"),
        record(RecordType::Stdout, 1, b"later still"),
        empty(RecordType::Stdout, 1),
        end(1, ProtocolStatus::RequestComplete, 0),
    ];
    let expected = [
        Seen::stdout(1, "body"),
        Seen::stderr(1, "late"),
        Seen::stdout(1, "later still"),
        Seen::complete(1),
    ];
    three_ways(asking, &wire.concat(), &expected);
}

// spec: S45
#[test]
fn end_request_without_the_end_of_stdout() {
    let wire = [record(RecordType::Stdout, 1, b"body"), end(1, ProtocolStatus::RequestComplete, 0)];
    three_ways(asking, &wire.concat(), &[Seen::stdout(1, "body"), Seen::complete(1)]);
    // And without any STDOUT at all.
    let wire = end(1, ProtocolStatus::Overloaded, 0);
    three_ways(asking, &wire, &[Seen::End(1, ProtocolStatus::Overloaded, 0)]);
}

// spec: S46
#[test]
fn end_request_during_our_stdin() {
    let config = client::Config::default().keep_conn(true);
    let mut conn = client::Connection::new(config);
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").stdin("half").expect("room");
    let wire = end(1, ProtocolStatus::RequestComplete, 0);
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::complete(1)]);
    assert!(conn.request(key).is_none(), "there is nobody to send the rest to");
    assert_eq!(conn.handle_eof(), Ok(()));
}

#[test]
fn a_second_end_request_is_late_and_nothing_more() {
    let wire = end(1, ProtocolStatus::RequestComplete, 0);
    three_ways(asking, &wire.repeat(2), &[Seen::complete(1)]);
}

#[test]
fn what_comes_behind_an_end_never_reaches_the_next_request() {
    let late = [
        end(1, ProtocolStatus::RequestComplete, 9),
        record(RecordType::Stdout, 1, b"not yours"),
        record(RecordType::Stderr, 1, b"nor this"),
        empty(RecordType::Stdout, 1),
        end(1, ProtocolStatus::Overloaded, 0),
    ];
    let answer =
        [record(RecordType::Stdout, 2, b"yours"), end(2, ProtocolStatus::RequestComplete, 0)];
    let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
    let first = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(first).expect("open").finish().expect("once");
    let wire = end(1, ProtocolStatus::RequestComplete, 0);
    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::complete(1)]);
    let second = conn.begin(Role::Responder, [("A", "2")]).expect("room");
    assert_eq!(second.request_id(), 2);
    // Between, before and amid the answer to the next request, in pieces of any size.
    assert_eq!(events(&mut conn, late.concat().chunks(3)), []);
    assert_eq!(events(&mut conn, [&answer[0][..]]), [Seen::stdout(2, "yours")]);
    assert_eq!(events(&mut conn, [&late.concat()[..]]), []);
    assert!(conn.request(second).is_some() && conn.request(first).is_none());
    assert_eq!(events(&mut conn, [&answer[1][..]]), [Seen::complete(2)]);

    // Likewise for an application: the rest of a body, its end, an abort.
    let late = [
        record(RecordType::Stdin, 1, b"not yours"),
        empty(RecordType::Stdin, 1),
        record(RecordType::Stdin, 1, b"behind the end"),
        record(RecordType::Params, 1, b"\x01\x01AB"),
        empty(RecordType::Params, 1),
        empty(RecordType::AbortRequest, 1),
    ];
    let mut conn = application();
    let head = |id| [begin(id, Role::Responder), empty(RecordType::Params, id)].concat();
    let first = key_of(&mut conn, &head(1));
    conn.response(first).expect("open").end(0);
    let second = key_of(&mut conn, &head(2));
    assert_eq!(events(&mut conn, late.concat().chunks(3)), []);
    let mine = record(RecordType::Stdin, 2, b"mine");
    assert_eq!(events(&mut conn, [&mine[..]]), [Seen::stdin(2, "mine")]);
    assert!(conn.response(second).is_some() && conn.response(first).is_none());
}

// spec: S38
#[test]
fn an_app_status_with_its_top_bit_set() {
    let wire = end(1, ProtocolStatus::RequestComplete, 0x8000_0001);
    let expected = Seen::End(1, ProtocolStatus::RequestComplete, 0x8000_0001);
    three_ways(asking, &wire, &[expected]);
}

#[test]
fn an_unknown_protocol_status_keeps_its_octet() {
    let wire = end(1, ProtocolStatus::Other(200), 7);
    three_ways(asking, &wire, &[Seen::End(1, ProtocolStatus::Other(200), 7)]);
}

#[test]
fn eof_inside_a_record() {
    for cut in 1..16 {
        let mut conn = asking();
        let wire = end(1, ProtocolStatus::RequestComplete, 0);
        events(&mut conn, [&wire[..cut]]);
        let error = ProtocolError::UnexpectedEof { open_requests: 1, in_record: true };
        assert_eq!(conn.handle_eof(), Err(error), "cut at {cut}");
    }
    // Nothing is open, but what has come is not whole: amid padding too.
    let wire =
        [end(1, ProtocolStatus::RequestComplete, 0), padded(RecordType::Stdout, 1, b"late", 3)];
    let wire = wire.concat();
    for cut in 17..wire.len() {
        let mut conn = asking();
        assert_eq!(events(&mut conn, [&wire[..cut]]), [Seen::complete(1)]);
        let error = ProtocolError::UnexpectedEof { open_requests: 0, in_record: true };
        assert_eq!(conn.handle_eof(), Err(error), "cut at {cut}");
    }
    // On the application's side it aborts, wherever the cut is.
    let body = padded(RecordType::Stdin, 1, b"body", 3);
    for cut in 0..=body.len() {
        let mut conn = serving(Role::Responder);
        events(&mut conn, [&body[..cut]]);
        conn.handle_eof();
        assert_eq!(events(&mut conn, [&b""[..]]), [Seen::Aborted(1)], "cut at {cut}");
    }
}

// Records for nobody.

/// A record of 65,790 bytes in reads of 1000, and one behind it that must be found.
fn large_then(record_type: RecordType, id: u16, next: &[u8]) -> Vec<u8> {
    [&padded(record_type, id, &pattern(65_535), 255)[..], next].concat()
}

// spec: S11
#[test]
fn large_records_for_an_id_never_begun() {
    // An application skips them, as late records of former requests do arrive.
    let next = record(RecordType::Stdin, 1, b"mine");
    for record_type in [RecordType::Stdin, RecordType::Data, RecordType::Params] {
        let wire = large_then(record_type, 500, &next);
        let seen = events(&mut serving(Role::Responder), wire.chunks(1000));
        assert_eq!(seen, [Seen::stdin(1, "mine")]);
    }
    // A client gave out the ids itself: one that it never gave is a fault.
    for record_type in [RecordType::Stdout, RecordType::Stderr] {
        let wire = large_then(record_type, 500, b"");
        let error = ProtocolError::UnknownRequestId { record_type, request_id: 500 };
        assert_eq!(events(&mut asking(), wire.chunks(1000)), [Seen::Failed(error)]);
    }
}

// spec: S11
#[test]
fn large_records_for_an_id_that_has_ended() {
    let mut conn = application();
    let key =
        key_of(&mut conn, &[begin(1, Role::Responder), empty(RecordType::Params, 1)].concat());
    conn.response(key).expect("open").end(0);
    let next = [begin(2, Role::Responder), empty(RecordType::Params, 2)].concat();
    let wire = large_then(RecordType::Stdin, 1, &next);
    let expected = [Seen::request(2, Role::Responder, [])];
    assert_eq!(events(&mut conn, wire.chunks(1000)), expected);

    let mut conn = asking();
    let wire = [
        end(1, ProtocolStatus::RequestComplete, 0),
        large_then(RecordType::Stdout, 1, &large_then(RecordType::Stderr, 1, b"")),
    ];
    assert_eq!(events(&mut conn, wire.concat().chunks(1000)), [Seen::complete(1)]);
    assert_eq!(conn.handle_eof(), Ok(()));
}

#[test]
fn large_records_for_an_id_that_was_aborted() {
    let mut conn = serving(Role::Responder);
    let abort = empty(RecordType::AbortRequest, 1);
    assert_eq!(events(&mut conn, [&abort[..]]), [Seen::Aborted(1)]);
    let wire = large_then(RecordType::Stdin, 1, &empty(RecordType::Stdin, 1));
    assert_eq!(events(&mut conn, wire.chunks(1000)), []);

    let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    conn.request(key).expect("open").abort();
    let wire = large_then(RecordType::Stdout, 1, &end(1, ProtocolStatus::RequestComplete, 0));
    assert_eq!(events(&mut conn, wire.chunks(1000)), [Seen::complete(1)]);
}

#[test]
fn a_request_that_ends_amid_a_record_of_its_own() {
    let mut conn = application();
    let head = [begin(1, Role::Responder), empty(RecordType::Params, 1)].concat();
    let key = key_of(&mut conn, &head);
    let stdin = stream(RecordType::Stdin, 1, &pattern(5000));
    let (front, back) = stdin.split_at(3000);
    assert_eq!(events(&mut conn, [front]), [Seen::stdin(1, &pattern(5000)[..2992])]);
    conn.response(key).expect("open").end(0);
    assert_eq!(events(&mut conn, [back, &head]), [Seen::request(1, Role::Responder, [])]);
}

// spec: S14
#[test]
fn records_with_id_0() {
    for record_type in
        [RecordType::Params, RecordType::Stdin, RecordType::Data, RecordType::AbortRequest]
    {
        let error = Seen::Failed(ProtocolError::NullRequestId { record_type });
        three_ways(application, &record(record_type, 0, b"x"), core::slice::from_ref(&error));
        three_ways(application, &empty(record_type, 0), &[error]);
    }
    let record_type = RecordType::BeginRequest;
    let error = Seen::Failed(ProtocolError::NullRequestId { record_type });
    three_ways(application, &begin(0, Role::Responder), &[error]);

    for record_type in [RecordType::Stdout, RecordType::Stderr] {
        let error = Seen::Failed(ProtocolError::NullRequestId { record_type });
        three_ways(asking, &record(record_type, 0, b"x"), core::slice::from_ref(&error));
        three_ways(asking, &empty(record_type, 0), &[error]);
    }
    let record_type = RecordType::EndRequest;
    let error = Seen::Failed(ProtocolError::NullRequestId { record_type });
    three_ways(asking, &end(0, ProtocolStatus::RequestComplete, 0), &[error]);
}

// spec: S10
#[test]
fn begin_request_for_an_open_id() {
    let wire = [begin(7, Role::Responder), begin(7, Role::Responder)].concat();
    let error = ProtocolError::RequestIdInUse { request_id: 7 };
    three_ways(application, &wire, &[Seen::Failed(error)]);
    let wire = begin(1, Role::Responder);
    let error = ProtocolError::RequestIdInUse { request_id: 1 };
    three_ways(|| serving(Role::Responder), &wire, &[Seen::Failed(error)]);
}

// Aborts; see also the pair's tests.

#[test]
fn abort_during_params_and_stdin_and_after_end() {
    let abort = empty(RecordType::AbortRequest, 1);
    let wire = [
        begin(1, Role::Responder),
        record(RecordType::Params, 1, b"\x01"),
        abort.clone(),
        record(RecordType::Params, 1, b"late"),
        empty(RecordType::Params, 1),
        abort.clone(),
    ];
    let refused = Seen::Refused(1, RefusedReason::Aborted);
    three_ways(application, &wire.concat(), &[refused]);

    let wire = [record(RecordType::Stdin, 1, b"some"), abort.repeat(3)].concat();
    let expected = [Seen::stdin(1, "some"), Seen::Aborted(1)];
    three_ways(|| serving(Role::Responder), &wire, &expected);

    let ended = || {
        let mut conn = application();
        let head = [begin(1, Role::Responder), empty(RecordType::Params, 1)].concat();
        let key = key_of(&mut conn, &head);
        conn.response(key).expect("open").end(0);
        conn
    };
    three_ways(ended, &abort.repeat(3), &[]);
}

#[test]
fn an_abort_with_content_is_one_abort() {
    let wire = padded(RecordType::AbortRequest, 1, b"why not", 3);
    three_ways(|| serving(Role::Responder), &wire, &[Seen::Aborted(1)]);
}

// What is not known.

// spec: S32
#[test]
fn unknown_roles_and_flags_reach_the_application() {
    for (role, flags) in [(Role::Other(0), 1), (Role::Other(4), 0xff), (Role::Other(0xffff), 0xfe)]
    {
        let wire = [begin_flags(1, role, flags), empty(RecordType::Params, 1)].concat();
        three_ways(application, &wire, &[Seen::request(1, role, [])]);
        // Bits other than FCGI_KEEP_CONN mean nothing.
        let mut conn = application();
        let key = key_of(&mut conn, &wire);
        conn.response(key).expect("open").refuse(server::Refusal::UnknownRole);
        assert_eq!(conn.take_output(usize::MAX), end(1, ProtocolStatus::UnknownRole, 0));
        assert_eq!(conn.is_closing(), flags & 1 == 0);
    }
}

// spec: S29
#[test]
fn unknown_types_are_answered_for_the_connection_and_skipped_for_a_request() {
    let mut conn = serving(Role::Responder);
    let wire = [
        record(RecordType::Other(99), 0, b"what"),
        record(RecordType::Other(0), 0, b""),
        record(RecordType::Other(255), 1, &pattern(65_535)),
        record(RecordType::Stdin, 1, b"body"),
    ];
    assert_eq!(events(&mut conn, wire.concat().chunks(1000)), [Seen::stdin(1, "body")]);
    let answers = hex("
        01 0b 0000 0008 00 00  63 00000000000000
        01 0b 0000 0008 00 00  00 00000000000000
    ");
    assert_eq!(conn.take_output(usize::MAX), answers);

    let wire = [
        record(RecordType::Other(99), 0, b"what"),
        record(RecordType::Other(99), 1, b"what"),
        hex("01 0b 0000 0008 00 00  63 ffffffffffffff"),
    ];
    three_ways(asking, &wire.concat(), &[Seen::UnknownType(99)]);
}

// spec: S24, S25
#[test]
fn get_values_with_unknown_names_is_answered_once() {
    let ask = |names: &[&str]| {
        let mut conn = application();
        let content = pairs(names.iter().map(|name| (name, "")));
        let wire = padded(RecordType::GetValues, 0, &content, 3);
        three_ways(application, &wire, &[]);
        events(&mut conn, wire.chunks(1));
        conn.take_output(usize::MAX)
    };
    assert_eq!(
        ask(&["FCGI_MPXS_CONNS", "X_UNKNOWN", "FCGI_MAX_CONNS", "MAX_CONNS"]),
        hex(r#"
            01 0a 0000 0026 00 00  0f 01 "FCGI_MPXS_CONNS" "1"
                                   0e 04 "FCGI_MAX_CONNS" "1024"
        "#),
        "in the order asked, known names alone; async-fcgi's pool asks without the prefix"
    );
    assert_eq!(ask(&["MAX_CONNS"]), empty(RecordType::GetValuesResult, 0));
    assert_eq!(ask(&[]), empty(RecordType::GetValuesResult, 0));
    assert_eq!(
        ask(&["FCGI_MAX_REQS"; 100]),
        hex(r#" 01 0a 0000 0014 00 00  0d 05 "FCGI_MAX_REQS" "32768" "#)[..].to_vec(),
        "the answer does not grow with repeats"
    );
}

// spec: S27
#[test]
fn get_values_amid_a_request_is_answered_at_once() {
    let mut conn = serving(Role::Responder);
    let values = record(RecordType::GetValues, 0, &pairs([("FCGI_MPXS_CONNS", "")]));
    let stdin = record(RecordType::Stdin, 1, b"body");
    let seen = events(&mut conn, [&[&stdin[..], &values, &stdin].concat()[..]]);
    assert_eq!(seen, [Seen::stdin(1, "bodybody")]);
    assert!(conn.has_outgoing());
}

// spec: S24
#[test]
fn values_that_nobody_asked_for_are_never_taken_for_an_answer() {
    let mut conn = client::Connection::new(client::Config::default());
    let unasked = record(RecordType::GetValuesResult, 0, &pairs([("FCGI_MPXS_CONNS", "1")]));
    // Half of it is there when the question is asked.
    let (front, back) = unasked.split_at(12);
    assert_eq!(events(&mut conn, [front]), []);
    conn.get_values(["FCGI_MPXS_CONNS"]).expect("nothing is open");
    assert_eq!(events(&mut conn, [back]), []);
    let answer = record(RecordType::GetValuesResult, 0, &pairs([("FCGI_MPXS_CONNS", "0")]));
    let expected = [Seen::values([("FCGI_MPXS_CONNS", "0")])];
    assert_eq!(events(&mut conn, answer.chunks(1)), expected);
    assert_eq!(events(&mut conn, [&unasked[..]]), []);
}

#[test]
fn malformed_values_are_fatal() {
    let values = record(RecordType::GetValues, 0, b"\x05");
    let error = Seen::Failed(ProtocolError::MalformedValues);
    three_ways(application, &values, core::slice::from_ref(&error));
    let result = record(RecordType::GetValuesResult, 0, b"\x05");
    let asked = || {
        let mut conn = client::Connection::new(client::Config::default());
        conn.get_values(["FCGI_MPXS_CONNS"]).expect("nothing is open");
        conn
    };
    three_ways(asked, &result, &[error]);
}

// spec: S8, S23
#[test]
fn a_question_is_one_padded_record_or_none() {
    let config = client::Config::default().max_values(u16::MAX);
    for len in [1, 6, 7, 8, 65_521, 65_522] {
        let mut conn = client::Connection::new(config.clone());
        conn.get_values([vec![b'N'; len]]).expect("it fits one record");
        let wire = conn.take_output(usize::MAX);
        let records = records_of(&wire);
        assert_eq!(records.len(), 1);
        let header = records[0].0;
        assert!((1..=8).contains(&header.padding_len), "libfcgi waits for a byte more");
        assert_eq!((wire.len() % 8, header.request_id), (0, 0));
        assert!(wire.len() <= 8 + 65_535);
    }
    for len in [65_523, 65_530, 70_000] {
        let mut conn = client::Connection::new(config.clone());
        let error = conn.get_values([vec![b'N'; len]]).expect_err("a second record would be cut");
        assert_eq!(error, BeginError::ValuesTooLarge { found: len + 5, limit: 65_527 });
        assert!(!conn.has_outgoing() && conn.is_idle());
    }
    let mut conn = client::Connection::new(config.clone().max_buffered(1));
    conn.get_values(["A"]).expect("the cap is soft");
    assert_eq!(conn.get_values(["A"]), Err(BeginError::Blocked));
    let mut conn = client::Connection::new(config);
    conn.get_values([""; 0]).expect("nothing asks nothing");
    assert!(!conn.has_outgoing() && conn.is_idle());
}

// Framing.

// spec: S16
#[test]
fn fixed_bodies_of_another_size() {
    for (record_type, len) in [
        (RecordType::BeginRequest, 0_u16),
        (RecordType::BeginRequest, 7),
        (RecordType::BeginRequest, 9),
        (RecordType::EndRequest, 4),
        (RecordType::EndRequest, 65_535),
        (RecordType::UnknownType, 1),
    ] {
        let error = Seen::Failed(ProtocolError::BodyLength { record_type, found: len });
        let wire = record(record_type, 1, &pattern(len.into()));
        three_ways(application, &wire, core::slice::from_ref(&error));
        three_ways(asking, &wire, &[error]);
    }
}

// spec: S5
#[test]
fn a_wrong_version_after_the_first_record() {
    for version in [0, 2, 255] {
        let mut wire = [empty(RecordType::Stdin, 1), empty(RecordType::Stdin, 1)].concat();
        wire[8] = version;
        let error = Seen::Failed(ProtocolError::UnsupportedVersion(version));
        let expected = [Seen::StdinEnd(1), error];
        assert_eq!(events(&mut serving(Role::Responder), [&wire[..]]), expected[..]);
    }
}

// Peers that do not read.

#[test]
fn a_peer_that_never_reads_costs_no_more_than_the_caps() {
    let cap = 10_000;
    let mut conn = server::Connection::new(server::Config::default().max_buffered(cap));
    let key =
        key_of(&mut conn, &[begin(1, Role::Responder), empty(RecordType::Params, 1)].concat());
    let mut response = conn.response(key).expect("open");
    while response.stdout_slice(&[0; 100]) != Err(SendError::Blocked) {}
    while response.stderr([0; 100]) != Err(SendError::Blocked) {}
    assert!(conn.take_output(usize::MAX).len() <= cap + 108);

    let config = client::Config::default().max_buffered(cap);
    let mut conn = client::Connection::new(config);
    let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
    let mut request = conn.request(key).expect("open");
    while request.stdin_slice(&[0; 100]) != Err(SendError::Blocked) {}
    assert!(conn.take_output(usize::MAX).len() <= cap + 108);
}

// What we write.

/// No record has more than 65,535 bytes of content and padding, which is all that php takes, and only those are padded that
/// every known peer accepts padded.
fn assert_well_formed(wire: &[u8]) {
    for (header, content) in records_of(wire) {
        let Header { record_type, content_len, padding_len, .. } = header;
        assert!(u32::from(content_len) + u32::from(padding_len) <= 65_535, "{header:?}");
        match record_type {
            RecordType::GetValues | RecordType::Stderr if content_len > 0 => {
                assert!((1..=8).contains(&padding_len), "{header:?}");
            }
            RecordType::Params => assert!(Params::parse(content).is_ok() && padding_len == 0),
            _ => assert_eq!(padding_len, 0, "{header:?}"),
        }
    }
}

// spec: S6
#[test]
fn payloads_around_the_size_of_a_record() {
    for len in [1, 7, 8, 1023, 1024, 65_526, 65_527, 65_528, 65_535, 65_536, 131_070, 131_071] {
        let data = pattern(len);
        let mut conn = client::Connection::new(client::Config::default().max_buffered(usize::MAX));
        let key = conn.begin(Role::Responder, [("A", "1")]).expect("room");
        let mut request = conn.request(key).expect("open");
        request.stdin_slice(&data).expect("room");
        request.stdin(data.clone()).expect("room");
        request.finish().expect("once");
        let wire = conn.take_output(usize::MAX);
        assert_well_formed(&wire);
        let body = [&data[..], &data].concat();
        let expected = [
            Seen::request(1, Role::Responder, [("A", "1")]),
            Seen::stdin(1, &body),
            Seen::StdinEnd(1),
        ];
        assert_eq!(events(&mut application(), [&wire[..]]), expected);

        let mut conn = server::Connection::new(server::Config::default().max_buffered(usize::MAX));
        let head = [begin(1, Role::Responder), empty(RecordType::Params, 1)].concat();
        let key = key_of(&mut conn, &head);
        let mut response = conn.response(key).expect("open");
        response.stderr(&data).expect("room");
        response.stdout_slice(&data).expect("room");
        response.stdout(data.clone()).expect("room");
        response.end(0);
        let wire = conn.take_output(usize::MAX);
        assert_well_formed(&wire);
        let expected = [Seen::stderr(1, &data), Seen::stdout(1, &body), Seen::complete(1)];
        assert_eq!(events(&mut asking(), [&wire[..]]), expected);
    }
}

// Properties.

/// Sizes at which encodings change, and any other.
fn edgy_len() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0_usize..200,
        2 => 32_000_usize..33_000,
        3 => 65_500_usize..65_529,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // spec: S18
    #[test]
    fn params_are_decoded_as_they_were_encoded(
        list in vec((bytes(0..300), bytes(0..300)), 0..40),
        cuts in vec(1_usize..100, 1..10),
    ) {
        let mut conn = client::Connection::new(client::Config::default());
        let borrowed = list.iter().map(|(name, value)| (name, value));
        conn.begin(Role::Responder, borrowed).expect("small pairs fit");
        let wire = conn.take_output(usize::MAX);
        let seen = events(&mut application(), cut(&wire, &cuts));
        prop_assert_eq!(seen, [Seen::Request(1, Role::Responder, list.clone())]);

        let params: Params = list.iter().map(|(name, value)| (name, value)).collect();
        let parsed = Params::parse(params.as_encoded().to_vec());
        prop_assert_eq!(parsed.as_ref(), Ok(&params));
        prop_assert_eq!(params.encoded_len(), pairs(list).len());
    }

    // spec: S34
    #[test]
    fn pairs_are_never_split(lens in vec((0_usize..3, edgy_len()), 0..8)) {
        let list: Vec<_> = lens.iter().map(|&(n, v)| (vec![b'n'; n], vec![b'v'; v])).collect();
        let mut out = Vec::new();
        let borrowed = list.iter().map(|(name, value)| (name, value));
        params::encode(&mut out, 9, borrowed).expect("each fits one record");
        let records = records_of(&out);
        let (last, whole) = records.split_last().expect("the end of the stream");
        prop_assert_eq!(last.1.len(), 0);
        let mut seen = Params::new();
        for (header, content) in whole {
            prop_assert_eq!((header.request_id, header.padding_len), (9, 0));
            prop_assert!(!content.is_empty());
            let parsed = Params::parse(content.to_vec());
            prop_assert!(parsed.is_ok(), "a record by itself is {:?}", parsed);
            seen.extend(&parsed.expect("just asserted"));
        }
        prop_assert_eq!(seen, list.into_iter().collect());
        // Records are filled: two neighbours never fit one.
        for pair in whole.windows(2) {
            let first_of_next = Params::parse(pair[1].1.to_vec()).expect("just parsed");
            let (name, value) = first_of_next.iter().next().expect("not empty");
            prop_assert!(pair[0].1.len() + pairs([(name, value)]).len() > 65_535);
        }
    }

    #[test]
    fn large_pairs_survive_the_split(lens in vec((0_usize..3, 0_usize..140_000), 0..4)) {
        let list: Vec<_> = lens.iter().map(|&(n, v)| (vec![b'n'; n], pattern(v))).collect();
        let config = client::Config::default().split_large_pairs(true);
        let mut conn = client::Connection::new(config);
        let borrowed = list.iter().map(|(name, value)| (name, value));
        conn.begin(Role::Responder, borrowed).expect("any size goes");
        let wire = conn.take_output(usize::MAX);
        let ends = records_of(&wire).iter().filter(|(header, _)| header.content_len == 0).count();
        prop_assert_eq!(ends, 1);
        let seen = events(&mut application(), [&wire[..]]);
        prop_assert_eq!(seen, [Seen::Request(1, Role::Responder, list)]);
    }

    // spec: S5, S30
    #[test]
    fn headers_and_bodies_are_decoded_as_they_were_encoded(octets: [u8; 7], body: [u8; 5]) {
        let [record_type, id1, id0, len1, len0, padding_len, reserved] = octets;
        let wire = [1, record_type, id1, id0, len1, len0, padding_len, reserved];
        let header = Header::decode(wire).expect("version 1");
        let mut canonical = wire;
        canonical[7] = 0;
        prop_assert_eq!(header.encode(), canonical);
        prop_assert_eq!(Header::decode(header.encode()), Ok(header));

        let [b0, b1, b2, b3, b4] = body;
        let wire = [b0, b1, b2, b3, b4, 0, 0, 0];
        prop_assert_eq!(fcgi_proto::wire::EndRequest::decode(wire).encode(), wire);
        let wire = [b0, b1, b2, 0, 0, 0, 0, 0];
        prop_assert_eq!(fcgi_proto::wire::BeginRequest::decode(wire).encode(), wire);
        let wire = [b0, 0, 0, 0, 0, 0, 0, 0];
        prop_assert_eq!(fcgi_proto::wire::UnknownType::decode(wire).encode(), wire);
    }
}

/// Feeds an application that ends odd requests at once; what it saw and what it wrote.
fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Vec<u8>) {
    let config = server::Config::default().max_requests(NonZeroU16::new(6).expect("not zero"));
    let mut conn = server::Connection::new(config.max_params(300));
    let mut seen = Vec::new();
    for mut input in pieces {
        loop {
            match conn.poll_event(&mut input) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    support::note(&mut seen, support::server_seen(&event));
                    match event {
                        server::Event::Request { key, .. } if key.request_id() % 2 == 1 => {
                            conn.response(key).expect("open").end(0);
                        }
                        _ => {}
                    }
                }
                Err(error) => {
                    seen.push(Seen::Failed(error));
                    return (seen, conn.take_output(usize::MAX));
                }
            }
        }
    }
    (seen, conn.take_output(usize::MAX))
}

/// Feeds a client that has begun requests 1 to 3 and has aborted the second.
fn ask<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, bool, usize) {
    let config = client::Config::default().keep_conn(true);
    let mut conn = client::Connection::new(config.max_requests(NonZeroU16::MAX));
    let keys = [(); 3].map(|()| conn.begin(Role::Responder, [("A", "1")]).expect("room"));
    conn.request(keys[1]).expect("open").abort();
    conn.get_values(["FCGI_MPXS_CONNS"]).expect("open");
    (events(&mut conn, pieces), conn.is_closing(), conn.open_requests())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // spec: S15
    #[test]
    fn cuts_do_not_matter_to_an_application(
        records in vec(to_application(), 0..20),
        cuts in vec(1_usize..40, 1..20),
    ) {
        // What a first byte shows of a stranger does depend on how much is read at once.
        let wire = [begin(4, Role::Responder), records.concat()].concat();
        prop_assert_eq!(serve(cut(&wire, &cuts)), serve([&wire[..]]));
        prop_assert_eq!(serve(wire.chunks(1)), serve([&wire[..]]));
    }

    // spec: S15
    #[test]
    fn cuts_do_not_matter_to_a_client(
        records in vec(to_client(), 0..20),
        cuts in vec(1_usize..40, 1..20),
    ) {
        let first = record(RecordType::Stdout, 1, b"x");
        let wire = [first, records.concat()].concat();
        prop_assert_eq!(ask(cut(&wire, &cuts)), ask([&wire[..]]));
        prop_assert_eq!(ask(wire.chunks(1)), ask([&wire[..]]));
    }
}
