//! Several requests over one connection, without a socket: each gets its own answer, its own limits, and its own end.

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod random;

use core::num::NonZeroU16;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fcgi_proto::client::{Config, Session, SessionSettings};
use fcgi_proto::{BeginError, ErrorKind, Phase, ProtocolStatus, RecordType, Timeouts};
use harness::*;
use support::{end, record};

const HEAD: &[u8] = b"A: b\n\n";

fn stdout(id: u16, data: &[u8]) -> Vec<u8> {
    record(RecordType::Stdout, id, data)
}

fn complete(id: u16) -> Vec<u8> {
    end(id, ProtocolStatus::RequestComplete, 0)
}

fn settings(requests: u16) -> SessionSettings {
    let mut settings = SessionSettings::default();
    settings.requests = NonZeroU16::new(requests).expect("not 0");
    settings.config = Config::default().request_window(1000);
    settings
}

#[test]
fn each_request_gets_its_own_answer() {
    let (mut session, caller) = session();
    let mut calls = [begin(&caller), begin(&caller), begin(&caller)];
    let begun = kinds(&written(&mut session));
    for id in 1..=3 {
        let of_id: Vec<_> =
            begun.iter().filter(|(_, found)| *found == id).map(|(kind, _)| *kind).collect();
        let all =
            [RecordType::BeginRequest, RecordType::Params, RecordType::Params, RecordType::Stdin];
        assert_eq!(of_id, all);
    }
    let wire = [
        stdout(2, HEAD),
        stdout(1, b"A: b\n\none"),
        stdout(3, b"A: b\n\nthr"),
        stdout(2, b"two"),
        complete(2),
        stdout(3, b"ee"),
        complete(1),
        complete(3),
    ];
    read(&mut session, wire.concat());
    let bodies = calls.each_mut().map(|call| {
        let response = take(call);
        assert!(matches!(response.end, Some(Ok(()))));
        response.body
    });
    assert_eq!(bodies, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn a_large_upload_does_not_starve_the_others() {
    let (mut session, caller) = session();
    let mut large = begin_with(&caller, &post(1 << 20), Timeouts::NONE);
    large.send_body(Bytes::from(vec![b'l'; 1 << 20]));
    large.finish_body();
    let mut small = begin_with(&caller, &post(40_000), Timeouts::NONE);
    small.send_body(Bytes::from(vec![b's'; 40_000]));
    small.finish_body();
    let wire = written(&mut session);
    let records = kinds(&wire);
    let last_of = |id| records.iter().rposition(|(_, found)| *found == id);
    let place = last_of(2).expect("sent");
    let of_large =
        records[..place].iter().filter(|(kind, id)| (*kind, *id) == (RecordType::Stdin, 1));
    // What the output held already when the small one came is not cut: the large one was alone until then.
    assert!(place < records.len() - 1, "the small one came to its end first");
    assert!(of_large.count() <= 17 + 4, "{records:?}");
}

#[test]
fn a_body_waits_for_room() {
    let (mut session, caller) = session();
    let mut call = begin_with(&caller, &post(10 << 20), Timeouts::NONE);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let cx = Context::from_waker(&waker);
    let mut handed_in = 0;
    while call.poll_body(&cx) == Poll::Ready(true) {
        call.send_body(Bytes::from(vec![0; 10_000]));
        handed_in += 10_000;
    }
    assert!((128 * 1024..160 * 1024).contains(&handed_in), "{handed_in} bytes held");
    assert_eq!(counter.0.load(Ordering::Relaxed), 0);
    written(&mut session);
    assert!(counter.0.load(Ordering::Relaxed) > 0, "nobody was woken");
    assert_eq!(call.poll_body(&cx), Poll::Ready(true));
    drop(call);
    assert!(!kinds(&written(&mut session)).is_empty(), "the abort");
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl std::task::Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_slow_consumer_pauses_past_its_window_and_others_do_not() {
    let (mut session, caller) = Session::new(settings(4));
    let [mut slow, mut other] = [begin(&caller), begin(&caller)];
    written(&mut session);
    read(&mut session, [stdout(1, HEAD), stdout(1, &[b'x'; 1000]), stdout(2, HEAD)].concat());
    assert!(session.wants_read());
    read(&mut session, [stdout(2, b"y"), stdout(1, b"x")].concat());
    assert!(!session.wants_read());
    assert_eq!(take(&mut other).body, b"y");
    assert!(!session.wants_read(), "it is the other that is slow");
    // Head, the thousand bytes, and then there is room.
    assert!(poll(&mut slow).is_ready() && !session.wants_read());
    assert!(poll(&mut slow).is_ready() && session.wants_read());
}

#[test]
fn an_aborted_or_ended_consumer_pauses_nothing() {
    let (mut session, caller) = Session::new(settings(4));
    let [dropped, ended] = [begin(&caller), begin(&caller)];
    written(&mut session);
    let filled = |id| [stdout(id, HEAD), stdout(id, &[b'x'; 2000])].concat();
    read(&mut session, filled(1));
    assert!(!session.wants_read());
    drop(dropped);
    assert!(session.wants_read());
    read(&mut session, filled(2));
    assert!(!session.wants_read());
    read(&mut session, complete(2)); // was in the same read
    assert!(session.wants_read());
    assert_eq!(take(&mut { ended }).body.len(), 2000);
}

#[test]
fn dropping_aborts_and_the_id_stays_taken() {
    let (mut session, caller) = session();
    let call = begin(&caller);
    written(&mut session);
    drop(call);
    assert_eq!(kinds(&written(&mut session)), [(RecordType::AbortRequest, 1)]);
    let mut next = begin(&caller);
    assert_eq!(kinds(&written(&mut session))[0], (RecordType::BeginRequest, 2));
    let late = [stdout(1, b"A: b\n\nlate"), complete(1), stdout(2, b"A: b\n\nmine"), complete(2)];
    read(&mut session, late.concat());
    assert_eq!(take(&mut next).body, b"mine");
    assert!(caller.is_usable());
}

#[test]
fn an_application_that_ends_no_abort_is_left() {
    let (mut session, caller) = Session::new(settings(2));
    drop(begin(&caller));
    assert!(caller.is_usable());
    drop(begin(&caller));
    assert!(!caller.is_usable());
    written(&mut session);
    assert!(session.is_over());
    let refused = caller.begin(&parts(), Timeouts::NONE, NOW, NOW);
    assert!(matches!(refused, Err(BeginError::Closing)));
}

#[test]
fn no_more_requests_than_agreed() {
    let (_session, caller) = Session::new(settings(2));
    let _open = [begin(&caller), begin(&caller)];
    let refused = caller.begin(&parts(), Timeouts::NONE, NOW, NOW);
    assert!(matches!(refused, Err(BeginError::TooManyRequests { limit: 2 })));
}

#[test]
fn a_broken_connection_tells_each_how_far_it_had_come() {
    let (mut session, caller) = session();
    let mut answered = begin(&caller);
    let mut sent = begin(&caller);
    let mut ended = begin(&caller);
    written(&mut session);
    let mut partly = begin(&caller);
    write(&mut session, 1);
    let mut unsent = begin(&caller);
    read(&mut session, [stdout(1, b"A: b\n\nhalf"), stdout(3, HEAD), complete(3)].concat());
    session.handle_read_error(io::ErrorKind::ConnectionReset.into());
    assert!(session.is_over() && !caller.is_usable());

    assert!(matches!(take(&mut ended).end, Some(Ok(()))), "its answer was complete");
    let response = take(&mut answered);
    assert_eq!(response.body, b"half", "what came is given before the error");
    let error_of_answered = response.end.expect("over").expect_err("cut");
    let errors = [error_of_answered, error(&mut sent), error(&mut partly), error(&mut unsent)];
    for (error, is_begun, phase) in
        errors.iter().zip([true, true, true, false]).map(|(e, b)| (e, b, e.phase()))
    {
        assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
        assert_eq!((error.is_begun(), error.is_safe_to_retry()), (is_begun, !is_begun), "{error}");
        assert!(phase.is_some());
    }
    assert_eq!(errors.each_ref().map(|error| error.bytes_sent() > 1), [true, true, false, false]);
    assert_eq!(errors[2].bytes_sent(), 1);
    assert_eq!(errors[0].phase(), Some(Phase::Body));
    assert_eq!(errors[1].phase(), Some(Phase::FirstByte));
}

#[test]
fn an_early_end_and_a_broken_protocol_reach_everybody() {
    for (wire, kind) in [
        (Vec::new(), ErrorKind::Reset),
        (
            stdout(9, b"never begun"),
            ErrorKind::Protocol(fcgi_proto::ProtocolError::UnknownRequestId {
                record_type: RecordType::Stdout,
                request_id: 9,
            }),
        ),
    ] {
        let (mut session, caller) = session();
        let mut calls = [begin(&caller), begin(&caller)];
        written(&mut session);
        read(&mut session, wire);
        assert!(session.is_over());
        for call in &mut calls {
            assert_eq!(error(call).kind(), kind);
        }
    }
}

#[test]
fn a_failed_write_does_not_hide_answers() {
    let (mut session, caller) = session();
    let [mut first, mut second] = [begin(&caller), begin(&caller)];
    written(&mut session);
    session.handle_write_error(io::ErrorKind::BrokenPipe.into());
    assert!(!caller.is_usable() && !session.is_over());
    read(&mut session, [stdout(1, b"A: b\n\none"), complete(1)].concat());
    assert_eq!(take(&mut first).body, b"one");
    read(&mut session, b"".as_slice());
    let error = error(&mut second);
    assert_eq!(error.kind(), ErrorKind::Reset);
    assert!(error.to_string().contains("pipe"), "{error}");
}

#[test]
fn a_dropped_session_tells_its_callers() {
    let (mut session, caller) = session();
    let mut call = begin(&caller);
    written(&mut session);
    drop(session);
    assert_eq!(error(&mut call).kind(), ErrorKind::Reset);
    assert!(caller.begin(&parts(), Timeouts::NONE, NOW, NOW).is_err());
}

#[test]
fn a_session_is_over_with_its_last_caller_and_call() {
    let (mut session, caller) = session();
    let mut call = begin(&caller);
    let clone = caller.clone();
    drop(caller);
    assert!(!session.is_over());
    drop(clone);
    assert!(!session.is_over(), "a request goes on");
    written(&mut session);
    read(&mut session, [stdout(1, HEAD), complete(1)].concat());
    assert!(session.is_over());
    assert!(matches!(take(&mut call).end, Some(Ok(()))));
}

#[test]
fn limits_are_those_of_each_request() {
    let (mut session, caller) = session();
    let second = Duration::from_secs(1);
    let mut hasty = begin_with(&caller, &parts(), Timeouts::NONE.with_first_byte(second));
    let mut patient = begin_with(&caller, &parts(), Timeouts::NONE.with_total(10 * second));
    hasty.finish_body();
    patient.finish_body();
    assert_eq!((hasty.deadline(), patient.deadline()), (None, Some(NOW + 10 * second)));
    written(&mut session);
    assert_eq!(hasty.deadline(), Some(NOW + second));
    assert!(poll_at(&mut hasty, NOW + second - Duration::from_nanos(1)).is_pending());
    let Poll::Ready(Err(error)) = poll_at(&mut hasty, NOW + second) else { panic!("late") };
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::FirstByte)));
    assert_eq!(kinds(&written(&mut session)), [(RecordType::AbortRequest, 1)]);
    assert!(poll_at(&mut patient, NOW + second).is_pending(), "another's limit is its own");
    // Bytes that flow do not extend the limit on the whole.
    session.handle_read(stdout(2, HEAD).into(), NOW + 10 * second);
    let Poll::Ready(Err(error)) = poll_at(&mut patient, NOW + 10 * second) else { panic!("late") };
    assert_eq!(error.phase(), Some(Phase::Total));
}

#[test]
fn who_stalls_the_others_is_given_up_and_they_are_excused() {
    let (mut session, caller) = Session::new(settings(4));
    let second = Duration::from_secs(1);
    let idle = |limit| Timeouts::NONE.with_idle(limit);
    let mut slow = begin_with(&caller, &parts(), idle(30 * second));
    let mut other = begin_with(&caller, &parts(), idle(20 * second));
    written(&mut session);
    read(&mut session, [stdout(1, HEAD), stdout(2, HEAD), stdout(1, &[b'x'; 2000])].concat());
    assert!(!session.wants_read());
    assert!(poll(&mut other).is_ready());
    assert_eq!(other.deadline(), Some(NOW + 30 * second), "the slow one's, for whom it waits");
    assert!(poll_at(&mut other, NOW + 25 * second).is_pending(), "nothing could come");
    assert!(!session.wants_read());
    assert!(poll_at(&mut other, NOW + 30 * second).is_pending());
    assert!(session.wants_read(), "the pause is over");
    assert!(poll_at(&mut other, NOW + 31 * second).is_pending());
    assert_eq!(other.deadline(), Some(NOW + 51 * second), "its waiting begins anew");
    assert_eq!(kinds(&written(&mut session)), [(RecordType::AbortRequest, 1)]);
    let error = error(&mut slow);
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Idle)));
    session.handle_read([stdout(2, b"y"), complete(2)].concat().into(), NOW + 31 * second);
    assert_eq!(take(&mut other).body, b"y");
}

#[test]
fn who_waits_for_one_without_limits_has_its_own() {
    let (mut session, caller) = Session::new(settings(4));
    let second = Duration::from_secs(1);
    let slow = begin(&caller);
    let mut other = begin_with(&caller, &parts(), Timeouts::NONE.with_idle(second));
    written(&mut session);
    read(&mut session, [stdout(1, HEAD), stdout(1, &[b'x'; 2000])].concat());
    assert!(!session.wants_read());
    assert_eq!(other.deadline(), Some(NOW + second));
    assert!(matches!(poll_at(&mut other, NOW + second), Poll::Ready(Err(_))));
    drop(slow);
}

#[test]
fn a_caller_is_woken_when_an_earlier_limit_begins_to_hold() {
    let (mut session, caller) = session();
    let second = Duration::from_secs(1);
    let limits = Timeouts::NONE.with_first_byte(second).with_idle(60 * second);
    let mut call = begin_with(&caller, &parts(), limits);
    call.finish_body();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    assert!(call.poll_received(&Context::from_waker(&waker), NOW).is_pending());
    assert_eq!(call.deadline(), Some(NOW + 60 * second));
    written(&mut session);
    assert_eq!((call.deadline(), counter.0.load(Ordering::Relaxed)), (Some(NOW + second), 1));
}

#[test]
fn who_is_slow_alone_may_be() {
    let (mut session, caller) = Session::new(settings(4));
    let mut slow = begin_with(&caller, &parts(), Timeouts::NONE.with_idle(Duration::from_secs(1)));
    written(&mut session);
    read(&mut session, [stdout(1, HEAD), stdout(1, &[b'x'; 2000])].concat());
    assert!(!session.wants_read());
    assert_eq!(slow.deadline(), None);
    assert!(matches!(poll_at(&mut slow, NOW * 1000), Poll::Ready(Ok(_))));
}

#[test]
fn a_wrong_length_harms_nobody_else() {
    let (mut session, caller) = session();
    let mut short = begin_with(&caller, &post(5), Timeouts::NONE);
    let mut long = begin_with(&caller, &post(5), Timeouts::NONE);
    let mut broken = begin_with(&caller, &post(5), Timeouts::NONE);
    let mut fine = begin(&caller);
    short.send_body("1234".into());
    short.finish_body();
    long.send_body("123456".into());
    broken.fail_body("disk full");
    for call in [&mut short, &mut long, &mut broken] {
        assert_eq!(error(call).kind(), ErrorKind::RequestBody);
    }
    let wire = kinds(&written(&mut session));
    let aborted: Vec<_> =
        wire.iter().filter(|(kind, _)| *kind == RecordType::AbortRequest).collect();
    assert_eq!(aborted.len(), 3);
    read(&mut session, [stdout(4, HEAD), complete(4)].concat());
    assert!(matches!(take(&mut fine).end, Some(Ok(()))));
}

#[test]
fn an_early_answer_ends_the_upload() {
    let (mut session, caller) = session();
    let mut call = begin_with(&caller, &post(10 << 20), Timeouts::NONE);
    call.send_body(Bytes::from(vec![0; 1 << 20]));
    write(&mut session, 1000);
    read(&mut session, [stdout(1, HEAD), complete(1)].concat());
    assert_eq!(call.poll_body(&Context::from_waker(Waker::noop())), Poll::Ready(false));
    call.send_body("more".into());
    let response = take(&mut call);
    assert!(matches!(response.end, Some(Ok(()))));
    assert!(caller.is_usable(), "who multiplexes skips strays");
    let mut next = begin(&caller);
    written(&mut session);
    read(&mut session, [stdout(2, HEAD), complete(2)].concat());
    assert!(matches!(take(&mut next).end, Some(Ok(()))));
}

#[test]
fn a_refusal_is_the_error_of_one() {
    let (mut session, caller) = session();
    let [mut refused, mut fine] = [begin(&caller), begin(&caller)];
    written(&mut session);
    let wire = [end(1, ProtocolStatus::Overloaded, 0), stdout(2, HEAD), complete(2)];
    read(&mut session, wire.concat());
    let error = error(&mut refused);
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.is_safe_to_retry());
    assert!(matches!(take(&mut fine).end, Some(Ok(()))));
}

#[test]
fn error_output_is_bounded_for_each() {
    let mut settings = settings(4);
    settings.max_stderr = 10;
    let (mut session, caller) = Session::new(settings);
    let mut call = begin(&caller);
    written(&mut session);
    for _ in 0..100 {
        read(&mut session, record(RecordType::Stderr, 1, b"four"));
    }
    assert!(session.wants_read());
    assert!(poll(&mut call).is_ready() && poll(&mut call).is_pending(), "told once");
    assert_eq!((call.take_stderr(), call.stderr_dropped()), (b"fourfourfo".to_vec(), 390));
}

#[test]
fn asking_finds_out_whether_requests_may_share() {
    for (answer, is_multiplexed) in [("1", true), ("0", false)] {
        let (mut session, caller) = Session::asking(SessionSettings::default());
        let mut call = begin(&caller);
        assert_eq!(kinds(&written(&mut session))[0], (RecordType::GetValues, 0));
        let values = support::pairs([("FCGI_MPXS_CONNS", answer), ("X", "y")]);
        read(&mut session, record(RecordType::GetValuesResult, 0, &values));
        let values = session.take_values().expect("told");
        assert_eq!(values.get("FCGI_MPXS_CONNS"), Some(answer.as_bytes()));
        assert!(session.take_values().is_none());
        read(&mut session, [stdout(1, HEAD), complete(1)].concat());
        assert!(matches!(take(&mut call).end, Some(Ok(()))));
        drop(begin(&caller));
        assert_eq!(caller.is_usable(), is_multiplexed, "closing is what aborts one request");
    }
}

#[test]
fn a_call_tells_how_far_it_is() {
    let (mut session, caller) = session();
    let mut call = begin_with(&caller, &post(3), Timeouts::NONE);
    assert_eq!((call.phase(), call.bytes_sent(), call.end()), (Phase::Send, 0, None));
    call.handle_connection(Duration::from_millis(5), Duration::from_millis(7));
    call.send_body(Bytes::from_static(b"abc"));
    call.finish_body();
    let sent = written(&mut session).len() as u64;
    assert_eq!((call.phase(), call.bytes_sent()), (Phase::FirstByte, sent));
    let wire = [stdout(1, b"A: b\n\nbody"), complete(1)].concat();
    let received = wire.len() as u64;
    session.handle_read(wire.into(), NOW + Duration::from_secs(2));
    assert!(poll(&mut call).is_ready());
    assert_eq!(call.bytes_received(), received);
    assert!(take(&mut call).end.is_some());
    let timings = call.timings();
    assert_eq!(
        (timings.queue, timings.connect),
        (Duration::from_millis(5), Duration::from_millis(7))
    );
    assert_eq!(
        (timings.first_byte, timings.head),
        (Duration::from_secs(2), Duration::from_secs(2))
    );
    assert!(timings.total >= Some(Duration::from_secs(2)));
    let end = call.end().expect("it has ended");
    assert_eq!(end.app_status, 0);
    assert!(format!("{call:?}").starts_with("Call"));
}

#[test]
fn a_body_that_is_too_long_for_its_reader_names_the_limit_and_the_bytes() {
    let (mut session, caller) = session();
    let mut call = begin(&caller);
    written(&mut session);
    read(&mut session, [stdout(1, HEAD), stdout(1, &[b'x'; 100])].concat());
    assert!(poll(&mut call).is_ready());
    let error = call.too_large(64);
    assert_eq!(error.kind(), ErrorKind::TooLarge { limit: 64 });
    assert_eq!(error.bytes_received(), call.bytes_received());
    assert!(error.bytes_received() > 100 && error.is_begun());
}

/// Whoever carries the bytes waits for this beside the socket, which may say nothing for ever: the peer may wait for us.
#[test]
fn what_callers_do_is_news() {
    let (mut session, caller) = Session::new(settings(4));
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let cx = Context::from_waker(&waker);
    let calls = || counter.0.load(Ordering::Relaxed);
    assert!(session.poll_news(&cx).is_pending());
    let mut call = begin(&caller);
    assert_eq!(calls(), 1, "a request has begun");
    assert!(session.poll_news(&cx).is_ready() || session.has_outgoing());
    written(&mut session);
    while session.poll_news(&cx).is_ready() {}
    read(&mut session, [stdout(1, HEAD), stdout(1, &[b'x'; 1000]), stdout(1, b"x")].concat());
    assert!(!session.wants_read());
    while session.poll_news(&cx).is_ready() {}
    let before = calls();
    while !session.wants_read() {
        assert_eq!(calls(), before, "there is no room yet");
        assert!(poll(&mut call).is_ready());
    }
    assert_eq!(calls(), before + 1, "there is room again");
    while session.poll_news(&cx).is_ready() {}
    let before = calls();
    drop(call);
    assert_eq!(calls(), before + 1, "it is to be aborted");
}
