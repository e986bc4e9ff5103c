use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use super::{Call, Shared};
use crate::error::BeginError;
use crate::wakes::Wakes;
use crate::{Parts, Timeouts};

/// Begins requests on a [`Session`](super::Session). When the last of its clones is dropped and all requests have ended,
/// the session is over.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::client::{Session, SessionSettings};
/// use fcgi_proto::{Request, Timeouts};
///
/// let (session, caller) = Session::new(SessionSettings::default());
/// let now = Duration::ZERO;
/// let calls = ["/srv/a.php", "/srv/b.php"].map(|script| {
///     let (parts, ()) = Request::get(script).into_parts().expect("nothing is wrong with it");
///     caller.begin(&parts, Timeouts::default(), now, now).expect("there is room")
/// });
/// assert!(caller.is_usable());
/// drop(session); // the connection is gone
/// assert!(!caller.is_usable());
/// # drop(calls);
/// ```
pub struct Caller {
    shared: Arc<Shared>,
}

impl Caller {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.lock().callers += 1;
        Self { shared }
    }

    /// Begins a request; its body comes by [`Call::send_body`] and [`Call::finish_body`]. `started` is when the call began,
    /// queueing and connecting included, and `now` is now, both in the session's time.
    ///
    /// # Errors
    /// As [`Connection::begin`](crate::client::Connection::begin), but it is never blocked: the parameters wait at most
    /// for what is being written. Nothing was sent then.
    pub fn begin(
        &self,
        parts: &Parts,
        timeouts: Timeouts,
        started: Duration,
        now: Duration,
    ) -> Result<Call, BeginError> {
        let mut wakes = Wakes::default();
        let key = self.shared.lock().begin(parts, timeouts, [started, now], &mut wakes)?;
        Ok(Call::new(Arc::clone(&self.shared), key))
    }

    /// Whether requests may begin. Once not, never again: the connection is broken, the application has closed it or does
    /// not end what it was asked to give up.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.shared.lock().is_usable()
    }
}

impl Clone for Caller {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.callers -= 1;
        if state.callers == 0 {
            state.tell_driver(&mut wakes);
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("is_usable", &self.is_usable()).finish()
    }
}
