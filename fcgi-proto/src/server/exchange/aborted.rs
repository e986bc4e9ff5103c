use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::Exchange;

/// Tells when the web server has lost interest in a request: by ABORT_REQUEST (section 5.4), or by closing its direction
/// of the connection, which most web servers do instead.
///
/// It is a signal: a handler that does not look at it goes on, to its end or until it is stopped because the connection
/// failed under its output. A web server that is behind a full window of a body
/// ([`Settings::stdin_window`](super::super::Settings::stdin_window)) is not heard.
///
/// ```
/// use fcgi_proto::server::Aborted;
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// let aborted = Aborted::new(request.exchange);
/// assert!(!aborted.is_aborted());
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
pub struct Aborted {
    exchange: Arc<Exchange>,
    /// Its name among those that wait, while it does.
    id: Option<u64>,
}

impl Aborted {
    /// Waits for the abort of this request.
    #[must_use]
    pub const fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, id: None }
    }

    /// Whether it has happened.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.exchange.lock().is_aborted
    }

    /// Resolves when it happens, at once if it has. Cancel safe.
    pub async fn wait(&self) {
        self.clone().await;
    }
}

/// Resolves when it happens.
impl Future for Aborted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.exchange.lock();
        if state.is_aborted {
            this.id = None;
            return Poll::Ready(());
        }
        this.id = Some(state.abort_waiters.register(this.id, cx.waker()));
        Poll::Pending
    }
}

impl Clone for Aborted {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.exchange))
    }
}

impl Drop for Aborted {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.exchange.lock().abort_waiters.forget(id);
        }
    }
}

impl fmt::Debug for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aborted").field(&self.is_aborted()).finish()
    }
}

/// Who waits for the abort of a request; each leaves when it is dropped, so that the list does not grow.
#[derive(Default)]
pub(super) struct Waiters {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Waiters {
    fn register(&mut self, id: Option<u64>, waker: &Waker) -> u64 {
        let id = id.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.wakers.insert(id, waker.clone());
        id
    }

    fn forget(&mut self, id: u64) {
        self.wakers.remove(&id);
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        core::mem::take(&mut self.wakers).into_values()
    }
}
