//! One request and its response, as every adapter's client drives them: phases, deadlines, what counts as an error, and
//! how much is kept.
#![cfg(feature = "std")]

mod support;

use core::time::Duration;

use bytes::Buf;
use fcgi_proto::cgi::{BodyError, HeadError, ResponseError};
use fcgi_proto::client::{Config, Connection, End, Exchange, ExchangeError, Output};
use fcgi_proto::{ErrorKind, Phase, ProtocolStatus, RecordType, Request, Timeouts};
use support::{end, padded, record, stream_of};

fn exchange() -> (Connection, Exchange) {
    exchange_of(Request::get("/srv/index.php"), Timeouts::default())
}

fn exchange_of(request: Request<Vec<u8>>, timeouts: Timeouts) -> (Connection, Exchange) {
    let mut conn = Connection::new(Config::default().keep_conn(true));
    let (parts, _) = request.into_parts().expect("a request");
    let exchange = Exchange::begin(&mut conn, &parts, timeouts, Duration::ZERO);
    (conn, exchange.expect("nothing is open"))
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Writes all that is to be written.
fn write(conn: &mut Connection, exchange: &mut Exchange, now: Duration) {
    assert!(exchange.wants_write(conn));
    let count = conn.outgoing().remaining();
    conn.outgoing().advance(count);
    exchange.handle_written(conn, count, now);
    assert!(!exchange.wants_write(conn));
}

/// Reads this, and says what came of it: the status and the body so far, and the end.
fn read(
    conn: &mut Connection,
    exchange: &mut Exchange,
    wire: &[u8],
    now: Duration,
) -> Result<(Vec<u8>, Option<End>), ExchangeError> {
    exchange.handle_read(wire.len(), now);
    let (mut seen, mut ended) = (Vec::new(), None);
    let mut input = wire;
    while let Some(event) = conn.poll_event(&mut input).expect("legal records") {
        match exchange.handle_event(event)? {
            Some(Output::Head { head, body }) => {
                seen.extend(head.status().to_string().bytes());
                seen.extend_from_slice(body);
            }
            Some(Output::Body(body)) => seen.extend_from_slice(body),
            Some(Output::End(end)) => ended = Some(end),
            _ => {}
        }
    }
    Ok((seen, ended))
}

fn stdout(data: &[u8]) -> Vec<u8> {
    record(RecordType::Stdout, 1, data)
}

fn complete() -> Vec<u8> {
    end(1, ProtocolStatus::RequestComplete, 3)
}

#[test]
fn phases_and_deadlines_follow_what_happens() {
    let timeouts = Timeouts::NONE.with_first_byte(ms(50)).with_idle(ms(20)).with_total(ms(1000));
    let request = Request::post("/srv/index.php").body(b"body".to_vec());
    let (mut conn, mut exchange) = exchange_of(request, timeouts);
    assert_eq!((exchange.phase(), exchange.deadline()), (Phase::Send, Some(ms(20))));
    assert!(exchange.wants_body(&conn));
    exchange.send_body(&mut conn, "body".into()).expect("as long as announced");
    write(&mut conn, &mut exchange, ms(10));
    // The body has not ended, so the application is not late yet.
    assert_eq!((exchange.phase(), exchange.deadline()), (Phase::Send, Some(ms(30))));
    exchange.finish_body(&mut conn).expect("as long as announced");
    exchange.finish_body(&mut conn).expect("twice is as once");
    assert!(!exchange.wants_body(&conn));
    write(&mut conn, &mut exchange, ms(25));
    assert_eq!((exchange.phase(), exchange.deadline()), (Phase::FirstByte, Some(ms(75))));
    assert_eq!(exchange.check_time(ms(74)), None);
    assert_eq!(exchange.check_time(ms(75)), Some(Phase::FirstByte));

    let (seen, _) =
        read(&mut conn, &mut exchange, &stdout(b"Status: 201\r\n"), ms(60)).expect("so far");
    assert!(seen.is_empty());
    assert_eq!((exchange.phase(), exchange.check_time(ms(80))), (Phase::Head, Some(Phase::Idle)));
    let (seen, _) = read(&mut conn, &mut exchange, &stdout(b"\r\nfront"), ms(990)).expect("so far");
    assert_eq!((&seen[..], exchange.phase()), (&b"201front"[..], Phase::Body));
    // The whole of it is bounded however lively it is.
    assert_eq!(exchange.check_time(ms(999)), None);
    assert_eq!(exchange.check_time(ms(1000)), Some(Phase::Total));

    let wire = [stdout(b" and back"), complete()].concat();
    let (seen, ended) = read(&mut conn, &mut exchange, &wire, ms(995)).expect("whole");
    let ended = ended.expect("the end");
    assert_eq!((&seen[..], ended.app_status, ended.body_excess), (&b" and back"[..], 3, 0));
    assert!(ended.is_body_sent && exchange.end() == Some(ended) && exchange.is_reusable(&conn));
    assert!(exchange.bytes_sent() > 40 && exchange.bytes_received() > 40);
    // Nothing is waited for any more.
    assert_eq!(exchange.deadline(), None);
}

#[test]
fn a_body_must_be_as_long_as_announced() {
    let request = || Request::post("/srv/index.php").body(b"body".to_vec());
    let (mut conn, mut exchange) = exchange_of(request(), Timeouts::NONE);
    exchange.send_body(&mut conn, "bod".into()).expect("so far");
    let error = exchange.finish_body(&mut conn).expect_err("one byte is missing");
    assert!(error.to_string().contains('1'), "{error}");
    let error = exchange.send_body(&mut conn, "yes".into()).expect_err("two bytes too many");
    assert!(error.to_string().contains('2'), "{error}");
    let error = exchange.failed(error);
    assert_eq!((error.kind(), error.phase()), (ErrorKind::RequestBody, Some(Phase::Send)));
}

#[test]
fn an_answer_counts_although_nothing_more_could_be_written() {
    let request = Request::post("/srv/index.php").body(b"body".to_vec());
    let (mut conn, mut exchange) = exchange_of(request, Timeouts::NONE);
    exchange.handle_write_error();
    assert!(!exchange.wants_write(&conn) && !exchange.wants_body(&conn) && conn.has_outgoing());
    let wire = [stdout(b"Status: 413\r\n\r\ntoo large"), complete()].concat();
    let (seen, ended) = read(&mut conn, &mut exchange, &wire, ms(1)).expect("an answer");
    assert_eq!(seen, b"413too large");
    assert!(!ended.expect("the end").is_body_sent && !exchange.is_reusable(&conn));
    // The rest of the body is of no interest, and no error.
    exchange.send_body(&mut conn, "body".into()).expect("nobody wants it");
}

/// Else it would be read for ever, and hold a worker.
#[test]
fn what_is_beyond_the_length_is_read_to_a_limit() {
    for (request, head, announced) in [
        (Request::get("/srv/index.php"), "Content-Length: 5\r\n\r\n12345", 5),
        (Request::get("/srv/index.php"), "Status: 204\r\n\r\n", 0),
        (Request::new("HEAD", "/srv/index.php"), "Content-Length: 5\r\n\r\n", 0),
    ] {
        let (mut conn, exchange) = exchange_of(request, Timeouts::NONE);
        let mut exchange = exchange.max_excess(8);
        let wire = [stdout(head.as_bytes()), stdout(b"12345678")].concat();
        read(&mut conn, &mut exchange, &wire, ms(1)).expect("as much as may be");
        let error = read(&mut conn, &mut exchange, &stdout(b"9"), ms(1)).expect_err("too much");
        let long = BodyError::TooLong { announced, received: announced + 9 };
        assert_eq!(error, ExchangeError::Response(long.into()), "{head:?}");
    }
    assert_eq!(Exchange::MAX_EXCESS, 1024 * 1024);
}

#[test]
fn lengths_of_responses_are_checked() {
    let (mut conn, mut exchange) = exchange();
    let wire = [stdout(b"Content-Length: 5\r\n\r\n12345678"), complete()].concat();
    let (seen, ended) = read(&mut conn, &mut exchange, &wire, ms(1)).expect("cut to its length");
    assert_eq!((&seen[..], ended.expect("the end").body_excess), (&b"20012345"[..], 3));

    let (mut conn, mut exchange) = self::exchange();
    let wire = [stdout(b"Content-Length: 5\r\n\r\n123"), complete()].concat();
    let error = read(&mut conn, &mut exchange, &wire, ms(1)).expect_err("too short");
    let short = BodyError::TooShort { announced: 5, received: 3 };
    assert_eq!(error, ExchangeError::Response(short.into()));
    assert_eq!(exchange.failed(error).kind(), ErrorKind::Body(short));

    let (mut conn, mut exchange) = self::exchange();
    let error = read(&mut conn, &mut exchange, &complete(), ms(1)).expect_err("no output at all");
    assert_eq!(exchange.failed(error).kind(), ErrorKind::Head(HeadError::Empty));

    // A response to HEAD has the length of what it leaves out.
    let (mut conn, mut exchange) =
        exchange_of(Request::new("HEAD", "/srv/index.php"), Timeouts::NONE);
    let wire = [stdout(b"Content-Length: 5\r\n\r\n"), complete()].concat();
    assert!(read(&mut conn, &mut exchange, &wire, ms(1)).is_ok());
}

#[test]
fn refusals_are_told_with_all_that_is_known() {
    let refusals = [
        (ProtocolStatus::CantMultiplex, ErrorKind::CantMultiplex),
        (ProtocolStatus::Overloaded, ErrorKind::Overloaded),
        (ProtocolStatus::UnknownRole, ErrorKind::UnknownRole),
        (ProtocolStatus::Other(9), ErrorKind::UnknownStatus(9)),
    ];
    for (status, kind) in refusals {
        let (mut conn, mut exchange) = exchange();
        write(&mut conn, &mut exchange, ms(1));
        let wire = [padded(RecordType::Stderr, 1, b"no, sorry", 3), end(1, status, 0)].concat();
        let error = read(&mut conn, &mut exchange, &wire, ms(2)).expect_err("a refusal");
        let error = exchange.failed(error);
        assert_eq!((error.kind(), error.stderr()), (kind, &b"no, sorry"[..]));
        assert_eq!(
            (error.bytes_sent(), error.bytes_received()),
            (exchange.bytes_sent(), wire.len() as u64)
        );
        assert!(error.is_begun() && exchange.end().is_none());
    }
}

#[test]
fn what_others_report_is_told_with_how_far_it_came() {
    let (mut conn, mut exchange) = exchange();
    assert!(!exchange.failed_io(std::io::ErrorKind::BrokenPipe.into()).is_begun());
    write(&mut conn, &mut exchange, ms(1));
    exchange.finish_body(&mut conn).expect("no body");
    let error = exchange.failed_io(std::io::ErrorKind::ConnectionReset.into());
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Reset, Some(Phase::FirstByte)));
    assert!(error.is_begun());
    let error = exchange.failed_body("the file is gone");
    assert_eq!(error.kind(), ErrorKind::RequestBody);
    assert!(error.to_string().contains("the file is gone"), "{error}");
    let timeouts = Timeouts::NONE.with_first_byte(ms(50));
    let error = exchange.timed_out(Phase::FirstByte, &timeouts);
    assert_eq!((error.phase(), error.limit()), (Some(Phase::FirstByte), Some(ms(50))));
    assert_eq!(exchange.too_large(17).kind(), ErrorKind::TooLarge { limit: 17 });
    // News about the connection alone is none for a request.
    let wire = record(RecordType::UnknownType, 0, &[99, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&mut conn, &mut exchange, &wire, ms(3)), Ok((Vec::new(), None)));
}

/// Gives an exchange what an application says on one stream.
fn feed(
    conn: &mut Connection,
    exchange: &mut Exchange,
    stream: RecordType,
    data: &[u8],
) -> Result<(), ExchangeError> {
    let wire = stream_of(stream, exchange.key().request_id(), data, 10_000);
    for mut input in wire.chunks(16 * 1024) {
        while let Some(event) = conn.poll_event(&mut input).expect("an honest peer") {
            exchange.handle_event(event)?;
        }
    }
    Ok(())
}

/// A head of exactly so many bytes in many fields, and one byte of body.
fn head_of(len: usize) -> Vec<u8> {
    let mut head = Vec::new();
    while len - head.len() > 2 {
        // Never so that fewer than a shortest field would be left.
        let line = (len - head.len() - 2).min(1000);
        let line = if len - head.len() - 2 - line < 5 { len - head.len() - 2 } else { line };
        head.extend_from_slice(b"A: ");
        head.resize(head.len() + line - 5, b'x');
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n!");
    assert_eq!(head.len(), len + 1);
    head
}

#[test]
fn a_head_ends_at_256_kib_by_default() {
    for (limit, expected) in [(None, 256 * 1024), (Some(1000), 1000), (Some(17), 17)] {
        for excess in [0, 1] {
            let (mut conn, mut exchange) = exchange();
            if let Some(limit) = limit {
                exchange = exchange.max_head(limit);
            }
            let head = head_of(expected + excess);
            let result = feed(&mut conn, &mut exchange, RecordType::Stdout, &head);
            match result {
                Ok(()) => assert_eq!(excess, 0, "{limit:?}"),
                Err(ExchangeError::Response(ResponseError::Head(HeadError::TooLarge {
                    limit: found,
                    ..
                }))) => assert_eq!((excess, found), (1, expected)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_head_has_1000_fields_by_default() {
    for (fields, is_allowed) in [(1000, true), (1001, false)] {
        let (mut conn, mut exchange) = exchange();
        let head = [&b"A: 1\r\n".repeat(fields)[..], b"\r\n!"].concat();
        let result = feed(&mut conn, &mut exchange, RecordType::Stdout, &head);
        match result {
            Ok(()) => assert!(is_allowed),
            Err(ExchangeError::Response(ResponseError::Head(HeadError::TooManyFields {
                limit,
            }))) => assert_eq!((is_allowed, limit), (false, 1000)),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn error_output_is_kept_up_to_256_kib_by_default_and_the_rest_is_counted() {
    for (limit, expected) in [(None, Exchange::MAX_STDERR), (Some(100), 100), (Some(0), 0)] {
        let (mut conn, mut exchange) = exchange();
        if let Some(limit) = limit {
            exchange = exchange.max_stderr(limit);
        }
        let said = support::pattern(300_000);
        feed(&mut conn, &mut exchange, RecordType::Stderr, &said).expect("it is not an error");
        assert!(exchange.stderr() == &said[..expected], "the front is kept");
        assert_eq!(exchange.stderr_dropped(), 300_000 - expected as u64);
        // What was taken makes room for more.
        assert_eq!(exchange.take_stderr().len(), expected);
        feed(&mut conn, &mut exchange, RecordType::Stderr, b"more").expect("it is not an error");
        assert!(exchange.stderr() == &b"more"[..expected.min(4)]);
    }
    assert_eq!(Exchange::MAX_STDERR, 256 * 1024);
}
