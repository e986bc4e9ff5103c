//! A client against applications that follow a script.

use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::scripted::{Id, Script};
use fcgi_proto::{Error, ErrorKind, Phase, ProtocolStatus, RecordType, Request, Timeouts};

use super::{Adapter, Client, Response, drain};
use crate::Scripted;

/// Reads the request and says hey.
pub(crate) fn hello() -> Script {
    Script::new().await_request().stdout("A: b\r\n\r\nhey").end()
}

/// One that does this on its first connection, and what is right on all others.
pub(crate) fn at_first(script: Script) -> Scripted {
    Scripted::unix(move |nth| if nth == 0 { script.clone() } else { hello() })
}

/// Calls once, and then again: whatever the first call met, the next is fine.
pub(crate) fn meets<A: Adapter>(script: Script) -> Result<Bytes, Error> {
    meets_at::<A>(&at_first(script))
}

fn meets_at<A: Adapter>(application: &Scripted) -> Result<Bytes, Error> {
    let client = Client::new(application.address());
    let call = || Ok(A::call(&client, Request::get("/x.php"))?.into_body());
    let first = call();
    assert_eq!(call().expect("the next call is fine"), "hey");
    assert_eq!(application.connections(), 2);
    first
}

pub fn closing_at_every_byte_is_an_error_and_nothing_else<A: Adapter>() {
    // Complete is a response only with all of END_REQUEST.
    let whole = Script::new().await_request().stderr("oops").stdout("A: b\r\n\r\nhey").end();
    for len in 0..whole.bytes_written() {
        let error = meets::<A>(whole.clone().cut(len)).expect_err("cut off");
        assert_eq!(error.kind(), ErrorKind::Reset, "cut at {len}: {error}");
        assert_eq!((error.bytes_received(), error.is_begun()), (len, true), "{error}");
        assert!(!error.is_safe_to_retry());
    }
    let len = whole.bytes_written();
    assert_eq!(meets::<A>(whole.cut(len)).expect("that is all of it"), "hey");
}

pub fn last_words_on_stderr_come_with_the_error<A: Adapter>() {
    let error = meets::<A>(Script::new().await_request().stderr("oops")).unwrap_err();
    assert_eq!((error.kind(), error.stderr()), (ErrorKind::Reset, &b"oops"[..]));
}

pub fn refusals_are_typed<A: Adapter>() {
    for (status, kind) in [
        (ProtocolStatus::CantMultiplex, ErrorKind::CantMultiplex),
        (ProtocolStatus::Overloaded, ErrorKind::Overloaded),
        (ProtocolStatus::UnknownRole, ErrorKind::UnknownRole),
        (ProtocolStatus::Other(9), ErrorKind::UnknownStatus(9)),
    ] {
        let refusal = Script::new().await_begin().end_with(status, 0).await_close();
        assert_eq!(meets::<A>(refusal).unwrap_err().kind(), kind);
    }
}

pub fn a_body_shorter_than_announced_is_an_error<A: Adapter>() {
    let script = Script::new().await_request().stdout("Content-Length: 9\r\n\r\nhey").end();
    let error = meets::<A>(script).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Body(_)), "{error}");
}

pub fn an_answer_to_another_request_reaches_nobody<A: Adapter>() {
    for id in [Id::Next, Id::Exactly(0), Id::Exactly(u16::MAX)] {
        let wrong = Script::new().await_request().id(id).stdout("A: b\n\nnot yours").end();
        let error = meets::<A>(wrong.clone()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{id:?}: {error}");
        // Nor does it when the right one follows.
        let error = meets::<A>(wrong.id(Id::Last).stdout("A: b\n\nhey").end()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{id:?}: {error}");
    }
}

pub fn a_second_end_is_no_second_answer<A: Adapter>() {
    let twice = hello().stdout("A: b\n\nmore").end().end();
    assert_eq!(meets::<A>(twice).expect("the first one"), "hey");
}

pub fn an_answer_before_the_request_is_an_answer<A: Adapter>() {
    // Before anything but the beginning is read.
    let early = Script::new().await_begin().stdout("A: b\n\nearly").end().await_close();
    assert_eq!(meets::<A>(early).expect("an answer"), "early");
}

pub fn a_reset_is_told_as_one<A: Adapter>() {
    for answer in
        [Script::new().await_bytes(1), Script::new().await_request().stdout("A: b\n\nhalf").flush()]
    {
        let script = answer.reset();
        let application = Scripted::tcp(move |nth| if nth == 0 { script.clone() } else { hello() });
        let error = meets_at::<A>(&application).expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
        assert!(error.to_string().contains(application.address()), "{error}");
    }
}

pub fn a_flood_of_error_output_is_kept_in_bounds<A: Adapter>() {
    // 16 MiB, then an answer.
    let flood = Script::new().await_request().repeat(256, |part| part.stderr(vec![b'e'; 65_528]));
    let application = at_first(flood.stdout("A: b\n\nhey").end());
    let client = Client::new(application.address());
    let mut response = A::execute(&client, Request::get("/x.php")).unwrap();
    let (count, result) = drain(&mut response);
    result.unwrap();
    assert_eq!((count, response.stderr().len()), (3, 256 * 1024));
    assert_eq!(response.stderr_dropped(), 256 * 65_528 - 256 * 1024);
    // One that never ends is ended by the limit on the whole.
    let endless = Script::new().repeat(u64::MAX, |part| part.stderr(vec![b'e'; 1000]));
    let application = at_first(endless);
    let client = Client::new(application.address());
    let hurried = client.clone().timeouts(Timeouts::NONE.with_total(Duration::from_millis(100)));
    let error = A::call(&hurried, Request::get("/x.php")).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Total)), "{error}");
    assert_eq!(A::call(&client, Request::get("/x.php")).unwrap().body(), "hey");
}

pub fn a_flood_of_nothing_is_ended<A: Adapter>() {
    let empty = |part: Script| part.record(RecordType::Stderr, "").id(Id::Exactly(0));
    for flood in [
        Script::new().repeat(u64::MAX, empty),
        Script::new().repeat(u64::MAX, |part| part.record(RecordType::Other(99), "x")),
    ] {
        let error = meets::<A>(flood).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{error}");
    }
}

/// Bytes of which nobody knows more than the seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

pub fn garbage_never_hangs_and_never_passes<A: Adapter>() {
    for seed in 0..60 {
        let mut bytes = noise(seed, 300);
        if seed % 2 == 0 {
            // So that it gets past the first octet.
            bytes.splice(..2, [1, 6]);
        }
        let answered = meets::<A>(Script::new().await_request().bytes(bytes));
        let error = answered.expect_err("that was no answer");
        let kind = error.kind();
        let is_typed =
            matches!(kind, ErrorKind::NotFastCgi(_) | ErrorKind::Protocol(_) | ErrorKind::Reset);
        assert!(is_typed, "seed {seed}: {error}");
    }
    // Garbage within an answer.
    let broken =
        Script::new().await_request().stdout("A: b\n\nhalf").bytes(vec![0xff; 8]).await_close();
    let error = meets::<A>(broken).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{error}");
}

pub fn a_peer_that_stops_reading_is_given_up<A: Adapter>() {
    let short = Duration::from_millis(50);
    for (limits, phase) in [
        (Timeouts::NONE.with_idle(short), Phase::Idle),
        (Timeouts::NONE.with_total(short), Phase::Total),
    ] {
        let application = at_first(Script::new().await_begin().stall());
        let client = Client::new(application.address());
        let request = Request::post("/x.php").body(vec![b'u'; 8 << 20]);
        let error = A::call(&client.clone().timeouts(limits), request).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{error}");
        assert!(error.is_begun() && error.bytes_sent() < 8 << 20, "{error}");
        assert_eq!(A::call(&client, Request::get("/x.php")).unwrap().body(), "hey");
    }
}

pub fn padding_of_any_length_is_skipped<A: Adapter>() {
    for len in [1, 7, 8, 255] {
        let padded = Script::new().await_request().padding(len).stdout("A: b\n\nhey").end();
        assert_eq!(meets::<A>(padded).unwrap(), "hey");
    }
}
