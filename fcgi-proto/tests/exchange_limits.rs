//! What a client keeps of one response: each limit with its default and its setter.

mod support;

use core::time::Duration;

use fcgi_proto::cgi::{HeadError, ResponseError};
use fcgi_proto::client::{Config, Connection, Exchange, ExchangeError};
use fcgi_proto::{RecordType, Request, Timeouts};
use support::stream_of;

fn exchange() -> (Connection, Exchange) {
    let mut conn = Connection::new(Config::default());
    let request = Request::<Vec<u8>>::get("/srv/index.php");
    let (parts, _) = request.into_parts().expect("a request");
    let exchange = Exchange::begin(&mut conn, &parts, Timeouts::default(), Duration::ZERO);
    (conn, exchange.expect("nothing is open"))
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
