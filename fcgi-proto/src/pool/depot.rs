use alloc::collections::BTreeMap;
use core::fmt;
use core::num::NonZeroU16;
use core::time::Duration;

use super::{AcquireError, Action, ConnId, Grant, Pool, Snapshot, WaitError, WaiterId};

/// A [`Pool`] together with its idle connections, which it hands out: what every adapter's pool holds behind its lock.
///
/// `L` is the adapter's connection. Callers that wait are told through [`poll_turn`](Self::poll_turn), which is to be called
/// after every other call, and when [`poll_timeout`](Self::poll_timeout) has passed.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Depot, Pool, Turn};
///
/// let mut depot = Depot::new(Pool::new(Config::default(), 1));
/// let now = Duration::ZERO;
/// let Ok(Ok(Turn::Dial { conn, .. })) = depot.acquire(now) else { panic!() };
/// depot.handle_connected(conn, now);
/// depot.release(conn, "a socket", now);
/// let Ok(Ok(Turn::Reuse { link: "a socket", .. })) = depot.acquire(now) else { panic!() };
/// ```
pub struct Depot<L> {
    pool: Pool,
    idle: BTreeMap<ConnId, L>,
}

/// A caller's turn.
///
/// ```
/// use fcgi_proto::pool::Turn;
///
/// fn link<L>(turn: Turn<L>) -> Option<L> {
///     match turn {
///         Turn::Reuse { link, .. } => Some(link),
///         Turn::Dial { .. } | Turn::Fail(_) => None,
///     }
/// }
/// # let _ = link::<()>;
/// ```
#[derive(Debug)]
pub enum Turn<L> {
    /// Use this connection.
    Reuse {
        /// Its name.
        conn: ConnId,
        /// The index of its address.
        upstream: usize,
        /// The connection.
        link: L,
    },
    /// Dial this address, then report [`handle_connected`](Depot::handle_connected) or
    /// [`handle_connect_error`](Depot::handle_connect_error).
    Dial {
        /// Names the new connection.
        conn: ConnId,
        /// The index of the address.
        upstream: usize,
    },
    /// Give up.
    Fail(WaitError),
}

impl<L> Depot<L> {
    /// A depot without connections.
    ///
    /// Whoever has a connection has it alone, so [`Config::multiplex`](super::Config::multiplex) is taken for 1: a connection
    /// that several requests share is never idle here.
    #[must_use]
    pub fn new(mut pool: Pool) -> Self {
        pool.set_single();
        Self { pool, idle: BTreeMap::new() }
    }

    /// A caller wants a connection: its turn at once, or its name in the queue.
    ///
    /// # Errors
    /// As [`Pool::acquire`].
    pub fn acquire(&mut self, now: Duration) -> Result<Result<Turn<L>, WaiterId>, AcquireError> {
        Ok(match self.pool.acquire(now)? {
            Grant::Wait(waiter) => Err(waiter),
            grant => Ok(self.turn(grant)),
        })
    }

    /// The next waiting caller whose turn has come. Connections that are to be closed are dropped meanwhile.
    pub fn poll_turn(&mut self, now: Duration) -> Option<(WaiterId, Turn<L>)> {
        loop {
            match self.pool.poll_action(now)? {
                Action::Close(conn) => drop(self.idle.remove(&conn)),
                Action::Grant(waiter, grant) => return Some((waiter, self.turn(grant))),
                Action::Fail(waiter, error) => return Some((waiter, Turn::Fail(error))),
            }
        }
    }

    /// When to call [`poll_turn`](Self::poll_turn) at the latest.
    #[must_use]
    pub fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        self.pool.poll_timeout(now)
    }

    /// A waiting caller gives up. A turn that it was told of meanwhile goes to [`take_back`](Self::take_back) instead.
    pub fn cancel(&mut self, waiter: WaiterId) {
        self.pool.cancel(waiter);
    }

    /// A caller is gone without having used its turn.
    pub fn take_back(&mut self, turn: Turn<L>, now: Duration) {
        match turn {
            Turn::Reuse { conn, link, .. } => self.release(conn, link, now),
            Turn::Dial { conn, .. } => self.pool.handle_closed(conn, now),
            Turn::Fail(_) => {}
        }
    }

    /// As [`Pool::handle_connected`].
    pub fn handle_connected(&mut self, conn: ConnId, now: Duration) {
        self.pool.handle_connected(conn, now);
    }

    /// As [`Pool::handle_connect_error`].
    pub fn handle_connect_error(&mut self, conn: ConnId, now: Duration) {
        self.pool.handle_connect_error(conn, now);
    }

    /// As [`Pool::handle_first_byte`].
    pub fn handle_first_byte(&mut self, conn: ConnId) {
        self.pool.handle_first_byte(conn);
    }

    /// As [`Pool::handle_closed`], for a connection that is in use.
    pub fn handle_closed(&mut self, conn: ConnId, now: Duration) {
        self.pool.handle_closed(conn, now);
    }

    /// A request has ended, and its connection is fit for another. It is kept, handed on, or dropped.
    pub fn release(&mut self, conn: ConnId, link: L, now: Duration) {
        self.idle.insert(conn, link);
        if !self.pool.release(conn, true, now).is_keep() {
            self.idle.remove(&conn);
        }
    }

    /// As [`Pool::add_upstream`].
    pub fn add_upstream(&mut self) -> usize {
        let index = self.pool.add_upstream();
        self.pool.set_multiplex(index, NonZeroU16::MIN);
        index
    }

    /// As [`Pool::remove_upstream`].
    pub fn remove_upstream(&mut self, upstream: usize, now: Duration) {
        self.pool.remove_upstream(upstream, now);
    }

    /// As [`Pool::is_removed`].
    #[must_use]
    pub fn is_removed(&self, upstream: usize) -> bool {
        self.pool.is_removed(upstream)
    }

    /// The figures of the pool.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.pool.snapshot()
    }

    fn turn(&mut self, grant: Grant) -> Turn<L> {
        match grant {
            Grant::Dial { conn, upstream } => Turn::Dial { conn, upstream },
            Grant::Reuse { conn, upstream } => match self.idle.remove(&conn) {
                Some(link) => Turn::Reuse { conn, upstream, link },
                // Cannot be: what is granted is idle, and what is idle is here.
                None => Turn::Fail(WaitError::Expired),
            },
            Grant::Wait(_) => Turn::Fail(WaitError::Expired),
        }
    }
}

impl<L> fmt::Debug for Depot<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot").field("pool", &self.pool).field("idle", &self.idle.len()).finish()
    }
}
