//! A web server by hand.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Buf;
use fcgi_blocking::server::{Handler, Server};
use fcgi_proto::client::{Config, Connection, Event};
use fcgi_proto::{ProtocolStatus, RequestKey, Role};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How many bytes the web server reads and writes at once.
pub(crate) const WIDTHS: [usize; 3] = [1, 37, 4096];

/// What a request has been answered so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) end: Option<(ProtocolStatus, u32)>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(&self, stdout: &str, app_status: u32) {
        assert_eq!(String::from_utf8_lossy(&self.stdout), stdout);
        assert_eq!(self.end, Some((ProtocolStatus::RequestComplete, app_status)));
    }
}

/// The web server's end of a connection.
pub(crate) struct Peer<S> {
    pub(crate) socket: S,
    pub(crate) conn: Connection,
    width: usize,
    buf: Vec<u8>,
    answers: HashMap<RequestKey, Answer>,
    pub(crate) is_eof: bool,
    /// How many bytes the server has taken.
    pub(crate) written: usize,
    /// How many times something was read.
    pub(crate) reads: AtomicUsize,
}

/// Serves one end of a connection, and gives the other.
pub(crate) fn pipe<H: Handler>(
    server: Server<H>,
    width: usize,
    keep_conn: bool,
) -> Peer<UnixStream> {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    thread::spawn(move || server.serve_connection(theirs));
    Peer::new(ours, width, keep_conn)
}

impl<S: Read + Write + AsFd> Peer<S> {
    pub(crate) fn new(socket: S, width: usize, keep_conn: bool) -> Self {
        rustix::io::ioctl_fionbio(&socket, true).expect("it can be set");
        let many = NonZeroU16::new(1000).expect("not 0");
        let config = Config::default().keep_conn(keep_conn).max_requests(many);
        Self {
            socket,
            conn: Connection::new(config),
            width,
            buf: Vec::new(),
            answers: HashMap::new(),
            is_eof: false,
            written: 0,
            reads: AtomicUsize::new(0),
        }
    }

    /// Begins a request whose body is still to come.
    pub(crate) fn begin(&mut self, params: &[(&str, &str)]) -> RequestKey {
        self.begin_as(Role::Responder, params)
    }

    pub(crate) fn begin_as(&mut self, role: Role, params: &[(&str, &str)]) -> RequestKey {
        let params = params.iter().copied();
        let key = self.conn.begin(role, params).expect("a request can begin");
        self.answers.insert(key, Answer::default());
        key
    }

    /// Begins a request without a body.
    pub(crate) fn get(&mut self, params: &[(&str, &str)]) -> RequestKey {
        let key = self.begin(params);
        self.finish(key);
        key
    }

    /// Sends a piece of a body as soon as there is room for it.
    pub(crate) fn send(&mut self, key: RequestKey, data: &[u8]) {
        for piece in data.chunks(30_000) {
            while self.conn.request(key).expect("it is open").stdin_slice(piece).is_err() {
                self.step();
            }
        }
    }

    pub(crate) fn finish(&mut self, key: RequestKey) {
        self.conn.request(key).expect("it is open").finish().expect("it is not finished");
    }

    pub(crate) fn abort(&mut self, key: RequestKey) {
        self.conn.request(key).expect("it is open").abort();
    }

    /// Writes all that is queued.
    pub(crate) fn flush(&mut self) {
        while self.conn.has_outgoing() {
            self.step();
        }
    }

    /// Waits for the end of a request.
    pub(crate) fn answer(&mut self, key: RequestKey) -> Answer {
        self.until(key, |answer| answer.end.is_some())
    }

    /// Waits until a request has been answered so far.
    pub(crate) fn until(&mut self, key: RequestKey, is_enough: impl Fn(&Answer) -> bool) -> Answer {
        loop {
            let answer = &self.answers[&key];
            if is_enough(answer) {
                return answer.clone();
            }
            assert!(!self.is_eof, "closed after {answer:?}");
            self.step();
        }
    }

    /// Waits until the server closes.
    pub(crate) fn eof(&mut self) {
        while !self.is_eof {
            self.step();
        }
    }

    /// Writes and reads whatever can be, once.
    pub(crate) fn step(&mut self) {
        assert!(self.step_within(Duration::from_secs(60)), "the server does nothing");
    }

    /// [`step`](Self::step), or false when nothing can be done for so long.
    pub(crate) fn step_within(&mut self, limit: Duration) -> bool {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.conn.has_outgoing());
        let mut descriptors = [PollFd::new(&self.socket, flags)];
        let limit = Timespec::try_from(limit).expect("not long");
        poll(&mut descriptors, Some(&limit)).expect("it can be waited for");
        let [ready] = descriptors.map(|descriptor| descriptor.revents());
        if ready.contains(PollFlags::OUT) {
            self.write();
        }
        if !ready.difference(PollFlags::OUT).is_empty() {
            self.read();
        }
        !ready.is_empty()
    }

    fn write(&mut self) {
        let mut outgoing = self.conn.outgoing();
        let chunk = outgoing.chunk();
        let chunk = &chunk[..chunk.len().min(self.width)];
        match self.socket.write(chunk) {
            Ok(count) => {
                outgoing.advance(count);
                self.written += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("the server does not read: {error}"),
        }
    }

    fn read(&mut self) {
        let before = self.buf.len();
        self.buf.resize(before + self.width, 0);
        let count = match self.socket.read(&mut self.buf[before..]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.buf.truncate(before);
                return;
            }
            Err(error) => panic!("the server does not write: {error}"),
        };
        self.buf.truncate(before + count);
        self.is_eof |= count == 0;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut input: &[u8] = &self.buf;
        while let Some(event) = self.conn.poll_event(&mut input).expect("the server is right") {
            match event {
                Event::Stdout { key, data } => {
                    self.answers.entry(key).or_default().stdout.extend_from_slice(data);
                }
                Event::Stderr { key, data } => {
                    self.answers.entry(key).or_default().stderr.extend_from_slice(data);
                }
                Event::End { key, protocol_status, app_status } => {
                    let end = &mut self.answers.entry(key).or_default().end;
                    assert_eq!(*end, None);
                    *end = Some((protocol_status, app_status));
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        let used = self.buf.len() - input.len();
        self.buf.drain(..used);
    }
}
