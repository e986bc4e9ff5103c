//! A web server by hand, for tests of the application server.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::collections::HashMap;
use std::io;

use bytes::{Buf, BytesMut};
use fcgi_async_std::server::{Handler, Server};
use fcgi_proto::client::{Config, Connection, Event};
use fcgi_proto::{ProtocolStatus, RequestKey, Role};
use smol::io::{AsyncRead, AsyncWrite};

use crate::pipe::{Pipe, duplex};
use crate::timeout::timeout;

/// Widths of the pipe between the two sides.
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
pub(crate) struct Peer<IO> {
    pub(crate) io: IO,
    pub(crate) conn: Connection,
    buf: BytesMut,
    answers: HashMap<RequestKey, Answer>,
    pub(crate) is_eof: bool,
    /// How many bytes the server has taken.
    pub(crate) written: usize,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Peer<IO> {
    pub(crate) fn new(io: IO, keep_conn: bool) -> Self {
        let many = core::num::NonZeroU16::new(100).expect("not 0");
        let config = Config::default().keep_conn(keep_conn).max_requests(many);
        Self {
            io,
            conn: Connection::new(config),
            buf: BytesMut::new(),
            answers: HashMap::new(),
            is_eof: false,
            written: 0,
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
    pub(crate) async fn send(&mut self, key: RequestKey, data: &[u8]) {
        for piece in data.chunks(30_000) {
            while self.conn.request(key).expect("it is open").stdin_slice(piece).is_err() {
                self.step().await;
            }
        }
    }

    pub(crate) fn finish(&mut self, key: RequestKey) {
        self.conn.request(key).expect("it is open").finish().expect("it is not finished");
    }

    /// Writes all that is queued.
    pub(crate) async fn flush(&mut self) {
        while self.conn.has_outgoing() {
            self.step().await;
        }
    }

    /// Waits for the end of a request.
    pub(crate) async fn answer(&mut self, key: RequestKey) -> Answer {
        self.until(key, |answer| answer.end.is_some()).await
    }

    /// Waits until a request has been answered so far.
    pub(crate) async fn until(
        &mut self,
        key: RequestKey,
        is_enough: impl Fn(&Answer) -> bool,
    ) -> Answer {
        loop {
            let answer = &self.answers[&key];
            if is_enough(answer) {
                return answer.clone();
            }
            assert!(!self.is_eof, "closed after {answer:?}");
            self.step().await;
        }
    }

    /// Waits until the server closes.
    pub(crate) async fn eof(&mut self) {
        while !self.is_eof {
            self.step().await;
        }
    }

    /// Writes and reads whatever can be, once.
    pub(crate) async fn step(&mut self) {
        let limit = Duration::from_secs(60);
        let moved = timeout(limit, self.move_bytes()).await;
        moved.expect("the server does nothing").expect("the connection works");
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
        self.buf.advance(used);
    }

    async fn move_bytes(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut is_moved = false;
            if self.conn.has_outgoing() {
                let mut outgoing = self.conn.outgoing();
                let written = Pin::new(&mut self.io).poll_write(cx, outgoing.chunk())?;
                if let Poll::Ready(count) = written {
                    outgoing.advance(count);
                    self.written += count;
                    is_moved = true;
                }
            }
            if !self.is_eof {
                // Here and not in the future, which is copied from frame to frame.
                let mut buf = [0; 16 * 1024];
                if let Poll::Ready(count) = Pin::new(&mut self.io).poll_read(cx, &mut buf)? {
                    self.is_eof = count == 0;
                    self.buf.extend_from_slice(&buf[..count]);
                    is_moved = true;
                }
            }
            if is_moved { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }
}

/// A server on one end of a pipe that is so wide, and a peer on the other.
pub(crate) fn pipe<H: Handler>(server: Server<H>, width: usize, keep_conn: bool) -> Peer<Pipe> {
    let (ours, theirs) = duplex(width);
    smol::spawn(server.serve_connection(theirs)).detach();
    Peer::new(ours, keep_conn)
}
