use std::sync::atomic::{AtomicUsize, Ordering};

use fcgi_proto::pool::Lane;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The event loop of the task that asks.
///
/// A runtime of one thread has one of its own, and a socket that another's task uses wakes that thread for each read and
/// write. A runtime of several threads has one for all of them, so that no thread is nearer to a socket than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Of a runtime of one thread, by the number of that.
    Thread(usize),
    /// Of a runtime of several threads.
    Threads,
}

impl Home {
    pub(super) fn current() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::CurrentThread) => Self::Thread(NUMBER.with(|number| *number)),
            _ => Self::Threads,
        }
    }

    pub(super) const fn lane(self) -> Lane {
        match self {
            Self::Thread(number) => Lane::new(number),
            Self::Threads => Lane::new(0),
        }
    }
}
