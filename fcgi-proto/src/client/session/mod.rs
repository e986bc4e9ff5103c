//! Several requests over one connection, each with queues of its own.

mod call;
mod caller;
mod open;
mod received;
mod settings;
mod state;
mod time;
mod transfer;
mod unsent;

use alloc::sync::Arc;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::wakes::Wakes;
pub use call::Call;
pub use caller::Caller;
pub use received::Received;
pub use settings::SessionSettings;
use state::{Failure, State};

use crate::{Outgoing, Params};

/// A connection that several callers share: the decisions that every adapter's multiplexed client shares.
///
/// ```text
///   socket ──> handle_read ──> Connection ──events──> queue of a request ──> Call ──> its caller
///   socket <── write_with <─── Connection <──pieces── body of a request  <── Call
/// ```
/// An adapter owns the socket and the clock. Its loop: leave when [`is_over`](Self::is_over), else write while there is
/// something [outgoing](Self::has_outgoing), read while it [`wants_read`](Self::wants_read), and wait for
/// [`poll_news`](Self::poll_news). Callers need no loop of their own: they poll their [`Call`], and its time limits with
/// it.
///
/// What came for a slow caller is held for it up to [`Config::request_window`](super::Config::request_window). Past that
/// the connection pauses, and the others with it, as FastCGI has no windows of its own. Their time does not count
/// meanwhile, while his does: who takes nothing for his idle limit is given up, so that nobody stalls the others for ever.
///
/// `now` is the time since any fixed moment, the same for all calls.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// use core::time::Duration;
/// use bytes::{Buf, Bytes};
/// use fcgi_proto::client::{Received, Session, SessionSettings};
/// use fcgi_proto::{Request, Timeouts};
///
/// let (mut session, caller) = Session::new(SessionSettings::default());
/// let (parts, ()) = Request::get("/srv/hello.php").into_parts()?;
/// let now = Duration::ZERO;
/// let mut call = caller.begin(&parts, Timeouts::default(), now, now)?;
/// call.finish_body();
/// session.write_with(now, |outgoing| outgoing.advance(outgoing.remaining())); // wrote it all
/// # let read = b"\x01\x06\0\x01\0\x06\0\0A: b\n\n\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
/// session.handle_read(Bytes::from_static(read), now); // what the socket gave
/// let mut cx = Context::from_waker(Waker::noop());
/// let Poll::Ready(Ok(Received::Head { head, .. })) = call.poll_received(&mut cx, now) else { panic!() };
/// assert_eq!(head.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping it tells all callers that the connection is gone.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

/// What a session and its callers share.
#[derive(Debug)]
struct Shared(Mutex<State>);

impl Session {
    /// A session with an application that is known to multiplex, and the handle that begins requests on it.
    #[must_use]
    pub fn new(settings: SessionSettings) -> (Self, Caller) {
        Self::with(State::new(settings, true))
    }

    /// A session that asks the application whether it multiplexes, by GET_VALUES ahead of the first request; see
    /// [`take_values`](Self::take_values). Until it has said so, there should be one request at a time, and one that is
    /// given up ends the connection.
    #[must_use]
    pub fn asking(settings: SessionSettings) -> (Self, Caller) {
        let mut state = State::new(settings, false);
        let asked = state.conn.get_values(["FCGI_MPXS_CONNS", "FCGI_MAX_REQS"]);
        debug_assert!(asked.is_ok(), "two short names fit the default limit");
        let len = state.conn.outgoing_len();
        state.unsent.push(None, len);
        Self::with(state)
    }

    fn with(state: State) -> (Self, Caller) {
        let shared = Arc::new(Shared(Mutex::new(state)));
        let caller = Caller::new(Arc::clone(&shared));
        (Self { shared }, caller)
    }

    /// Whether to close the connection: it has failed or ended, or nobody needs it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.lock().is_over()
    }

    /// Whether there are bytes to write.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        let state = self.shared.lock();
        state.conn.has_outgoing() && state.write_error.is_none()
    }

    /// Lends the bytes to write; `write` takes what it wrote by `advance`. Callers wait meanwhile, so it must not block for
    /// long.
    pub fn write_with<R>(
        &mut self,
        now: Duration,
        write: impl FnOnce(&mut Outgoing<'_>) -> R,
    ) -> R {
        let mut wakes = Wakes::default();
        self.shared.lock().write(now, &mut wakes, write)
    }

    /// Says that writing failed. The application may have answered before: go on reading, and the answers count.
    pub fn handle_write_error(&mut self, error: io::Error) {
        let mut wakes = Wakes::default();
        self.shared.lock().on_write_error(error, &mut wakes);
    }

    /// Whether to read from the socket.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        let state = self.shared.lock();
        !state.has_failed && state.conn.wants_read()
    }

    /// Says what was read. Nothing means the end of the input.
    pub fn handle_read(&mut self, data: Bytes, now: Duration) {
        let mut wakes = Wakes::default();
        self.shared.lock().on_read(&data, now, &mut wakes);
    }

    /// Says that reading failed: no answer comes any more.
    pub fn handle_read_error(&mut self, error: io::Error) {
        let mut wakes = Wakes::default();
        self.shared.lock().fail_all(&Failure::Io(error), &mut wakes);
    }

    /// Ready when a caller has done something that the loop has to look at.
    pub fn poll_news(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.shared.lock().poll_news(cx)
    }

    /// What the application answered to GET_VALUES, once.
    #[must_use]
    pub fn take_values(&mut self) -> Option<Params> {
        self.shared.lock().values.take()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let error = io::Error::new(io::ErrorKind::ConnectionAborted, "its connection was closed");
        self.shared.lock().fail_all(&Failure::Io(error), &mut wakes);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two writes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
