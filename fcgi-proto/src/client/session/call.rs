use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error as StdError;
use core::fmt;
use core::task::{Context, Poll};
use core::time::Duration;

use alloc::boxed::Box;
use bytes::Bytes;

use super::{Received, Shared};
use crate::client::{End, Exchange, Timings};
use crate::wakes::Wakes;
use crate::{Error, ErrorKind, Phase, RequestKey};

/// One request of a [`Session`](super::Session), as its caller has it: what an adapter's response is made of.
///
/// One task has it: feed the body while [`poll_body`](Self::poll_body) says so, take what
/// [`poll_received`](Self::poll_received) gives, and poll again at [`deadline`](Self::deadline) at the latest. Dropping it
/// aborts the request, at whatever point.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// use core::time::Duration;
/// use fcgi_proto::client::{Session, SessionSettings};
/// use fcgi_proto::{Request, Timeouts};
///
/// let (mut session, caller) = Session::new(SessionSettings::default());
/// let (parts, body) = Request::<String>::post("/srv/upload.php").body("hello").into_parts()?;
/// let now = Duration::ZERO;
/// let mut call = caller.begin(&parts, Timeouts::default(), now, now)?;
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(call.poll_body(&mut cx), Poll::Ready(true));
/// call.send_body(body.into());
/// call.finish_body();
/// assert!(session.has_outgoing());
/// assert!(call.poll_received(&mut cx, now).is_pending());
/// drop(call); // gives the request up
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Call {
    shared: Arc<Shared>,
    key: RequestKey,
}

impl Call {
    pub(super) const fn new(shared: Arc<Shared>, key: RequestKey) -> Self {
        Self { shared, key }
    }

    /// The next news of the response; once there is an error or [`Received::End`], there is no other.
    ///
    /// # Errors
    /// The request failed, or its connection; how far it had come is in the error.
    pub fn poll_received(
        &mut self,
        cx: &Context<'_>,
        now: Duration,
    ) -> Poll<Result<Received, Error>> {
        let mut wakes = Wakes::default();
        self.shared.lock().poll_received(self.key, cx, now, &mut wakes)
    }

    /// Whether to ask the body's source for more. `false` is for good: the body is whole, or nobody takes it any more.
    pub fn poll_body(&mut self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.shared.lock();
        let window = state.settings.body_window;
        match state.calls.get_mut(&self.key) {
            Some(open) if open.is_live && open.exchange.is_sending() && !open.body.is_whole => {
                if open.body.held() < window {
                    Poll::Ready(true)
                } else {
                    open.wait(cx)
                }
            }
            _ => Poll::Ready(false),
        }
    }

    /// Hands in more of the body. One that is longer than announced ends the request, as
    /// [`poll_received`](Self::poll_received) tells.
    pub fn send_body(&mut self, data: Bytes) {
        self.change_body(|body| body.push(data));
    }

    /// Nothing more comes of the body. One that is shorter than announced ends the request, as
    /// [`poll_received`](Self::poll_received) tells.
    pub fn finish_body(&mut self) {
        self.change_body(|body| body.is_whole = true);
    }

    /// The source of the body has failed, which ends the request: as [`poll_received`](Self::poll_received) tells.
    pub fn fail_body(&mut self, error: impl Into<Box<dyn StdError + Send + Sync>>) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        let Some(open) = state.calls.get(&self.key) else { return };
        let error = open.exchange.failed_body(error);
        state.fail(self.key, error, &mut wakes);
    }

    fn change_body(&self, change: impl FnOnce(&mut super::open::Body)) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        let Some(open) = state.calls.get_mut(&self.key).filter(|open| open.is_live) else { return };
        change(&mut open.body);
        state.queue_to_send(self.key, &mut wakes);
    }

    /// When to call [`poll_received`](Self::poll_received) at the latest, in the session's time.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.shared.lock().deadline(self.key)
    }

    /// Takes the error output so far, which makes room for more.
    #[must_use]
    pub fn take_stderr(&mut self) -> Vec<u8> {
        let mut state = self.shared.lock();
        let open = state.calls.get_mut(&self.key);
        open.map(|open| open.exchange.take_stderr()).unwrap_or_default()
    }

    /// How many bytes of error output came beyond the limit and were not kept.
    #[must_use]
    pub fn stderr_dropped(&self) -> u64 {
        self.look(Exchange::stderr_dropped).unwrap_or_default()
    }

    /// How far the request has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.look(Exchange::phase).unwrap_or(Phase::Send)
    }

    /// How the response ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.look(Exchange::end).flatten()
    }

    /// How long each phase took so far.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.look(Exchange::timings).unwrap_or_default()
    }

    /// Says how long the call waited for its place, and for the connection being made; see [`timings`](Self::timings).
    pub fn handle_connection(&mut self, queue: Duration, connect: Duration) {
        if let Some(open) = self.shared.lock().calls.get_mut(&self.key) {
            open.exchange.handle_connection(queue, connect);
        }
    }

    /// The caller's error for a body that is longer than it wants.
    #[must_use]
    pub fn too_large(&self, limit: usize) -> Error {
        let error = self.look(|exchange| exchange.too_large(limit));
        error.unwrap_or_else(|| Error::new(ErrorKind::TooLarge { limit }))
    }

    /// Bytes written for this request, protocol included.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.look(Exchange::bytes_sent).unwrap_or_default()
    }

    /// Bytes read for this request, protocol included.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.look(Exchange::bytes_received).unwrap_or_default()
    }

    fn look<T>(&self, look: impl FnOnce(&Exchange) -> T) -> Option<T> {
        self.shared.lock().calls.get(&self.key).map(|open| look(&open.exchange))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        self.shared.lock().give_up(self.key, &mut wakes);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("key", &self.key).finish_non_exhaustive()
    }
}
