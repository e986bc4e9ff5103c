//! What errors say to a person: one line in lower case without a full stop, with the numbers and names in it.
#![cfg(feature = "std")]

use core::time::Duration;
use std::error::Error as _;
use std::io;

use fcgi_proto::cgi::proxies::{ForwardingError, Network, NetworkError};
use fcgi_proto::cgi::script::{PathError, clean_path};
use fcgi_proto::cgi::{
    BodyError, EnvironmentError, HeadError, PhpSettingError, ResponseError, ScriptError,
};
use fcgi_proto::client::ExchangeError;
use fcgi_proto::server::{AcceptFailure, InputError, OutputError};
use fcgi_proto::{
    Address, BeginError, Error, ErrorKind, FirstBytes, Phase, ProtocolError, ProtocolStatus,
    RecordType, RequestError, Role, SendError, Timeouts,
};

/// Checks the form of a message and that these parts of it are there.
fn says(message: impl ToString, parts: &[&str]) {
    let message = message.to_string();
    let mut chars = message.chars();
    let (first, second) = (chars.next(), chars.next());
    let is_name = second.is_some_and(|second| second.is_uppercase() || second == '-');
    assert!(
        !first.is_some_and(char::is_uppercase)
            || is_name
            || message.starts_with("Content-")
            || message.starts_with("Forwarded"),
        "{message}"
    );
    assert!(message.len() > 8 && !message.ends_with('.') && !message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} without {part:?}");
    }
}

fn first(text: &str) -> FirstBytes {
    FirstBytes::new(text.as_bytes())
}

#[test]
fn addresses() {
    let wrong = [
        ("", "empty"),
        ("a\nb:1", "line break"),
        ("http://x:1", "scheme"),
        ("unix://host/path", "before the path"),
        ("unix:", "no socket path"),
        ("localhost", "no port"),
        ("localhost:70000", "0 to 65535"),
        (":9000", "no valid host"),
        ("::1:9000", "brackets"),
    ];
    for (text, part) in wrong {
        let error = Address::try_from(text).expect_err(text);
        assert_eq!(error.given(), text);
        says(&error, &["address", part]);
        assert_eq!(Address::try_from(&text.to_owned()), Err(error.clone()));
        assert_eq!(Address::try_from(text.to_owned()), Err(error.clone()));
        says(Error::from(error), &[part]);
    }
}

#[test]
fn paths_targets_and_settings() {
    let wrong = [
        ("x", PathError::NotAbsolute, "slash", false),
        ("/%4", PathError::BadEscape, "percent", false),
        ("/%00", PathError::ControlCharacter, "NUL", false),
        ("/../x", PathError::AboveRoot, "root", false),
        ("/a%2fb", PathError::EncodedSlash, "encoded slash", true),
        ("/a\\b", PathError::Backslash, "backslash", true),
        ("/%ff", PathError::NotUtf8, "UTF-8", true),
    ];
    for (path, expected, part, is_good_url) in wrong {
        let error = clean_path(path).expect_err(path);
        assert_eq!((error, error.names_no_file()), (expected, is_good_url));
        says(error, &[part]);
    }
    says(EnvironmentError::Method, &["method"]);
    says(EnvironmentError::Target, &["target"]);
    says(EnvironmentError::Host, &["host"]);
    says(EnvironmentError::ContentLength, &["Content-Length"]);
    says(PhpSettingError::Name, &["name"]);
    says(PhpSettingError::Value, &["NUL"]);
}

#[test]
fn proxies_and_networks() {
    says(ForwardingError::Syntax, &["Forwarded"]);
    says(ForwardingError::Address, &["IP address"]);
    says(ForwardingError::Scheme, &["http"]);
    says(ForwardingError::Host, &["host"]);
    says(ForwardingError::Port, &["65535"]);
    says(ForwardingError::Repeated, &["X-Real-IP"]);
    let wrong = [
        ("ten", NetworkError::Address, "10.0.0.0/8"),
        ("10.0.0.0/33", NetworkError::Prefix, "32"),
        ("10.0.0.1/8", NetworkError::HostBits, "prefix"),
    ];
    for (text, expected, part) in wrong {
        let error = text.parse::<Network>().expect_err(text);
        assert_eq!(error, expected);
        says(error, &[part]);
    }
}

#[test]
fn the_protocol() {
    let record_type = RecordType::Stdin;
    says(ProtocolError::NotFastCgi(first("HTTP/1.1 400")), &["HTTP, not FastCGI", "400"]);
    says(ProtocolError::NotFastCgi(first("\u{7f}")), &["does not speak", r"\x7f"]);
    says(ProtocolError::UnsupportedVersion(7), &["7"]);
    says(ProtocolError::BodyLength { record_type, found: 9 }, &["STDIN", "9", "8"]);
    says(ProtocolError::WrongDirection { record_type }, &["STDIN"]);
    says(ProtocolError::NullRequestId { record_type }, &["STDIN", "0"]);
    says(ProtocolError::UnknownRequestId { record_type, request_id: 77 }, &["STDIN", "77"]);
    says(ProtocolError::RequestIdInUse { request_id: 77 }, &["77"]);
    says(ProtocolError::OutOfOrder { record_type, request_id: 77 }, &["STDIN", "77"]);
    says(ProtocolError::TooManyFreeRecords { limit: 1000 }, &["1000"]);
    says(ProtocolError::ValuesTooLarge { limit: 4096 }, &["4096"]);
    says(ProtocolError::MalformedValues, &["pairs"]);
    let cut = |in_record| ProtocolError::UnexpectedEof { open_requests: 2, in_record };
    says(cut(true), &["2", "inside a record"]);
    assert!(!cut(false).to_string().contains("inside"));
    says(BeginError::TooManyRequests { limit: 5 }, &["5"]);
    says(BeginError::Closing, &["no further"]);
    says(BeginError::Blocked, &["cap"]);
    says(BeginError::PairTooLarge { name_len: 4, value_len: 70_000 }, &["4", "70000", "65535"]);
    says(BeginError::LengthTooLarge { found: 1 << 31 }, &["2147483648"]);
    says(SendError::Blocked, &["cap"]);
    says(SendError::Finished, &["ended"]);
    for (role, name) in [
        (Role::Responder, "responder"),
        (Role::Authorizer, "authorizer"),
        (Role::Filter, "filter"),
        (Role::Other(9), "9"),
    ] {
        assert!(role.to_string().contains(name));
    }
    for (octet, name) in
        [(0, "REQUEST_COMPLETE"), (1, "CANT_MPX_CONN"), (2, "OVERLOADED"), (3, "UNKNOWN_ROLE")]
    {
        assert_eq!(ProtocolStatus::from_u8(octet).to_string(), name);
    }
    assert!(ProtocolStatus::from_u8(200).to_string().contains("200"));
}

#[test]
fn responses() {
    let page = first("<html>");
    let heads = [
        (HeadError::Empty, ""),
        (HeadError::Unfinished { first: page, received: 31 }, "31"),
        (HeadError::NoHeader { first: page }, "<html>"),
        (HeadError::TooLarge { first: page, limit: 17 }, "17"),
        (HeadError::TooManyFields { limit: 18 }, "18"),
    ];
    for (error, part) in heads {
        says(error, &[part]);
        says(ResponseError::Head(error), &[&error.to_string()]);
        let error = ExchangeError::Response(error.into());
        says(error, &[part]);
        assert!(error.source().is_some());
    }
    for error in [
        BodyError::TooShort { announced: 200, received: 100 },
        BodyError::TooLong { announced: 200, received: 100 },
    ] {
        says(error, &["200", "100"]);
        says(ResponseError::Body(error), &[&error.to_string()]);
    }
    let refused = ExchangeError::Refused(ProtocolStatus::Overloaded);
    says(refused, &["OVERLOADED"]);
    assert!(refused.source().is_none());
    let broken = ExchangeError::from(ProtocolError::MalformedValues);
    says(broken, &["pairs"]);
    assert!(broken.source().is_some());
    let name = first("X Y");
    says(RequestError::HeaderName { name }, &["X Y"]);
    says(RequestError::HeaderValue { name }, &["X Y", "NUL"]);
    says(RequestError::ScriptName, &["NUL"]);
    says(RequestError::ContentLength { announced: 7, found: 8 }, &["7", "8"]);
    says(RequestError::BodyTooLarge { limit: 9 }, &["9"]);
    says(RequestError::PartName { name }, &["X Y"]);
    says(RequestError::Boundary, &["70"]);
    says(RequestError::Begin(BeginError::Blocked), &["cap"]);
}

#[test]
fn handlers() {
    let inputs = [
        (InputError::Aborted { received: 7 }, "7", io::ErrorKind::ConnectionAborted),
        (InputError::TooLarge { limit: 9 }, "9", io::ErrorKind::FileTooLarge),
        (InputError::Short { received: 1, expected: 12 }, "12", io::ErrorKind::UnexpectedEof),
    ];
    for (error, part, kind) in inputs {
        says(error, &[part]);
        let error = io::Error::from(error);
        assert_eq!(error.kind(), kind);
        says(error, &[part]);
    }
    let outputs = [
        (OutputError::Aborted, "aborted", io::ErrorKind::ConnectionAborted),
        (OutputError::Disconnected, "gone", io::ErrorKind::BrokenPipe),
        (OutputError::Ended, "over", io::ErrorKind::BrokenPipe),
    ];
    for (error, part, kind) in outputs {
        says(error, &[part]);
        assert_eq!(io::Error::from(error).kind(), kind);
    }
    let accept = |kind| AcceptFailure::of(&io::Error::from(kind));
    assert_eq!(accept(io::ErrorKind::InvalidInput), AcceptFailure::Fatal);
    assert_eq!(accept(io::ErrorKind::ConnectionAborted), AcceptFailure::Skip);
    assert!(
        matches!(accept(io::ErrorKind::OutOfMemory), AcceptFailure::Pause(pause) if !pause.is_zero())
    );
}

fn call_kinds() -> Vec<(ErrorKind, &'static str)> {
    let request = RequestError::ScriptName;
    vec![
        (ErrorKind::Request(request), "request"),
        (ErrorKind::RequestBody, "request_body"),
        (ErrorKind::Spool, "spool"),
        (ErrorKind::PoolFull { limit: 12 }, "pool_full"),
        (ErrorKind::Connect, "connect"),
        (ErrorKind::Timeout, "timeout"),
        (ErrorKind::Reset, "reset"),
        (ErrorKind::Protocol(ProtocolError::MalformedValues), "protocol"),
        (ErrorKind::UnknownStatus(99), "protocol"),
        (ErrorKind::NotFastCgi(first("SSH-2.0")), "not_fastcgi"),
        (ErrorKind::NotFastCgi(first("?")), "not_fastcgi"),
        (ErrorKind::Overloaded, "overloaded"),
        (ErrorKind::CantMultiplex, "cant_multiplex"),
        (ErrorKind::UnknownRole, "unknown_role"),
        (ErrorKind::ScriptNotFound(ScriptError::NotFound), "script_not_found"),
        (ErrorKind::Status(503), "status"),
        (ErrorKind::Head(HeadError::Empty), "head"),
        (ErrorKind::Body(BodyError::TooShort { announced: 2, received: 1 }), "body"),
        (ErrorKind::TooLarge { limit: 77 }, "too_large"),
        (ErrorKind::Io, "io"),
    ]
}

#[test]
fn calls() {
    let address: Address = "127.0.0.1:9000".parse().expect("an address");
    for (kind, code) in call_kinds() {
        let error = Error::new(kind).to(&address).with_script("/srv/x.php").with_stderr("oops");
        let whom: &[&str] = match kind {
            ErrorKind::RequestBody | ErrorKind::Spool => &[],
            _ => &["127.0.0.1:9000"],
        };
        says(&error, whom);
        assert_eq!((error.code(), error.stderr()), (code, &b"oops"[..]));
        let error = error.at(Phase::Head).with_bytes(420, 17);
        let has_progress = !matches!(kind, ErrorKind::ScriptNotFound(_) | ErrorKind::Status(_));
        assert_eq!(error.to_string().contains("420 bytes sent, 17 received"), has_progress);
        let expected = match code {
            "timeout" => io::ErrorKind::TimedOut,
            "reset" => io::ErrorKind::ConnectionReset,
            "head" | "body" => io::ErrorKind::InvalidData,
            "protocol" if kind != ErrorKind::UnknownStatus(99) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        let text = error.to_string();
        let error = io::Error::from(error);
        assert_eq!((error.kind(), error.to_string()), (expected, text));
    }
}

#[test]
fn timeouts() {
    let all = [
        (Phase::Connect, "did not accept"),
        (Phase::Queue, "became free"),
        (Phase::Send, "no progress"),
        (Phase::FirstByte, "begin to answer"),
        (Phase::Head, "no progress"),
        (Phase::Body, "no progress"),
        (Phase::Idle, "nothing went to"),
        (Phase::Total, "did not finish"),
    ];
    for (phase, part) in all {
        let error = Error::timeout(phase, Duration::from_secs(7));
        says(&error, &[part, "within 7s", &phase.to_string()]);
        assert!(error.is_timeout() && error.limit() == Some(Duration::from_secs(7)));
    }
    let limits = Timeouts::NONE.with_total(Duration::from_secs(9)).with_idle(Duration::ZERO);
    assert_eq!(limits.limit(Phase::Total), Some(Duration::from_secs(9)));
    for phase in [Phase::Connect, Phase::Queue, Phase::FirstByte, Phase::Idle, Phase::Body] {
        assert_eq!(limits.limit(phase), None, "{phase}");
    }
    let defaults = Timeouts::default();
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    assert_eq!(seconds(defaults.connect()), Some(3));
    assert_eq!(seconds(defaults.queue()), Some(5));
    assert_eq!(seconds(defaults.first_byte()), Some(60));
    assert_eq!(seconds(defaults.idle()), Some(60));
    assert_eq!(seconds(defaults.total()), None);
}

#[test]
fn causes_stand_on_the_same_line() {
    let inner = io::Error::other("the disk is on fire");
    let error = Error::request_body(io::Error::other(Error::io(inner)));
    says(&error, &["the request body failed", "the disk is on fire"]);
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let address: Address = "unix:/run/php.sock".parse().expect("an address");
    says(Error::connect(&address, refused), &["/run/php.sock", "is php-fpm running?"]);
    for kind in
        [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied, io::ErrorKind::WouldBlock]
    {
        let error = Error::connect(&address, io::Error::from(kind));
        assert!(error.hint().is_some(), "{error}");
    }
    let elsewhere: Address = "php.example:9000".parse().expect("an address");
    let error = Error::connect(&elsewhere, io::Error::from(io::ErrorKind::HostUnreachable));
    assert_eq!(error.hint(), None);
}
