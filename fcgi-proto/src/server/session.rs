use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::task::{Context, Poll};
use core::time::Duration;

use bytes::Bytes;

use super::exchange::{Exchange, Hub, InputStream, Outcome, OutputError};
use super::{Connection, Event, Refusal, Settings};
use crate::telemetry;
use crate::{Outgoing, Params, ProtocolError, RequestKey, Role};

/// A connection whose requests are answered by handlers of their own: the decisions that every adapter's server shares.
///
/// ```text
///   socket ──> handle_read ──> Connection ──events──> Exchange of a request <──> its handler
///   socket <── outgoing <───── Connection <──outcomes── Exchange
/// ```
/// An adapter owns the socket, the clock and the handlers. Its loop: start a handler for each
/// [`poll_request`](Self::poll_request); leave when [`is_over`](Self::is_over), or when the session [is
/// idle](Self::is_idle) and the server stops or [`idle_timeout`](Self::idle_timeout) has passed; else write what is
/// [outgoing](Self::outgoing), read while it [`wants_read`](Self::wants_read), and wait for
/// [`poll_news`](Self::poll_news).
///
/// ```
/// use core::pin::pin;
/// use core::task::{Context, Waker};
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, OutputError, OutputStream, Session, Settings, Writer};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// while let Some(request) = session.poll_request()? {
///     let exchange = request.exchange;
///     let mut stdout = Writer::new(Arc::clone(&exchange), OutputStream::Stdout);
///     let handler = async {
///         stdout.write("Content-Type: text/plain\r\n\r\nhello".into()).await?;
///         Ok::<_, OutputError>(0)
///     };
///     let mut task = pin!(exchange.run(handler)); // an adapter spawns it
///     assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// }
/// assert!(session.poll_request()?.is_none()); // takes what the handler has written
/// assert!(session.has_outgoing()); // write these, then `advance`
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// Dropping it tells the handlers that the connection is gone; the adapter then stops those that do not end.
#[derive(Debug)]
pub struct Session {
    conn: Connection,
    settings: Arc<Settings>,
    hub: Arc<Hub>,
    requests: BTreeMap<RequestKey, Open>,
    /// Requests that may have something to send; each is asked for one piece in turn.
    backlog: VecDeque<RequestKey>,
    /// What was read and is not looked at yet.
    input: Bytes,
    /// Input of a request that has no room for it. Until it has, no more events are asked for.
    stalled: Option<(RequestKey, InputStream, Bytes)>,
    is_eof: bool,
}

/// A request for which a handler is to be started.
///
/// ```
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// assert_eq!(request.role, fcgi_proto::Role::Responder);
/// assert!(request.params.is_empty());
/// request.exchange.finish::<String>(Ok(Ok(0))); // a handler that has nothing to say
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Incoming {
    /// What is asked; one of [`Settings::roles`].
    pub role: Role,
    /// The CGI environment.
    pub params: Params,
    /// Links the handler to the session.
    pub exchange: Arc<Exchange>,
}

/// A request that has not ended; its handler is told when it goes.
#[derive(Debug)]
struct Open(Arc<Exchange>);

impl Session {
    /// A session on which nothing has come.
    #[must_use]
    pub fn new(settings: Arc<Settings>, hub: Arc<Hub>) -> Self {
        Self {
            conn: Connection::new(settings.config.clone()),
            settings,
            hub,
            requests: BTreeMap::new(),
            backlog: VecDeque::new(),
            input: Bytes::new(),
            stalled: None,
            is_eof: false,
        }
    }

    /// Moves the output of handlers and the input for them as far as there is room, and gives the next request.
    ///
    /// # Errors
    /// The peer broke the protocol. What is outgoing is still to be written; every later call says the same.
    pub fn poll_request(&mut self) -> Result<Option<Incoming>, ProtocolError> {
        self.collect();
        if let Some((key, stream, data)) = self.stalled.take() {
            self.offer(key, stream, data);
        }
        let input = core::mem::take(&mut self.input);
        let mut rest: &[u8] = &input;
        let mut incoming = None;
        while self.stalled.is_none() && incoming.is_none() {
            let Some(event) = self.conn.poll_event(&mut rest)? else { break };
            incoming = self.on_event(&input, event);
        }
        self.input = input.slice_ref(rest);
        Ok(incoming)
    }

    /// The bytes to write.
    pub fn outgoing(&mut self) -> Outgoing<'_> {
        self.conn.outgoing()
    }

    /// Whether there are bytes to write.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        self.conn.has_outgoing()
    }

    /// Whether to read from the socket.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !self.is_eof && self.input.is_empty() && self.stalled.is_none() && self.conn.wants_read()
    }

    /// How much room to read into: large for bodies, small between requests, as thousands of connections may idle.
    #[must_use]
    pub fn read_size(&self) -> usize {
        if self.conn.open_requests() == 0 { IDLE_READ } else { BUSY_READ }
    }

    /// Says what was read; call [`poll_request`](Self::poll_request) then. Nothing means the end of the input.
    ///
    /// Report a failure to read as the end as well: whether the peer closed or reset, it asks for nothing any more, and
    /// whether it still listens shows in writing.
    pub fn handle_read(&mut self, data: Bytes) {
        if data.is_empty() {
            self.is_eof = true;
            self.conn.handle_eof();
        } else {
            self.input = data;
        }
    }

    /// Whether the peer has closed its direction.
    #[must_use]
    pub const fn is_eof(&self) -> bool {
        self.is_eof
    }

    /// Ready when a handler has something to send, has made room for input, or the server stops: call
    /// [`poll_request`](Self::poll_request) then. Pending while the output is at its cap, since then writing comes first.
    pub fn poll_news(&self, cx: &Context<'_>) -> Poll<()> {
        if self.conn.is_blocked() { Poll::Pending } else { self.hub.poll_news(cx) }
    }

    /// Whether no request is open and everything is written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.conn.open_requests() == 0 && !self.conn.has_outgoing()
    }

    /// Whether to close when nothing is to be read: the session is idle, and the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_idle() && self.hub.is_stopping()
    }

    /// How long to wait now before closing; `None` without limit.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.settings.idle_timeout.filter(|_| self.is_idle())
    }

    /// Whether the connection has ended and everything is written: shut down writing, and unless [`is_eof`](Self::is_eof)
    /// read on for a moment; see [`Settings::LINGER`].
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.conn.is_closing() && !self.conn.has_outgoing()
    }

    /// Takes what the handlers have to send, in turn, as far as the output has room.
    fn collect(&mut self) {
        self.hub.take_ready(&mut self.backlog);
        while !self.conn.is_blocked() {
            let Some(key) = self.backlog.pop_front() else { return };
            let outcome = self.requests.get(&key).and_then(|open| open.0.next_outcome());
            if let Some(outcome) = outcome {
                self.send(key, outcome);
            }
        }
    }

    fn send(&mut self, key: RequestKey, outcome: Outcome) {
        let Some(mut response) = self.conn.response(key) else {
            self.requests.remove(&key);
            return;
        };
        // Neither is blocked: there is room, or the request would not have been asked.
        let _ = match outcome {
            Outcome::Stdout(data) => response.stdout(data),
            Outcome::Stderr(data) => response.stderr(data),
            Outcome::End { app_status } => {
                response.end(app_status);
                self.requests.remove(&key);
                return;
            }
            Outcome::Cut => {
                response.cut();
                self.requests.remove(&key);
                return;
            }
        };
        self.backlog.push_back(key);
    }

    fn on_event(&mut self, input: &Bytes, event: Event<'_>) -> Option<Incoming> {
        match event {
            Event::Request { key, role, params } => return self.on_request(key, role, params),
            Event::Stdin { key, data } => self.offer(key, InputStream::Stdin, own(input, data)),
            Event::Data { key, data } => self.offer(key, InputStream::Data, own(input, data)),
            Event::StdinEnd { key } => self.complete(key, InputStream::Stdin),
            Event::DataEnd { key } => self.complete(key, InputStream::Data),
            Event::Aborted { key } => self.on_aborted(key),
            Event::Refused { request_id, reason } => telemetry::refused(request_id, &reason),
        }
        None
    }

    fn on_request(&mut self, key: RequestKey, role: Role, params: Params) -> Option<Incoming> {
        if !self.settings.roles.contains(&role) {
            if let Some(response) = self.conn.response(key) {
                response.refuse(Refusal::UnknownRole);
            }
            return None;
        }
        let hub = Arc::clone(&self.hub);
        let exchange = Arc::new(Exchange::new(key, role, &params, hub, &self.settings));
        self.requests.insert(key, Open(Arc::clone(&exchange)));
        Some(Incoming { role, params, exchange })
    }

    fn offer(&mut self, key: RequestKey, stream: InputStream, data: Bytes) {
        // Without a request its handler has ended, and what was on its way is of no use.
        let Some(open) = self.requests.get(&key) else { return };
        if let Err(data) = open.0.offer(stream, data) {
            self.stalled = Some((key, stream, data));
        }
    }

    fn complete(&self, key: RequestKey, stream: InputStream) {
        if let Some(open) = self.requests.get(&key) {
            open.0.complete(stream);
        }
    }

    fn on_aborted(&self, key: RequestKey) {
        // Behind an end of its input a peer may still be reading, as one that only shut down writing.
        let error = (!self.is_eof).then_some(OutputError::Aborted);
        if let Some(open) = self.requests.get(&key) {
            open.0.abort(error);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Of no effect when the handler has returned, which is the usual case.
        self.0.abort(Some(OutputError::Disconnected));
    }
}

/// Data that was lent from `input`, to keep.
fn own(input: &Bytes, data: &[u8]) -> Bytes {
    if data.len() < COPIED_BELOW { Bytes::copy_from_slice(data) } else { input.slice_ref(data) }
}

/// Room for the parameters that web servers send; kept by every idle connection.
const IDLE_READ: usize = 8 * 1024;
/// For bodies.
const BUSY_READ: usize = 64 * 1024;
/// Small pieces are copied, or each would keep a whole buffer in memory.
const COPIED_BELOW: usize = 4096;
