//! What the servers of all adapters share: a connection with its handlers, driven by hand.
#![cfg(feature = "std")]

use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Config, Connection, Event};
use fcgi_proto::server::{
    Aborted, Exchange, Hub, Incoming, InputError, InputStream, OutputError, OutputStream, Reader,
    Session, Settings, Writer,
};
use fcgi_proto::{ProtocolStatus, RequestKey, Role};

/// A web server and a session, with the socket between them.
struct Pair {
    peer: Connection,
    session: Session,
    hub: Arc<Hub>,
    news: Arc<Count>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    end: Option<(ProtocolStatus, u32)>,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pair {
    fn new(settings: Settings) -> Self {
        let hub = Arc::new(Hub::default());
        Self {
            peer: Connection::new(Config::default().keep_conn(true)),
            session: Session::new(Arc::new(settings), Arc::clone(&hub)),
            hub,
            news: Arc::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            end: None,
        }
    }

    fn begin(&mut self, params: &[(&str, &str)]) -> (RequestKey, Incoming) {
        let key = self.peer.begin(Role::Responder, params.iter().copied()).expect("it begins");
        self.send();
        (key, self.session.poll_request().expect("legal").expect("a request"))
    }

    /// What the web server writes, as far as the session reads it at once.
    fn send(&mut self) {
        if self.peer.has_outgoing() && self.session.wants_read() {
            let mut outgoing = self.peer.outgoing();
            let count = outgoing.chunk().len();
            self.session.handle_read(outgoing.copy_to_bytes(count));
        }
    }

    /// What the session writes.
    fn receive(&mut self) {
        assert!(self.session.poll_request().expect("legal").is_none());
        while self.session.has_outgoing() {
            let mut outgoing = self.session.outgoing();
            let len = outgoing.remaining();
            let written = outgoing.copy_to_bytes(len);
            let mut input: &[u8] = &written;
            while let Some(event) = self.peer.poll_event(&mut input).expect("legal") {
                match event {
                    Event::Stdout { data, .. } => self.stdout.extend_from_slice(data),
                    Event::Stderr { data, .. } => self.stderr.extend_from_slice(data),
                    Event::End { protocol_status, app_status, .. } => {
                        self.end = Some((protocol_status, app_status));
                    }
                    // Tells web servers that a response is cut.
                    Event::UnknownType { .. } => {}
                    other => panic!("unexpected: {other:?}"),
                }
            }
            assert!(self.session.poll_request().expect("legal").is_none());
        }
    }

    fn has_news(&self) -> bool {
        let waker = Waker::from(Arc::clone(&self.news));
        self.session.poll_news(&Context::from_waker(&waker)).is_ready()
    }
}

fn poll<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
}

fn now<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it has to wait"),
    }
}

fn run<E: core::fmt::Display>(
    exchange: &Exchange,
    handler: impl Future<Output = Result<u32, E>>,
) -> Poll<()> {
    poll(pin!(exchange.run(handler)))
}

fn write(exchange: &Arc<Exchange>, stream: OutputStream, text: &'static str) {
    let mut writer = Writer::new(Arc::clone(exchange), stream);
    now(poll(pin!(writer.write(text.into())))).expect("somebody is there");
}

#[test]
fn a_request_and_its_answer() {
    let mut pair = Pair::new(Settings::default());
    let (key, Incoming { params, exchange, .. }) = pair.begin(&[("NAME", "you")]);
    assert_eq!(params.get("NAME"), Some(&b"you"[..]));
    assert!(!pair.has_news() && !pair.session.is_idle());

    let mut stdin = Reader::new(Arc::clone(&exchange), InputStream::Stdin);
    assert!(poll(pin!(stdin.chunk())).is_pending());
    let mut request = pair.peer.request(key).expect("it is open");
    request.stdin_slice(b"body").expect("there is room");
    request.finish().expect("once");
    pair.send();
    assert!(pair.session.poll_request().expect("legal").is_none());
    assert_eq!(now(poll(pin!(stdin.collect(4)))).expect("whole"), "body");

    write(&exchange, OutputStream::Stderr, "log");
    write(&exchange, OutputStream::Stdout, "out");
    assert_eq!(pair.news.0.load(Ordering::Relaxed), 1, "one wake-up for all of it");
    exchange.finish::<&str>(Ok(Ok(7)));
    assert!(pair.has_news() && !pair.has_news());
    pair.receive();
    assert_eq!((&pair.stdout[..], &pair.stderr[..]), (&b"out"[..], &b"log"[..]));
    assert_eq!(pair.end, Some((ProtocolStatus::RequestComplete, 7)));
    assert!(pair.session.is_idle() && !pair.session.is_over());
    assert!(pair.session.idle_timeout().is_some());
    pair.hub.stop();
    assert!(pair.has_news() && pair.session.is_stopping());
}

#[test]
fn input_that_nobody_reads_stops_the_reading() {
    let mut settings = Settings::default();
    settings.stdin_window = 10_000;
    let mut pair = Pair::new(settings);
    let (key, incoming) = pair.begin(&[]);
    for _ in 0..3 {
        pair.peer.request(key).expect("it is open").stdin_slice(&[b'x'; 8000]).expect("room");
    }
    let mut taken = 0;
    while pair.session.wants_read() {
        pair.send();
        assert!(pair.session.poll_request().expect("legal").is_none());
        taken += 1;
        assert!(taken < 100, "it takes everything");
    }
    assert!(!pair.has_news());
    let mut stdin = Reader::new(incoming.exchange, InputStream::Stdin);
    let first = now(poll(pin!(stdin.chunk()))).expect("no abort").expect("a piece");
    assert_eq!(first.len(), 8000);
    assert!(pair.has_news(), "room is news");
    assert!(pair.session.poll_request().expect("legal").is_none());
    // What is dropped wants no input: all of it is taken and thrown away.
    drop(stdin);
    assert!(pair.session.poll_request().expect("legal").is_none());
    assert!(pair.session.wants_read());
}

#[test]
fn output_that_nobody_takes_stops_the_handler() {
    let mut settings = Settings::default();
    settings.stdout_window = 10_000;
    settings.config = settings.config.max_buffered(10_000);
    let mut pair = Pair::new(settings);
    let (_, incoming) = pair.begin(&[]);
    let mut stdout = Writer::new(incoming.exchange, OutputStream::Stdout);
    let mut written = 0;
    loop {
        match poll(pin!(stdout.write(Bytes::from_static(&[b'x'; 8000])))) {
            Poll::Ready(result) => result.expect("somebody is there"),
            Poll::Pending => {
                assert!(pair.session.poll_request().expect("legal").is_none());
                if pair.session.has_outgoing() && written >= 32_000 {
                    break;
                }
                continue;
            }
        }
        written += 8000;
        assert!(written < 80_000, "it takes everything");
    }
    assert!(!pair.has_news(), "writing comes first");
    pair.receive();
    assert_eq!(pair.stdout.len(), written);
    now(poll(pin!(stdout.write(Bytes::from_static(b"more"))))).expect("there is room again");
}

#[test]
fn an_abort_is_told_to_all_sides() {
    let mut pair = Pair::new(Settings::default());
    let (key, Incoming { exchange, .. }) = pair.begin(&[]);
    let mut aborted = Aborted::new(Arc::clone(&exchange));
    let dropped = aborted.clone();
    assert!(poll(&mut aborted).is_pending() && poll(dropped).is_pending());
    pair.peer.request(key).expect("it is open").stdin_slice(b"half").expect("there is room");
    pair.peer.request(key).expect("it is open").abort();
    pair.send();
    assert!(pair.session.poll_request().expect("legal").is_none());

    assert!(aborted.is_aborted() && poll(&mut aborted).is_ready());
    let mut stdin = Reader::new(Arc::clone(&exchange), InputStream::Stdin);
    let read = now(poll(pin!(stdin.collect(100))));
    assert_eq!(read, Err(InputError::Aborted { received: 4 }));
    let mut stdout = Writer::new(Arc::clone(&exchange), OutputStream::Stdout);
    assert_eq!(now(poll(pin!(stdout.write("late".into())))), Err(OutputError::Aborted));
    exchange.finish::<&str>(Ok(Ok(5)));
    pair.receive();
    assert_eq!((pair.stdout.len(), pair.end), (0, Some((ProtocolStatus::RequestComplete, 5))));
}

#[test]
fn a_connection_that_goes_takes_its_requests_along() {
    let mut pair = Pair::new(Settings::default());
    let (_, Incoming { exchange, .. }) = pair.begin(&[]);
    // The end of the input alone does not say that nobody listens.
    pair.session.handle_read(Bytes::new());
    assert!(pair.session.poll_request().expect("legal").is_none());
    assert!(Aborted::new(Arc::clone(&exchange)).is_aborted() && pair.session.is_eof());
    write(&exchange, OutputStream::Stdout, "still");
    drop(pair);
    let mut stdout = Writer::new(Arc::clone(&exchange), OutputStream::Stdout);
    assert_eq!(now(poll(pin!(stdout.write("late".into())))), Err(OutputError::Disconnected));
}

#[test]
fn a_handler_that_fails_is_answered_for() {
    const HEAD: &[u8] = b"Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\n";
    let page = [HEAD, b"Internal Server Error\n"].concat();
    for (method, is_panic, stdout) in
        [("GET", false, &page[..]), ("HEAD", false, HEAD), ("GET", true, &page[..])]
    {
        let mut pair = Pair::new(Settings::default());
        let (_, Incoming { exchange, .. }) = pair.begin(&[("REQUEST_METHOD", method)]);
        let handler = async {
            assert!(!is_panic, "on purpose");
            Err("out of luck")
        };
        assert!(run(&exchange, handler).is_ready());
        pair.receive();
        assert_eq!(pair.stdout, stdout);
        let text: &[u8] =
            if is_panic { b"handler panicked: on purpose\n" } else { b"out of luck\n" };
        assert_eq!(pair.stderr, text);
        assert_eq!(pair.end, Some((ProtocolStatus::RequestComplete, 1)));
    }
    // What was answered already stays.
    let mut pair = Pair::new(Settings::default());
    let (_, Incoming { exchange, .. }) = pair.begin(&[]);
    write(&exchange, OutputStream::Stdout, "half");
    assert!(run(&exchange, async { Err::<u32, _>("too late") }).is_ready());
    pair.receive();
    assert_eq!(pair.stdout, b"half");
}

#[test]
fn roles_that_are_not_served_never_reach_a_handler() {
    let mut pair = Pair::new(Settings::default());
    pair.peer.begin(Role::Authorizer, [("A", "b")]).expect("it begins");
    pair.send();
    pair.receive();
    assert_eq!(pair.end, Some((ProtocolStatus::UnknownRole, 0)));
}

#[test]
fn a_response_that_is_cut_has_no_end() {
    for other in [false, true] {
        let mut pair = Pair::new(Settings::default());
        let (_, incoming) = pair.begin(&[]);
        let exchange = incoming.exchange;
        let mut stdout = Writer::new(Arc::clone(&exchange), OutputStream::Stdout);
        let cx = Context::from_waker(Waker::noop());
        if other {
            // Of no effect: nothing was written.
            stdout.cut();
        }
        assert!(stdout.poll_write(&cx, b"half").is_ready());
        if !other {
            stdout.cut();
        }
        exchange.finish(Ok(Err::<u32, _>("broken")));
        pair.receive();
        assert_eq!((&pair.stdout[..], &pair.stderr[..]), (&b"half"[..], &b"broken\n"[..]));
        let end = other.then_some((ProtocolStatus::RequestComplete, 1));
        assert_eq!(pair.end, end);
        assert_eq!(pair.session.is_over(), !other, "the connection closes");
    }
}

#[test]
fn input_is_read_in_pieces_of_any_size() {
    let mut pair = Pair::new(Settings::default());
    let (key, Incoming { exchange, .. }) = pair.begin(&[]);
    let mut stdin = Reader::new(exchange, InputStream::Stdin);
    let cx = Context::from_waker(Waker::noop());
    assert!(stdin.poll_fill(&cx).is_pending());
    let mut request = pair.peer.request(key).expect("it is open");
    request.stdin_slice(b"one two three").expect("there is room");
    request.finish().expect("once");
    pair.send();
    assert!(pair.session.poll_request().expect("legal").is_none());
    assert_eq!(now(stdin.poll_fill(&cx)), Ok(&b"one two three"[..]));
    stdin.consume(4);
    assert_eq!(now(stdin.poll_fill(&cx)), Ok(&b"two three"[..]), "what was not used stays");
    stdin.consume(4);
    // What was looked at comes first in other ways of reading as well.
    assert_eq!(now(stdin.poll_chunk(&cx)), Ok(Some("three".into())));
    assert_eq!(now(stdin.poll_fill(&cx)), Ok(&b""[..]), "the end");
    stdin.consume(100);
    assert_eq!(now(stdin.poll_chunk(&cx)), Ok(None));
    assert_eq!(now(poll(pin!(stdin.collect(0)))).expect("nothing is left"), "");
    assert!(format!("{stdin:?}").contains("Stdin"));
}

#[test]
fn collecting_ends_at_the_limit_and_joins_what_comes_in_pieces() {
    for (limit, is_enough) in [(17, true), (16, false), (usize::MAX, true), (0, false)] {
        let mut pair = Pair::new(Settings::default());
        let (key, Incoming { exchange, .. }) = pair.begin(&[]);
        let mut stdin = Reader::new(exchange, InputStream::Stdin);
        for piece in ["first ", "second ", "more"] {
            pair.peer.request(key).expect("it is open").stdin(piece).expect("there is room");
            pair.send();
            assert!(pair.session.poll_request().expect("legal").is_none());
        }
        pair.peer.request(key).expect("it is open").finish().expect("once");
        pair.send();
        assert!(pair.session.poll_request().expect("legal").is_none());
        let collected = now(poll(pin!(stdin.collect(limit))));
        let expected: Result<Bytes, _> = match is_enough {
            true => Ok("first second more".into()),
            false => Err(InputError::TooLarge { limit }),
        };
        assert_eq!(collected, expected);
    }
}

#[test]
fn a_filter_reads_its_file_beside_its_input() {
    let mut settings = Settings::default();
    settings.roles = vec![Role::Filter];
    let mut pair = Pair::new(settings);
    let key = pair.peer.begin(Role::Filter, [("A", "b")]).expect("it begins");
    pair.send();
    let incoming = pair.session.poll_request().expect("legal").expect("a request");
    assert_eq!(incoming.role, Role::Filter);
    let mut request = pair.peer.request(key).expect("it is open");
    request.stdin("input").expect("there is room");
    request.finish().expect("once");
    request.data("file").expect("there is room");
    request.finish_data().expect("once");
    pair.send();
    assert!(pair.session.poll_request().expect("legal").is_none());
    let mut stdin = Reader::new(Arc::clone(&incoming.exchange), InputStream::Stdin);
    let mut data = Reader::new(incoming.exchange, InputStream::Data);
    assert_eq!(now(poll(pin!(data.collect(10)))).expect("whole"), "file");
    assert_eq!(now(poll(pin!(stdin.collect(10)))).expect("whole"), "input");
}

#[test]
fn output_is_taken_as_far_as_there_is_room_and_flushed_once_it_is_gone() {
    let mut settings = Settings::default();
    settings.stdout_window = 10;
    let mut pair = Pair::new(settings);
    let (_, Incoming { exchange, .. }) = pair.begin(&[]);
    let mut stdout = Writer::new(Arc::clone(&exchange), OutputStream::Stdout);
    let mut stderr = Writer::new(Arc::clone(&exchange), OutputStream::Stderr);
    let cx = Context::from_waker(Waker::noop());
    assert_eq!(now(stdout.poll_flush(&cx)), Ok(()), "nothing to wait for");
    assert_eq!(now(stdout.poll_write(&cx, b"0123456")), Ok(7));
    assert_eq!(now(stderr.poll_write(&cx, b"abcdef")), Ok(3), "the window is for both");
    assert!(stdout.poll_write(&cx, b"more").is_pending());
    assert!(stdout.poll_flush(&cx).is_pending() && stderr.poll_flush(&cx).is_pending());
    pair.receive();
    assert_eq!((&pair.stdout[..], &pair.stderr[..]), (&b"0123456"[..], &b"abc"[..]));
    assert_eq!(now(stdout.poll_flush(&cx)), Ok(()));
    assert_eq!(now(stderr.poll_flush(&cx)), Ok(()));
    assert_eq!(now(stderr.poll_write(&cx, b"def")), Ok(3));
    assert!(format!("{stdout:?}{stderr:?}").contains("Stderr"));
    exchange.finish::<&str>(Ok(Ok(0)));
    assert_eq!(now(stdout.poll_write(&cx, b"late")), Err(OutputError::Ended));
    assert_eq!(now(stdout.poll_flush(&cx)), Err(OutputError::Ended));
    pair.receive();
    assert_eq!(pair.stderr, b"abcdef");
    assert_eq!(pair.end, Some((ProtocolStatus::RequestComplete, 0)));
}

#[test]
fn a_panic_is_told_by_its_message_if_it_has_one() {
    let formatted: Box<dyn FnOnce()> = Box::new(|| panic!("{} on purpose", "formatted"));
    let other: Box<dyn FnOnce()> = Box::new(|| std::panic::panic_any(7_u8));
    for (panic, message) in [(formatted, "formatted on purpose"), (other, "no message")] {
        let mut pair = Pair::new(Settings::default());
        let (_, Incoming { exchange, .. }) = pair.begin(&[]);
        let handler = async {
            panic();
            Ok::<u32, &str>(0)
        };
        assert!(run(&exchange, handler).is_ready());
        pair.receive();
        let text = String::from_utf8(pair.stderr.clone()).expect("text");
        assert_eq!(text, format!("handler panicked: {message}\n"));
    }
}
