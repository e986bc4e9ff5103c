//! A warm connection allocates nothing: neither to receive nor to send, on either side.
#![expect(unsafe_code, reason = "a global allocator that counts is written with it")]

mod support;

use core::cell::Cell;
use core::num::NonZeroU16;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};

use bytes::{Buf, Bytes};
use fcgi_proto::cgi::{Piece, ResponseDecoder};
use fcgi_proto::{ProtocolStatus, RecordType, Request, Role, Timeouts, client, server};
use support::{begin, empty, end, padded, pairs, record, stream_of};

/// Counts the allocations of each thread, as tests run beside each other.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps to the contract of `realloc`, and `ptr` came from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`, and `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// As many parameters as nginx sends.
const PARAMS: [(&str, &str); 25] = [
    ("QUERY_STRING", "page=2"),
    ("REQUEST_METHOD", "POST"),
    ("CONTENT_TYPE", "application/x-www-form-urlencoded"),
    ("CONTENT_LENGTH", "64"),
    ("SCRIPT_FILENAME", "/srv/www/index.php"),
    ("SCRIPT_NAME", "/index.php"),
    ("REQUEST_URI", "/index.php?page=2"),
    ("DOCUMENT_URI", "/index.php"),
    ("DOCUMENT_ROOT", "/srv/www"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.22.1"),
    ("REMOTE_ADDR", "192.0.2.7"),
    ("REMOTE_PORT", "50000"),
    ("SERVER_ADDR", "192.0.2.1"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "www.example.org"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "www.example.org"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en"),
    ("HTTP_COOKIE", "session=0123456789abcdef0123456789abcdef"),
];

fn write_away(mut outgoing: impl Buf) {
    outgoing.advance(outgoing.remaining());
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(core::hint::black_box(vec![1_u8; 100]))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn a_warm_client_receives_without_allocating() {
    let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
    for round in 1..=5 {
        let key = conn.begin(Role::Responder, PARAMS).expect("room");
        conn.request(key).expect("open").finish().expect("once");
        write_away(conn.outgoing());
        let mut wire = padded(RecordType::Stderr, round, b"PHP message: careful", 4);
        wire.extend(stream_of(RecordType::Stdout, round, &[b'x'; 64 * 1000], 1000));
        wire.extend(end(round, ProtocolStatus::RequestComplete, 0));
        let mut bytes = 0;
        let count = allocations(|| {
            for mut input in wire.chunks(4096) {
                while let Some(event) = conn.poll_event(&mut input).expect("an honest peer") {
                    if let client::Event::Stdout { data, .. } = event {
                        bytes += data.len();
                    }
                }
            }
        });
        assert_eq!((bytes, conn.open_requests()), (64 * 1000, 0));
        assert_eq!(count, 0, "round {round}");
    }
}

#[test]
fn a_warm_client_sends_without_allocating() {
    let limit = NonZeroU16::new(4).expect("not zero");
    let config = client::Config::default().keep_conn(true).max_requests(limit);
    let mut conn = client::Connection::new(config);
    let large = Bytes::from(vec![b'x'; 16 * 1024]);
    for round in 1..=5 {
        let count = allocations(|| {
            let key = conn.begin(Role::Responder, PARAMS).expect("room");
            let mut request = conn.request(key).expect("open");
            request.stdin_slice(b"copied").expect("room");
            request.stdin("short and static").expect("room");
            request.stdin(large.clone()).expect("room");
            request.finish().expect("once");
            write_away(conn.outgoing());
        });
        assert!(count == 0 || round == 1, "round {round}: {count} allocations");
        let wire = end(round, ProtocolStatus::RequestComplete, 0);
        assert!(conn.poll_event(&mut &wire[..]).expect("an honest peer").is_some());
    }
}

#[test]
fn a_warm_application_allocates_nothing() {
    let mut conn = server::Connection::new(server::Config::default());
    let large = Bytes::from(vec![b'x'; 16 * 1024]);
    let block = pairs(PARAMS);
    let wire = [
        begin(1, Role::Responder),
        padded(RecordType::Params, 1, &block, 3),
        empty(RecordType::Params, 1),
        record(RecordType::Stdin, 1, &[b'x'; 1000]).repeat(64),
        empty(RecordType::Stdin, 1),
    ];
    let wire = wire.concat();
    for round in 1..=5 {
        let count = allocations(|| {
            for mut input in wire.chunks(4096) {
                while let Some(event) = conn.poll_event(&mut input).expect("an honest peer") {
                    match event {
                        server::Event::Request { params, .. } => {
                            assert_eq!(params.get("SERVER_PORT"), Some(&b"443"[..]));
                            assert_eq!(params.len(), 25);
                            conn.recycle(params);
                        }
                        server::Event::StdinEnd { key } => {
                            let mut response = conn.response(key).expect("open");
                            response.stderr("careful").expect("room");
                            response.stdout("Content-Type: text/html\r\n\r\n").expect("room");
                            for _ in 0..64 {
                                response.stdout_slice(&[b'x'; 1000]).expect("room");
                            }
                            response.stdout("short and static").expect("room");
                            response.stdout(large.clone()).expect("room");
                            response.end(0);
                        }
                        _ => {}
                    }
                }
            }
            write_away(conn.outgoing());
        });
        assert!(count == 0 || round == 1, "round {round}: {count} allocations");
        assert!(count < 30, "even the first takes few: {count}");
    }
}

#[test]
fn late_records_are_skipped_without_allocating() {
    let mut conn = server::Connection::new(server::Config::default());
    let head = [begin(1, Role::Responder), empty(RecordType::Params, 1)].concat();
    let Ok(Some(server::Event::Request { key, .. })) = conn.poll_event(&mut &head[..]) else {
        panic!("the parameters are complete");
    };
    conn.response(key).expect("open").end(0);
    let late = padded(RecordType::Stdin, 1, &[b'x'; 65_535], 255).repeat(20);
    let count = allocations(|| {
        for mut input in late.chunks(4096) {
            assert_eq!(conn.poll_event(&mut input), Ok(None));
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn late_records_of_a_response_are_skipped_without_allocating() {
    let config = client::Config::default().keep_conn(true);
    let mut conn = client::Connection::new(config);
    let key = conn.begin(Role::Responder, PARAMS).expect("room");
    conn.request(key).expect("open").finish().expect("once");
    let wire = end(1, ProtocolStatus::RequestComplete, 0);
    assert!(conn.poll_event(&mut &wire[..]).expect("an honest peer").is_some());
    // The next request is open meanwhile.
    conn.begin(Role::Responder, PARAMS).expect("room");
    let kinds = [RecordType::Stdout, RecordType::Stderr];
    let late: Vec<u8> =
        kinds.iter().flat_map(|kind| padded(*kind, 1, &[b'x'; 65_535], 255)).collect();
    let count = allocations(|| {
        for _ in 0..10 {
            for mut input in late.chunks(4096) {
                assert_eq!(conn.poll_event(&mut input), Ok(None));
            }
        }
    });
    assert_eq!((count, conn.open_requests()), (0, 1));
}

/// Everything that a client does for a request, as an adapter does it.
#[test]
fn a_warm_client_allocates_nothing_for_a_whole_request() {
    let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
    let mut decoder = ResponseDecoder::new();
    let head = b"Status: 404 Not Found\r\nContent-Type: text/html\r\nX-Powered-By: PHP/8.2\r\n\r\n";
    for round in 1..=5 {
        let mut wire = record(RecordType::Stdout, round, head);
        wire.extend(stream_of(RecordType::Stdout, round, &[b'x'; 63 * 1000], 1000));
        wire.extend(end(round, ProtocolStatus::RequestComplete, 0));
        let (mut status, mut body) = (0, 0);
        let count = allocations(|| {
            let key = conn.begin(Role::Responder, PARAMS).expect("room");
            conn.request(key).expect("open").finish().expect("once");
            write_away(conn.outgoing());
            for mut input in wire.chunks(4096) {
                while let Some(event) = conn.poll_event(&mut input).expect("an honest peer") {
                    let client::Event::Stdout { mut data, .. } = event else { continue };
                    while let Some(piece) = decoder.poll(&mut data).expect("a response") {
                        match piece {
                            Piece::Head => status = decoder.head().expect("a head").status(),
                            Piece::Body(data) => body += data.len(),
                        }
                    }
                }
            }
            decoder.finish().expect("a whole response");
            decoder.reset();
        });
        assert_eq!((status, body, conn.open_requests()), (404, 63_000, 0));
        assert!(count == 0 || round == 1, "round {round}: {count} allocations");
    }
}

/// A header that asks for 64 KiB of parameters costs nothing until they come.
#[test]
fn a_warm_shared_request_allocates_little() {
    let (mut session, caller) = client::Session::new(client::SessionSettings::default());
    let (parts, ()) = Request::get("/srv/www/index.php").into_parts().expect("a request");
    let (cx, now) = (Context::from_waker(Waker::noop()), Duration::ZERO);
    for round in 1..=5 {
        let mut wire = record(RecordType::Stdout, round, b"Content-Type: text/plain\n\nhello");
        wire.extend(end(round, ProtocolStatus::RequestComplete, 0));
        let wire = Bytes::from(wire);
        let count = allocations(|| {
            let begun = caller.begin(&parts, Timeouts::default(), now, now);
            let mut call = begun.expect("room");
            call.finish_body();
            session.write_with(now, |outgoing| outgoing.advance(outgoing.remaining()));
            session.handle_read(wire, now);
            loop {
                match call.poll_received(&cx, now) {
                    Poll::Ready(Ok(client::Received::End(_))) => break,
                    Poll::Ready(Ok(_)) => {}
                    other => panic!("{other:?} in round {round}"),
                }
            }
        });
        assert!(count <= 4 || round == 1, "round {round}: {count} allocations");
    }
}

#[test]
fn announced_lengths_allocate_nothing() {
    let mut conn = server::Connection::new(server::Config::default());
    let wire = begin(1, Role::Responder);
    assert_eq!(conn.poll_event(&mut &wire[..]), Ok(None));
    let count = allocations(|| {
        let announced = b"\x01\x04\x00\x01\xff\xff\xff\x00";
        assert_eq!(conn.poll_event(&mut &announced[..]), Ok(None));
    });
    assert_eq!(count, 0);
    // Nor do lengths of 2 GiB inside a pair.
    let lengths = [0xff; 8];
    let count = allocations(|| assert!(fcgi_proto::Params::parse(lengths).is_err()));
    assert_eq!(count, 1, "the block itself");
}

#[test]
fn decoding_parameters_allocates_nothing() {
    let params: fcgi_proto::Params = PARAMS.into_iter().collect();
    let count = allocations(|| {
        assert_eq!(params.iter().count(), 25);
        assert_eq!(params.get_str("HTTPS"), Some("on"));
        assert_eq!(params.get("NONE"), None);
    });
    assert_eq!(count, 0);
}
