use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::wake::Wake;

/// Ends a server from another thread; from [`Server::shutdown_handle`](super::Server::shutdown_handle).
///
/// It takes locks, so it is not for a signal handler itself but for a thread that waits for signals.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_requested: AtomicBool,
    /// Wakes the accepting thread, once there is one. Also when a place for a connection becomes free.
    wake: OnceLock<Wake>,
}

impl Shutdown {
    /// Makes the server stop listening, close idle connections, let the requests on the others end, and close those.
    /// [`serve`](super::Server::serve) returns after that. Before it was called, it returns at once then.
    pub fn shutdown(&self) {
        self.0.is_requested.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::SeqCst)
    }

    pub(super) fn wake(&self) {
        if let Some(wake) = self.0.wake.get() {
            wake.wake();
        }
    }

    /// What the accepting thread waits for.
    pub(super) fn waker(&self) -> io::Result<&Wake> {
        let made = Wake::new()?;
        Ok(self.0.wake.get_or_init(|| made))
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.is_requested()).finish()
    }
}
