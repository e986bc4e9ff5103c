//! The readable view of a byte stream.

mod support;

use fcgi_proto::trace::Trace;
use fcgi_proto::{ProtocolStatus, RecordType, Role};
use support::{
    begin, begin_flags, empty, end, hex, padded, pairs, params, pattern, record, stream,
};

fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut trace = Trace::new();
    let mut lines = Vec::new();
    for piece in pieces {
        trace.feed(piece, |line| lines.push(line.to_string()));
    }
    lines
}

#[test]
fn a_whole_exchange() {
    let request = [
        begin(1, Role::Responder),
        params(1, &[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "5")]),
        padded(RecordType::Stdin, 1, b"hello", 3),
        empty(RecordType::Stdin, 1),
    ];
    let expected = [
        "BEGIN_REQUEST     id 1     responder, keep_conn",
        "PARAMS            id 1     37 bytes\n    REQUEST_METHOD = \"POST\"\n    CONTENT_LENGTH = \"5\"",
        "PARAMS            id 1     end of stream",
        "STDIN             id 1     5 bytes, 3 padding  \"hello\"",
        "STDIN             id 1     end of stream",
    ];
    assert_eq!(lines([&request.concat()[..]]), expected);
    assert_eq!(lines(request.concat().chunks(1)), expected, "byte by byte");

    let response = [
        record(RecordType::Stderr, 1, b"!"),
        stream(RecordType::Stdout, 1, b"Status: 404\r\n\r\n"),
        end(1, ProtocolStatus::Overloaded, 938),
    ];
    let expected = [
        "STDERR            id 1     1 byte  \"!\"",
        "STDOUT            id 1     15 bytes  \"Status: 404\\r\\n\\r\\n\"",
        "STDOUT            id 1     end of stream",
        "END_REQUEST       id 1     OVERLOADED, app_status 938",
    ];
    assert_eq!(lines([&response.concat()[..]]), expected);
    assert_eq!(lines(response.concat().chunks(1)), expected, "byte by byte");
}

#[test]
fn every_type_has_its_line() {
    let wire = [
        begin_flags(65_535, Role::Other(700), 0),
        padded(RecordType::AbortRequest, 2, b"", 8),
        record(RecordType::GetValues, 0, &pairs([("FCGI_MPXS_CONNS", "")])),
        record(RecordType::GetValuesResult, 0, &pairs([("FCGI_MPXS_CONNS", "1")])),
        hex("01 0b 0000 0008 00 00  63 00000000000000"),
        record(RecordType::Data, 3, b"file"),
        empty(RecordType::Other(99), 0),
        end(1, ProtocolStatus::Other(77), u32::MAX),
    ];
    assert_eq!(
        lines([&wire.concat()[..]]),
        [
            "BEGIN_REQUEST     id 65535 role 700, close",
            "ABORT_REQUEST     id 2     -, 8 padding",
            "GET_VALUES        id 0     17 bytes\n    FCGI_MPXS_CONNS = \"\"",
            "GET_VALUES_RESULT id 0     18 bytes\n    FCGI_MPXS_CONNS = \"1\"",
            "UNKNOWN_TYPE      id 0     of type 99",
            "DATA              id 3     4 bytes  \"file\"",
            "type 99           id 0     0 bytes",
            "END_REQUEST       id 1     status 77, app_status 4294967295",
        ]
    );
}

#[test]
fn a_cut_record_waits_for_its_rest() {
    let wire = record(RecordType::Stdout, 1, b"hello");
    let (front, back) = wire.split_at(10);
    let mut trace = Trace::new();
    trace.feed(front, |line| panic!("too early: {line}"));
    let mut seen = Vec::new();
    trace.feed(back, |line| seen.push(line.record_type()));
    assert_eq!(seen, [Some(RecordType::Stdout)]);
}

#[test]
fn lost_framing_is_told_once() {
    let wire = [empty(RecordType::Stdout, 1), b"HTTP/1.1 200 OK\r\n".to_vec()].concat();
    let expected =
        ["STDOUT            id 1     end of stream", "!! record has version 72, expected 1"];
    assert_eq!(lines([&wire[..], b"more", &begin(1, Role::Responder)]), expected);
    assert_eq!(lines(wire.chunks(1)), expected);

    let stranger = lines([&b"HTTP/1.1 200 OK\r\n"[..], b"more"]);
    assert_eq!(stranger, [r#"!! peer speaks HTTP, not FastCGI: it sent "HTTP/1.1 200 OK\r\n""#]);

    let short = record(RecordType::EndRequest, 1, b"\0\0\0\0");
    let expected = ["!! END_REQUEST record has a body of 4 bytes, expected 8"];
    assert_eq!(lines([&short[..], &short]), expected);

    let mut trace = Trace::new();
    trace.feed(b"\0", |line| assert_eq!(line.record_type(), None));
}

#[test]
fn secrets_are_masked() {
    let names = [
        "HTTP_AUTHORIZATION",
        "HTTP_COOKIE",
        "http_cookie",
        "PHP_AUTH_PW",
        "DB_PASSWORD",
        "DB_PASSWD",
        "APP_SECRET",
        "CSRF_TOKEN",
        "API_KEY",
    ];
    let wire = record(RecordType::Params, 1, &pairs(names.map(|name| (name, "hunter2"))));
    let seen = lines([&wire[..]]).concat();
    assert!(!seen.contains("hunter2"), "{seen}");
    for name in names {
        assert!(seen.contains(&format!("{name} = <7 bytes>")), "{seen}");
    }
}

/// A pair cut in two is not known by its name any more, so none of it is shown.
#[test]
fn a_secret_cut_over_two_records_stays_hidden() {
    let block = pairs([("HTTP_COOKIE", "session=hunter2-and-more")]);
    for at in 1..block.len() {
        let (front, back) = block.split_at(at);
        let wire =
            [record(RecordType::Params, 1, front), record(RecordType::Params, 1, back)].concat();
        let seen = lines([&wire[..]]).concat();
        assert!(!seen.contains("hunter2"), "cut at {at}: {seen}");
    }
    assert_eq!(
        lines([&record(RecordType::Params, 1, b"\x01\x05Avery")[..]]),
        ["PARAMS            id 1     7 bytes  (name-value pair at byte 0 runs past the end)"]
    );
}

#[test]
fn long_content_is_shortened() {
    let wire = record(RecordType::Stdout, 1, &[b'x'; 65_535]);
    let shown = "x".repeat(60);
    assert_eq!(
        lines(wire.chunks(1000)),
        [format!("STDOUT            id 1     65535 bytes  \"{shown}\"…")]
    );
    // 60 bytes are shown whole, in values as well.
    let wire = record(RecordType::Stdout, 1, &[b'x'; 60]);
    assert!(lines([&wire[..]]).concat().ends_with("x\""));
    let value = "v".repeat(61);
    let seen = lines([&params(1, &[("N", &value)])[..]]).concat();
    assert!(seen.contains(&format!("N = \"{}\"…", "v".repeat(60))), "{seen}");
}

#[test]
fn a_full_record_of_parameters_is_shown_whole() {
    let list: Vec<_> = (0..2000).map(|at| (format!("NAME_{at:05}"), "x".repeat(15))).collect();
    let block = pairs(list);
    let wire = record(RecordType::Params, 1, &block);
    let seen = lines(wire.chunks(999));
    assert_eq!(seen.len(), 1);
    assert_eq!(seen.concat().lines().count(), 2001);
}

#[test]
fn lines_are_printable() {
    let wire = [
        record(RecordType::Stdout, 1, &pattern(300)),
        record(RecordType::Stdout, 1, b"\x1b[31m\r\n\0\x7f\xff\""),
        record(RecordType::Params, 1, &pairs([(&b"\x1b\n\xff"[..], &b"\x07\r"[..])])),
    ];
    let seen = lines([&wire.concat()[..]]);
    let is_printable = |char: char| char == '\n' || char == '…' || (' '..='~').contains(&char);
    assert!(seen.iter().all(|line| line.chars().all(is_printable)), "{seen:?}");
    assert_eq!(seen.concat().matches('\n').count(), 1, "only before a pair");
}

/// What a developer prints to a log by habit.
#[test]
fn debug_shows_no_secrets() {
    let secrets = [
        ("HTTP_AUTHORIZATION", "hunter2"),
        ("HTTP_COOKIE", "hunter2"),
        ("PHP_AUTH_PW", "hunter2"),
        ("DB_PASSWORD", "hunter2"),
        ("API_TOKEN", "hunter2"),
        ("REQUEST_URI", "/seen"),
    ];
    let wire = record(RecordType::Params, 1, &pairs(secrets));
    let mut trace = Trace::new();
    let mut lines = 0;
    trace.feed(&wire, |line| {
        lines += 1;
        let text = format!("{line:?} {line:#?} {line}");
        assert!(text.contains("/seen") && !text.contains("hunter2"), "{text}");
    });
    assert_eq!(lines, 1);
    // Half a record stays inside.
    trace.feed(&wire[..wire.len() - 1], |_| panic!("it is not complete"));
    let text = format!("{trace:?}");
    assert!(!text.contains("hunter2") && !text.contains("104, 117"), "{text}");
}
