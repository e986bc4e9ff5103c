use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::Shutdown;
use super::link::Link;

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    table: Mutex<Table>,
    /// Signalled when a connection ends.
    is_fewer: Condvar,
    limit: usize,
    shutdown: Shutdown,
}

#[derive(Debug, Default)]
struct Table {
    count: usize,
    links: Vec<Weak<Link>>,
    /// Somebody waits for the count to fall.
    is_draining: bool,
}

impl Connections {
    pub(super) fn new(limit: usize, shutdown: Shutdown) -> Self {
        Self { table: Mutex::default(), is_fewer: Condvar::new(), limit, shutdown }
    }

    pub(super) fn has_room(&self) -> bool {
        self.lock().count < self.limit
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, link: &Arc<Link>) -> Counted {
        let mut table = self.lock();
        table.count += 1;
        if table.links.len() == table.links.capacity() {
            table.links.retain(|link| link.strong_count() > 0);
        }
        table.links.push(Arc::downgrade(link));
        Counted(Arc::clone(self))
    }

    /// Lets the connections end, or ends them after so long.
    pub(super) fn drain(&self, limit: Duration) {
        self.lock().is_draining = true;
        self.each(Link::stop);
        let is_some = |table: &mut Table| table.count > 0;
        let waited = self.is_fewer.wait_timeout_while(self.lock(), limit, is_some);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.each(Link::lose);
    }

    /// Outside the lock, as what ends wants it.
    fn each(&self, act: impl Fn(&Link)) {
        let links = self.lock().links.clone();
        links.iter().filter_map(Weak::upgrade).for_each(|link| act(&link));
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that counts.
#[derive(Debug)]
pub(super) struct Counted(Arc<Connections>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut table = self.0.lock();
        let was_full = table.count == self.0.limit;
        table.count -= 1;
        let is_draining = table.is_draining;
        drop(table);
        if is_draining {
            self.0.is_fewer.notify_all();
        }
        if was_full {
            self.0.shutdown.wake();
        }
    }
}
