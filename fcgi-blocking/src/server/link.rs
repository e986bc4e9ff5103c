use std::fmt;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fcgi_proto::server::{Hub, Incoming, Session, Settings};

use super::ConnectionError;
use crate::socket::Socket;
use crate::wake::Wake;

/// One connection: what its driver and the handlers of its requests share.
///
/// The driver is the thread that waits for the socket. A handler does not wake it to have its output sent, but carries the
/// bytes itself with [`pump`](Self::pump), as far as that goes without waiting; so an answer costs no change of threads.
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) hub: Arc<Hub>,
    /// Wakes the driver.
    pub(super) wake: Wake,
    /// Empty once the connection is lost.
    state: Mutex<Option<State>>,
    start: Box<Start>,
    /// How many handlers run.
    pub(super) running: AtomicU32,
}

/// Starts the handler of a request.
pub(super) type Start = dyn Fn(&Arc<Link>, Incoming) + Send + Sync;

#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    /// What the driver waits for on the socket.
    pub(super) watched: Watched,
    /// When something was last read, or a handler ended.
    pub(super) last_news: Instant,
    /// How the connection ended, once it has.
    pub(super) result: Option<Result<(), ConnectionError>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    pub(super) input: bool,
    pub(super) output: bool,
}

impl Link {
    pub(super) fn new(
        socket: Socket,
        settings: Arc<Settings>,
        start: Box<Start>,
    ) -> io::Result<Arc<Self>> {
        let hub = Arc::new(Hub::default());
        let state = State {
            session: Session::new(settings, Arc::clone(&hub)),
            watched: Watched::default(),
            last_news: Instant::now(),
            result: None,
        };
        let (state, running) = (Mutex::new(Some(state)), AtomicU32::new(0));
        Ok(Arc::new(Self { socket, hub, wake: Wake::new()?, state, start, running }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<State>> {
        // Nothing in here panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what can be moved without waiting: from the handlers to the socket, and from what was read to the handlers.
    pub(super) fn advance(self: &Arc<Self>, state: &mut State) {
        while state.result.is_none() {
            match state.session.poll_request() {
                Ok(Some(incoming)) => {
                    (self.start)(self, incoming);
                    continue;
                }
                // What is outgoing is written first.
                Ok(None) | Err(_) if state.session.has_outgoing() => {}
                Ok(None) => break,
                Err(error) => {
                    state.result = Some(Err(error.into()));
                    break;
                }
            }
            match self.socket.write(&mut state.session.outgoing()) {
                // There may be room for more.
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => state.result = Some(Err(error.into())),
            }
        }
        if state.session.is_over() {
            state.result.get_or_insert(Ok(()));
        }
    }

    /// No new requests are wanted: the connection ends as soon as it is idle.
    pub(super) fn stop(&self) {
        self.hub.stop();
        self.wake.wake();
    }

    /// The connection is over: whoever waits for it is told, and the driver ends.
    pub(super) fn lose(&self) {
        let state = self.lock().take();
        // It wakes handlers, so it is dropped outside the lock.
        drop(state);
        self.wake.wake();
    }

    /// Sends what the handlers have written, and hands them what was read.
    pub(super) fn pump(self: &Arc<Self>) {
        if let Some(state) = &mut *self.lock() {
            self.pump_state(state);
        }
    }

    /// A handler has taken a piece of its input, for which there is room now.
    pub(super) fn pump_input(self: &Arc<Self>) {
        if let Some(state) = &mut *self.lock() {
            if !state.session.wants_read() {
                self.pump_state(state);
            }
        }
    }

    fn pump_state(self: &Arc<Self>, state: &mut State) {
        self.advance(state);
        if state.needs_driver() {
            self.wake.wake();
        }
    }

    /// A handler has ended, and what is left of its answer is sent.
    pub(super) fn finish(self: &Arc<Self>) {
        if let Some(state) = &mut *self.lock() {
            state.last_news = Instant::now();
            self.pump_state(state);
        }
    }
}

impl State {
    /// Whether there is something for the driver to do that it does not wait for.
    fn needs_driver(&self) -> bool {
        let session = &self.session;
        self.result.is_some()
            || (session.has_outgoing() && !self.watched.output)
            || (session.wants_read() && !self.watched.input)
            || session.is_stopping()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("socket", &self.socket).finish_non_exhaustive()
    }
}
