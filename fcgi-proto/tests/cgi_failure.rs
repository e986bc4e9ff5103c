//! The error of a call: what a person reads and what a program asks.
#![cfg(feature = "std")]

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::cgi::{BodyError, FullResponse, HeadError, ResponseHead, ScriptError};
use fcgi_proto::{
    Address, AddressErrorKind, BeginError, Error, ErrorKind, FirstBytes, Phase, ProtocolError,
    ProtocolStatus, RequestError, Timeouts,
};

fn tcp() -> Address {
    Address::tcp("127.0.0.1", 9000)
}

fn unix() -> Address {
    Address::unix("/run/php.sock")
}

fn response(head: &[u8], body: &'static [u8]) -> FullResponse {
    let head = ResponseHead::parse(head).expect("a head");
    FullResponse::new(head, Bytes::from_static(body), Bytes::new(), 0)
}

#[test]
fn connecting() {
    use io::ErrorKind::*;
    for (address, kind, message) in [
        (
            tcp(),
            ConnectionRefused,
            "cannot connect to 127.0.0.1:9000: connection refused; is php-fpm running and listening there?",
        ),
        (
            unix(),
            ConnectionRefused,
            "cannot connect to unix:/run/php.sock: connection refused; the socket is there but nobody listens: is php-fpm running?",
        ),
        (
            unix(),
            NotFound,
            "cannot connect to unix:/run/php.sock: no such file or directory; is php-fpm running, and is this the path that its pool's `listen` names?",
        ),
        (
            unix(),
            PermissionDenied,
            "cannot connect to unix:/run/php.sock: permission denied; listen.owner, listen.group and listen.mode of the pool decide who may connect",
        ),
        (
            unix(),
            WouldBlock,
            "cannot connect to unix:/run/php.sock: operation would block; the listen queue is full: all workers are busy (pm.max_children, listen.backlog)",
        ),
        (tcp(), HostUnreachable, "cannot connect to 127.0.0.1:9000: host unreachable"),
    ] {
        let error = Error::connect(&address, kind.into());
        assert_eq!(error.to_string(), message);
        assert_eq!(
            (error.kind(), error.code(), error.phase()),
            (ErrorKind::Connect, "connect", Some(Phase::Connect))
        );
        assert_eq!(error.address(), Some(&address));
        assert!(!error.is_begun() && error.is_safe_to_retry() && !error.is_timeout());
        assert!(error.source().is_some_and(<dyn core::error::Error>::is::<io::Error>));
    }
}

#[test]
fn a_real_refusal_reads_well() {
    let error = io::Error::from_raw_os_error(111); // ECONNREFUSED on Linux
    if error.kind() == io::ErrorKind::ConnectionRefused {
        let message = Error::connect(&tcp(), error).to_string();
        assert_eq!(
            message,
            "cannot connect to 127.0.0.1:9000: connection refused; is php-fpm running and listening there?"
        );
    }
}

#[test]
fn timeouts() {
    let limit = Duration::from_millis(1500);
    for (phase, message) in [
        (
            Phase::Connect,
            "connect timeout: 127.0.0.1:9000 did not accept the connection within 1.5s; is the host reachable, and is the listen queue of the application full?",
        ),
        (
            Phase::Queue,
            "queue timeout: no connection to 127.0.0.1:9000 became free within 1.5s; all connections are busy: does the application have enough workers?",
        ),
        (
            Phase::FirstByte,
            "first byte timeout: 127.0.0.1:9000 did not begin to answer within 1.5s; the script is slow, or all workers are busy (pm.max_children of php-fpm)",
        ),
        (Phase::Idle, "idle timeout: nothing went to or came from 127.0.0.1:9000 within 1.5s"),
        (Phase::Total, "total timeout: 127.0.0.1:9000 did not finish within 1.5s"),
    ] {
        let error = Error::timeout(phase, limit).to(&tcp());
        assert_eq!(error.to_string(), message);
        assert_eq!(
            (error.code(), error.phase(), error.limit()),
            ("timeout", Some(phase), Some(limit))
        );
        assert!(error.is_timeout() && error.is_safe_to_retry());
        assert!(!error.begun(true).is_safe_to_retry());
    }
    let error = Error::timeout(Phase::Idle, limit).to(&tcp()).with_bytes(512, 7).begun(true);
    assert_eq!(
        error.to_string(),
        "idle timeout: nothing went to or came from 127.0.0.1:9000 within 1.5s (512 bytes sent, 7 received)"
    );
}

#[test]
fn a_lost_connection() {
    let reset = Error::io(io::ErrorKind::ConnectionReset.into())
        .to(&tcp())
        .at(Phase::Body)
        .with_bytes(10, 20)
        .begun(true);
    assert_eq!(
        reset.to_string(),
        "127.0.0.1:9000 closed the connection before the response was complete: connection reset (phase: body, 10 bytes sent, 20 received); the script died: the log of the application says why"
    );
    assert_eq!(
        (reset.kind(), reset.bytes_sent(), reset.bytes_received()),
        (ErrorKind::Reset, 10, 20)
    );
    assert!(!reset.is_safe_to_retry());

    let eof = Error::from(ProtocolError::UnexpectedEof { open_requests: 1, in_record: false });
    assert_eq!(eof.code(), "reset");
    let stale = Error::io(io::ErrorKind::BrokenPipe.into());
    assert_eq!((stale.code(), stale.is_safe_to_retry()), ("reset", true));
    assert_eq!(Error::io(io::ErrorKind::OutOfMemory.into()).code(), "io");
}

#[test]
fn codes() {
    let first = FirstBytes::new(b"HTTP/1.1 400");
    for (error, code, retry) in [
        (Error::from("x".parse::<Address>().unwrap_err()), "address", false),
        (Error::from(RequestError::ScriptName), "request", false),
        (
            Error::from(BeginError::PairTooLarge { name_len: 1, value_len: 70_000 }),
            "request",
            false,
        ),
        (Error::request_body("gone"), "request_body", false),
        (Error::from(ProtocolError::UnsupportedVersion(2)), "protocol", false),
        (Error::from(ProtocolError::NotFastCgi(first)), "not_fastcgi", false),
        (Error::new(ErrorKind::Overloaded).begun(true), "overloaded", true),
        (Error::new(ErrorKind::CantMultiplex).begun(true), "cant_multiplex", true),
        (Error::new(ErrorKind::UnknownRole), "unknown_role", false),
        (Error::new(ErrorKind::UnknownStatus(9)), "protocol", false),
        (Error::from(HeadError::Empty), "head", false),
        (Error::from(BodyError::TooShort { announced: 2, received: 1 }), "body", false),
        (Error::new(ErrorKind::TooLarge { limit: 1 }), "too_large", false),
        (Error::new(ErrorKind::Status(500)), "status", false),
        (Error::new(ErrorKind::ScriptNotFound(ScriptError::NotFound)), "script_not_found", false),
    ] {
        assert_eq!((error.code(), error.is_safe_to_retry()), (code, retry), "{error}");
        assert!(!error.to_string().ends_with('.'), "{error}");
    }
}

// spec: S60
#[test]
fn messages() {
    for (error, message) in [
        (
            Error::from("x".parse::<Address>().unwrap_err()),
            "address \"x\" has no port, expected host:port or unix:/path",
        ),
        (
            Error::from(ProtocolError::NotFastCgi(FirstBytes::new(b"HTTP/1.1 400"))).to(&tcp()),
            "127.0.0.1:9000 speaks HTTP, not FastCGI: it sent \"HTTP/1.1 400\"; is this the address of the FastCGI application?",
        ),
        (
            Error::from(HeadError::Empty).to(&tcp()).with_bytes(300, 24),
            "127.0.0.1:9000 sent no valid response head: no output at all (phase: head, 300 bytes sent, 24 received)",
        ),
        (
            Error::from(BodyError::TooShort { announced: 2, received: 1 }),
            "the application sent a response of the wrong length: body has 1 bytes, Content-Length says 2 (phase: body)",
        ),
        (
            Error::request_body(io::Error::other("disk on fire")),
            "reading the request body failed: disk on fire",
        ),
        (
            Error::new(ErrorKind::UnknownRole).to(&unix()),
            "unix:/run/php.sock does not serve the role asked for",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn sources_are_values() {
    let error = Error::from(HeadError::Empty);
    assert_eq!(error.source().and_then(|source| source.downcast_ref()), Some(&HeadError::Empty));
    let error = Error::from("x".parse::<Address>().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Address(AddressErrorKind::NoPort));
    assert!(error.source().is_some());
    assert!(Error::new(ErrorKind::Overloaded).source().is_none());
}

#[test]
fn protocol_statuses() {
    for (status, kind) in [
        (ProtocolStatus::RequestComplete, None),
        (ProtocolStatus::CantMultiplex, Some(ErrorKind::CantMultiplex)),
        (ProtocolStatus::Overloaded, Some(ErrorKind::Overloaded)),
        (ProtocolStatus::UnknownRole, Some(ErrorKind::UnknownRole)),
        (ProtocolStatus::Other(7), Some(ErrorKind::UnknownStatus(7))),
    ] {
        assert_eq!(ErrorKind::from_protocol_status(status), kind);
    }
}

#[test]
fn responses_that_are_errors() {
    let ok = response(b"Status: 301\n\n", b"x").error_for_status();
    assert_eq!(ok.expect("no error").status(), 301);

    let missing = response(b"Status: 404 Not Found\n\n", b"File not found.\n").error_for_status();
    let missing = missing.unwrap_err().to(&tcp()).with_script("/tmp/x.php").with_bytes(1, 2);
    assert_eq!(missing.kind(), ErrorKind::ScriptNotFound(ScriptError::NotFound));
    assert_eq!(missing.script(), Some("/tmp/x.php"));
    assert_eq!(
        missing.to_string(),
        "/tmp/x.php: 127.0.0.1:9000 answered 404 \"File not found.\"; the path must exist as php-fpm sees it: check its chroot or container, and that its user may read the file and enter each folder"
    );

    let failed = response(b"Status: 500\n\n", b"oops").error_for_status().unwrap_err().to(&tcp());
    assert_eq!(
        (failed.kind(), failed.to_string().as_str()),
        (ErrorKind::Status(500), "127.0.0.1:9000 answered with status 500")
    );
    assert_eq!(failed.response().map(FullResponse::status), Some(500));
    assert_eq!(failed.into_response().expect("it is inside").into_body(), "oops");
}

#[test]
fn it_is_small_and_goes_anywhere() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Error>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn a_wait_that_is_over_and_a_body_that_could_not_be_kept() {
    let wait = Timeouts::default().wait(Phase::Queue, Duration::ZERO).expect("a limit");
    let error = Error::expired(wait);
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
    assert_eq!(error.limit(), Some(Duration::from_secs(5)));
    let error = Error::spool(io::ErrorKind::StorageFull.into());
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Spool, Some(Phase::Spool)));
    assert!(!error.is_begun());
}
