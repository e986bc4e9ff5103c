use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fcgi_proto::{RequestKey, Role};
use tokio::sync::Notify;

use super::hub::Hub;
use super::input::Input;
use super::output::{Output, OutputStream};
use super::{InputError, OutputError};

/// What the handler of one request and the driver of its connection share.
///
/// Both directions are queues bounded by bytes. Whatever a handler does that the driver has to see announces the request
/// to the [`Hub`], once until the driver has seen it all.
#[derive(Debug)]
pub(super) struct Exchange {
    key: RequestKey,
    hub: Arc<Hub>,
    state: Mutex<State>,
    abort: Notify,
}

#[derive(Debug)]
struct State {
    stdin: Input,
    data: Input,
    output: Output,
    is_announced: bool,
    is_aborted: bool,
    /// The handler has returned this, and it is yet to be sent.
    app_status: Option<u32>,
    /// Writing is of no use any more.
    output_error: Option<OutputError>,
}

/// The two streams that a handler reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputStream {
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
}

/// Bounds of the two directions, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) input: usize,
    pub(super) output: usize,
}

/// The driver's side.
impl Exchange {
    pub(super) fn new(key: RequestKey, role: Role, hub: Arc<Hub>, windows: Windows) -> Self {
        let mut data = Input::new(windows.input);
        if role != Role::Filter {
            data.complete();
        }
        let state = State {
            stdin: Input::new(windows.input),
            data,
            output: Output::new(windows.output),
            is_announced: false,
            is_aborted: false,
            app_status: None,
            output_error: None,
        };
        Self {
            key,
            hub,
            state: Mutex::new(state),
            abort: Notify::new(),
        }
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
        state.is_aborted = true;
        let readers = [state.stdin.cut(), state.data.cut()];
        let writers = match error {
            Some(error) => state.fail(error),
            None => [None, None],
        };
        drop(state);
        wake(readers);
        wake(writers);
        self.abort.notify_waiters();
    }

    /// The next thing to send; the request counts as announced until there is none.
    pub(super) fn next_outcome(&self) -> Option<Outcome> {
        let mut state = self.lock();
        let outcome = match state.output.pop() {
            Some((OutputStream::Stdout, data)) => Some(Outcome::Stdout(data)),
            Some((OutputStream::Stderr, data)) => Some(Outcome::Stderr(data)),
            None => state
                .app_status
                .take()
                .map(|app_status| Outcome::End { app_status }),
        };
        state.is_announced = outcome.is_some();
        let writers = state.output.take_writers();
        drop(state);
        wake(writers);
        outcome
    }
}

/// The handler's side.
impl Exchange {
    pub(super) fn poll_chunk(
        &self,
        stream: InputStream,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, InputError>> {
        let mut state = self.lock();
        let chunk = state.input(stream).poll_chunk(cx);
        self.announce_room(&mut state, stream);
        chunk
    }

    pub(super) fn refuse_input(&self, stream: InputStream) {
        let mut state = self.lock();
        state.input(stream).refuse();
        self.announce_room(&mut state, stream);
    }

    /// Waits for room, then lets `push` add to the output.
    pub(super) fn poll_push<T>(
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
        self.announce(&mut state);
        Poll::Ready(Ok(pushed))
    }

    /// Waits until the driver has taken everything.
    pub(super) fn poll_flush(
        &self,
        stream: OutputStream,
        cx: &Context<'_>,
    ) -> Poll<Result<(), OutputError>> {
        let mut state = self.lock();
        if let Some(error) = state.output_error {
            return Poll::Ready(Err(error));
        }
        state.output.poll_empty(stream, cx).map(Ok)
    }

    /// The handler has returned. Output that it has queued is still sent.
    pub(super) fn end(&self, app_status: u32) {
        let mut state = self.lock();
        state.app_status = Some(app_status);
        let writers = [
            state.output.take_writers(),
            // A write that is still waiting somewhere would come too late.
        ];
        state.output_error.get_or_insert(OutputError::Ended);
        self.announce(&mut state);
        drop(state);
        for writers in writers {
            wake(writers);
        }
    }

    /// The handler has failed: says why on stderr, answers with status 500 if nothing was answered yet, and ends.
    pub(super) fn fail(&self, why: &str, error_page: &'static str) {
        let mut state = self.lock();
        state.output.push_slice(OutputStream::Stderr, why.as_bytes());
        state.output.push_slice(OutputStream::Stderr, b"\n");
        if !state.output.has_stdout() {
            state.output.push_slice(OutputStream::Stdout, error_page.as_bytes());
        }
        drop(state);
        self.end(FAILED);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.lock().is_aborted
    }

    pub(super) async fn aborted(&self) {
        // Registered before the question, so that an abort between the two is not missed.
        let mut abort = pin!(self.abort.notified());
        abort.as_mut().enable();
        if !self.is_aborted() {
            abort.await;
        }
    }

    fn announce_room(&self, state: &mut State, stream: InputStream) {
        if state.input(stream).has_awaited_room() {
            self.announce(state);
        }
    }

    fn announce(&self, state: &mut State) {
        if !state.is_announced {
            state.is_announced = true;
            self.hub.announce(self.key);
        }
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
        self.output.give_up()
    }
}

/// Outside the lock: who is woken may want it at once.
fn wake(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        waker.wake();
    }
}

/// The exit status of a handler that failed.
const FAILED: u32 = 1;
