use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use fcgi_proto::RequestKey;
use tokio::sync::Notify;

/// How the handlers of one connection, and the server, reach its driver.
///
/// Each open request is in the list at most once, so the list is bounded by the requests that may be open.
#[derive(Debug, Default)]
pub(super) struct Hub {
    /// Requests whose handler has done something that the driver has to see.
    ready: Mutex<Vec<RequestKey>>,
    is_stopping: AtomicBool,
    /// Keeps one wake-up when the driver is not waiting, so that none is lost.
    driver: Notify,
}

impl Hub {
    pub(super) fn announce(&self, key: RequestKey) {
        self.ready().push(key);
        self.driver.notify_one();
    }

    /// Moves the announced requests to the end of `to`.
    pub(super) fn take_ready(&self, to: &mut impl Extend<RequestKey>) {
        to.extend(mem::take(&mut *self.ready()));
    }

    /// No new requests are wanted: the connection ends as soon as it is idle.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.driver.notify_one();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Resolves when something was announced since the last time, or the server stops.
    pub(super) async fn news(&self) {
        self.driver.notified().await;
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, Vec<RequestKey>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
