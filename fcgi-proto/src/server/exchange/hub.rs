use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::RequestKey;

/// How the handlers of one connection, and the server, reach whoever drives its [`Session`](super::super::Session).
///
/// ```
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// request.exchange.finish::<String>(Ok(Ok(0))); // announces the request to the hub
/// assert!(session.poll_request()?.is_none()); // the session has seen it
/// assert!(session.has_outgoing());
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Debug, Default)]
pub struct Hub(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests whose handler has done something that the session has to see. Each open request is in here at most once,
    /// so the list is bounded by the requests that may be open.
    ready: Vec<RequestKey>,
    /// Kept until somebody asks, so that no news is lost.
    has_news: bool,
    is_stopping: bool,
    driver: Option<Waker>,
}

impl Hub {
    /// No new requests are wanted: the connection ends as soon as it is idle.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        let driver = state.news();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Whether [`stop`](Self::stop) was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Gives back who is to be woken.
    pub(super) fn announce(&self, key: RequestKey) -> Option<Waker> {
        let mut state = self.lock();
        state.ready.push(key);
        state.news()
    }

    /// Moves the announced requests to the end of `to`.
    pub(crate) fn take_ready(&self, to: &mut impl Extend<RequestKey>) {
        to.extend(self.lock().ready.drain(..));
    }

    /// Ready when something was announced since the last time, or the server stops. Only one task is woken: the last one
    /// that asked.
    pub(crate) fn poll_news(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if core::mem::take(&mut state.has_news) {
            return Poll::Ready(());
        }
        match &mut state.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn news(&mut self) -> Option<Waker> {
        self.has_news = true;
        self.driver.take()
    }
}
