//! What the handler of a request and the driver of its connection share.

mod aborted;
mod error;
mod handling;
mod hub;
mod input;
mod output;
mod reader;
mod writer;

use alloc::sync::Arc;
use core::fmt;
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use aborted::Aborted;
pub use error::{InputError, OutputError};
pub use hub::Hub;
pub use output::OutputStream;
pub use reader::Reader;
pub use writer::Writer;

use super::Settings;
use crate::telemetry::ServerSpan;
use crate::{Params, RequestKey, Role};
use aborted::Waiters;
use input::Input;
use output::Output;

/// What the handler of one request and the [`Session`](super::Session) of its connection share.
///
/// The handler reads through a [`Reader`], writes through a [`Writer`], learns of an abort from [`Aborted`], and ends with
/// [`run`](Self::run) or [`finish`](Self::finish). Both directions are queues bounded by bytes. Whatever a handler does
/// that the session has to see announces the request to the [`Hub`], once until the session has seen it all.
///
/// ```
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// assert!(session.poll_request()?.is_none() && !session.has_outgoing()); // nothing to send yet
/// request.exchange.finish::<String>(Ok(Ok(0)));
/// assert!(session.poll_request()?.is_none() && session.has_outgoing()); // the end of the request
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
pub struct Exchange {
    key: RequestKey,
    hub: Arc<Hub>,
    is_head: bool,
    span: ServerSpan,
    state: Mutex<State>,
}

struct State {
    stdin: Input,
    data: Input,
    output: Output,
    is_announced: bool,
    /// The handler is being polled. What it writes is announced when it stops to wait: so an answer leaves in one piece,
    /// on whatever thread the session runs.
    is_running: bool,
    /// It has written something that is yet to be announced.
    has_news: bool,
    is_aborted: bool,
    abort_waiters: Waiters,
    /// The response is given up, and ends without its end.
    is_cut: bool,
    /// The handler has returned this, and it is yet to be sent.
    app_status: Option<u32>,
    /// Writing is of no use any more.
    output_error: Option<OutputError>,
}

/// The two streams that a handler reads.
///
/// ```
/// use fcgi_proto::server::{InputStream, Reader};
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// let file = Reader::new(request.exchange, InputStream::Data); // what a Filter is given
/// # drop(file);
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputStream {
    /// The body.
    Stdin,
    /// The file of a Filter.
    Data,
}

/// The next thing to send for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stdout(Bytes),
    Stderr(Bytes),
    End { app_status: u32 },
    Cut,
}

/// The session's side.
impl Exchange {
    pub(super) fn new(
        key: RequestKey,
        role: Role,
        params: &Params,
        hub: Arc<Hub>,
        settings: &Settings,
    ) -> Self {
        let mut data = Input::new(settings.stdin_window);
        if role != Role::Filter {
            data.complete();
        }
        let state = State {
            stdin: Input::new(settings.stdin_window),
            data,
            output: Output::new(settings.stdout_window),
            is_announced: false,
            is_running: false,
            has_news: false,
            is_aborted: false,
            abort_waiters: Waiters::default(),
            is_cut: false,
            app_status: None,
            output_error: None,
        };
        let is_head = params.get("REQUEST_METHOD") == Some(b"HEAD");
        let span = ServerSpan::new(role, params);
        Self { key, hub, is_head, span, state: Mutex::new(state) }
    }

    /// Hands input to the handler; gives it back when there is no room, and announces the request once there is.
    pub(super) fn offer(&self, stream: InputStream, data: Bytes) -> Result<(), Bytes> {
        let reader = self.lock().input(stream).offer(data)?;
        wake([reader]);
        Ok(())
    }

    pub(super) fn complete(&self, stream: InputStream) {
        let reader = self.lock().input(stream).complete();
        wake([reader]);
    }

    /// The web server has lost interest. `error` is what further writes get; none when they may still reach somebody.
    pub(super) fn abort(&self, error: Option<OutputError>) {
        let mut state = self.lock();
        if !core::mem::replace(&mut state.is_aborted, true)
            && state.app_status.is_none()
            && !matches!(state.output_error, Some(OutputError::Ended))
        {
            self.span.aborted();
        }
        let readers = [state.stdin.cut(), state.data.cut()];
        let writers = match error {
            Some(error) => state.fail(error),
            None => [None, None],
        };
        let waiters = state.abort_waiters.take();
        drop(state);
        wake(readers);
        wake(writers);
        wake(waiters.map(Some));
    }

    /// The next thing to send; the request counts as announced until there is none.
    pub(super) fn next_outcome(&self) -> Option<Outcome> {
        let mut state = self.lock();
        let outcome = match state.output.pop() {
            Some((OutputStream::Stdout, data)) => Some(Outcome::Stdout(data)),
            Some((OutputStream::Stderr, data)) => Some(Outcome::Stderr(data)),
            None if state.is_cut => state.app_status.take().map(|_| Outcome::Cut),
            None => state.app_status.take().map(|app_status| Outcome::End { app_status }),
        };
        state.is_announced = outcome.is_some();
        let writers = state.output.writers_with_room();
        drop(state);
        wake(writers);
        outcome
    }
}

/// The handler's side.
impl Exchange {
    fn poll_chunk(
        &self,
        stream: InputStream,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, InputError>> {
        let mut state = self.lock();
        let chunk = state.input(stream).poll_chunk(cx);
        self.announce_room(state, stream);
        chunk
    }

    fn refuse_input(&self, stream: InputStream) {
        let mut state = self.lock();
        state.input(stream).refuse();
        self.announce_room(state, stream);
    }

    /// Waits for room, then lets `push` add to the output.
    fn poll_push<T>(
        &self,
        stream: OutputStream,
        cx: &Context<'_>,
        push: impl FnOnce(&mut Output) -> T,
    ) -> Poll<Result<T, OutputError>> {
        let mut state = self.lock();
        if let Some(error) = state.output_error {
            return Poll::Ready(Err(error));
        }
        if state.output.poll_room(stream, cx).is_pending() {
            return Poll::Pending;
        }
        let pushed = push(&mut state.output);
        if state.is_running && !state.output.is_full() {
            state.has_news = true;
        } else {
            self.announce(state);
        }
        Poll::Ready(Ok(pushed))
    }

    /// The response is to end without its end, if it has begun.
    fn cut(&self) {
        let mut state = self.lock();
        state.is_cut = state.output.has_stdout();
    }

    /// Waits until the session has taken everything.
    fn poll_flush(&self, stream: OutputStream, cx: &Context<'_>) -> Poll<Result<(), OutputError>> {
        let mut state = self.lock();
        if let Some(error) = state.output_error {
            return Poll::Ready(Err(error));
        }
        let flushed = state.output.poll_empty(stream, cx);
        if flushed.is_pending() {
            self.announce(state);
        }
        flushed.map(Ok)
    }

    /// The handler runs from here to [`pause`](Self::pause) or its end.
    fn resume(&self) {
        self.lock().is_running = true;
    }

    /// The handler waits for something.
    fn pause(&self) {
        let mut state = self.lock();
        state.is_running = false;
        if state.has_news {
            self.announce(state);
        }
    }

    fn announce_room(&self, mut state: MutexGuard<'_, State>, stream: InputStream) {
        if state.input(stream).has_awaited_room() {
            self.announce(state);
        }
    }

    fn announce(&self, mut state: MutexGuard<'_, State>) {
        state.has_news = false;
        let is_known = core::mem::replace(&mut state.is_announced, true);
        // Within the lock, so that a request is never in the list twice; but whoever it wakes is woken outside.
        let driver = if is_known { None } else { self.hub.announce(self.key) };
        drop(state);
        wake([driver]);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two writes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn input(&mut self, stream: InputStream) -> &mut Input {
        match stream {
            InputStream::Stdin => &mut self.stdin,
            InputStream::Data => &mut self.data,
        }
    }

    fn fail(&mut self, error: OutputError) -> [Option<Waker>; 2] {
        self.output_error.get_or_insert(error);
        self.output.clear();
        self.output.take_writers()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Outside the lock: who is woken may want it at once.
fn wake(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        waker.wake();
    }
}
