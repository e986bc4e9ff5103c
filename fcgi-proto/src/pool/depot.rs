use alloc::collections::BTreeMap;
use core::fmt;
#[cfg(feature = "std")]
use core::num::NonZeroU16;
use core::time::Duration;

use super::negotiate::Negotiations;
use super::{AcquireError, Action, ConnId, Grant, Lane, Mode, Pool, Snapshot, WaitError, WaiterId};
use crate::Params;
#[cfg(feature = "std")]
use crate::client::Caller;

/// A [`Pool`] together with its connections, which it hands out: what every adapter's pool holds behind its lock.
///
/// `L` is the adapter's connection for one request at a time: idle it is here, in use it is with whoever uses it. A
/// connection that requests share is a [`Caller`] of its session, of which each user gets a clone. Callers that wait are
/// told through [`poll_turn`](Self::poll_turn), which is to be called
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
    #[cfg(feature = "std")]
    shared: BTreeMap<ConnId, Caller>,
    negotiations: Negotiations,
}

/// A caller's turn.
///
/// ```
/// use fcgi_proto::pool::Turn;
///
/// fn link<L>(turn: Turn<L>) -> Option<L> {
///     match turn {
///         Turn::Reuse { link, .. } => Some(link),
///         _ => None, // dial, or give up
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
    /// Begin the request on this connection, which others use as well.
    #[cfg(feature = "std")]
    Share {
        /// Its name.
        conn: ConnId,
        /// The index of its address.
        upstream: usize,
        /// Begins requests on it.
        caller: Caller,
        /// Nobody else used it when it was granted: if it breaks before a byte came, it was stale.
        was_idle: bool,
    },
    /// Dial this address, then report [`handle_connected`](Depot::handle_connected), for a connection that requests share
    /// [`handle_shared`](Depot::handle_shared), or [`handle_connect_error`](Depot::handle_connect_error).
    Dial {
        /// Names the new connection.
        conn: ConnId,
        /// The index of the address.
        upstream: usize,
        /// How requests go over it.
        mode: Mode,
    },
    /// Give up.
    Fail(WaitError),
}

impl<L> Depot<L> {
    /// A depot without connections.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self {
            negotiations: Negotiations::new(&pool.config),
            pool,
            idle: BTreeMap::new(),
            #[cfg(feature = "std")]
            shared: BTreeMap::new(),
        }
    }

    /// A caller wants a connection: its turn at once, or its name in the queue.
    ///
    /// # Errors
    /// As [`Pool::acquire`].
    pub fn acquire(&mut self, now: Duration) -> Result<Result<Turn<L>, WaiterId>, AcquireError> {
        self.acquire_from(Lane::default(), now)
    }

    /// As [`Pool::acquire_from`]: a caller's turn at once, or its name in the queue.
    ///
    /// # Errors
    /// As [`Pool::acquire`].
    pub fn acquire_from(
        &mut self,
        lane: Lane,
        now: Duration,
    ) -> Result<Result<Turn<L>, WaiterId>, AcquireError> {
        Ok(match self.pool.acquire_from(lane, now)? {
            Grant::Wait(waiter) => Err(waiter),
            grant => Ok(self.turn(grant)),
        })
    }

    /// As [`Pool::acquire_again`].
    pub fn acquire_again(&mut self, id: WaiterId, lane: Lane, since: Duration, now: Duration) {
        self.pool.acquire_again(id, lane, since, now);
    }

    /// As [`Pool::may_dial_again`].
    #[must_use]
    pub fn may_dial_again(&self, failed_dials: usize) -> bool {
        self.pool.may_dial_again(failed_dials)
    }

    /// The next waiting caller whose turn has come. Connections that are to be closed are dropped meanwhile.
    pub fn poll_turn(&mut self, now: Duration) -> Option<(WaiterId, Turn<L>)> {
        loop {
            match self.pool.poll_action(now)? {
                Action::Close(conn) => self.drop_link(conn),
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
            #[cfg(feature = "std")]
            Turn::Share { conn, .. } => self.release_shared(conn, now),
            Turn::Dial { conn, .. } => self.handle_closed(conn, now),
            Turn::Fail(_) => {}
        }
    }

    /// As [`Pool::handle_connected`], for a connection with one request at a time.
    pub fn handle_connected(&mut self, conn: ConnId, now: Duration) {
        self.pool.set_single(conn);
        self.pool.handle_connected(conn, now);
    }

    /// As [`Pool::handle_connected`], for a connection that requests share. Each of them, the first as well, ends by
    /// [`release_shared`](Self::release_shared).
    #[cfg(feature = "std")]
    pub fn handle_shared(&mut self, conn: ConnId, caller: Caller, now: Duration) {
        self.shared.insert(conn, caller);
        self.pool.handle_connected(conn, now);
    }

    /// What an application answered to GET_VALUES on behalf of whoever dials this connection, if it did: how requests go
    /// over it.
    pub fn handle_values(&mut self, conn: ConnId, values: Option<&Params>) -> Mode {
        self.negotiations.on_values(conn, values, &mut self.pool)
    }

    /// The application has refused to have requests share this connection (CANT_MPX_CONN): none do from now on.
    #[cfg(feature = "std")]
    pub fn handle_refusal(&mut self, conn: ConnId) {
        if let Some(upstream) = self.pool.upstream_of(conn) {
            self.pool.set_multiplex(upstream, NonZeroU16::MIN);
        }
    }

    /// As [`Pool::handle_connect_error`].
    pub fn handle_connect_error(&mut self, conn: ConnId, now: Duration) {
        self.negotiations.on_connect_error(conn);
        self.pool.handle_connect_error(conn, now);
    }

    /// As [`Pool::handle_first_byte`].
    pub fn handle_first_byte(&mut self, conn: ConnId) {
        self.pool.handle_first_byte(conn);
    }

    /// As [`Pool::handle_closed`], for a connection that is in use.
    pub fn handle_closed(&mut self, conn: ConnId, now: Duration) {
        self.negotiations.on_closed(conn);
        self.drop_link(conn);
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
        self.negotiations.forget(index);
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

    /// A request on a shared connection has ended, or its caller has given it up.
    #[cfg(feature = "std")]
    pub fn release_shared(&mut self, conn: ConnId, now: Duration) {
        let is_usable = self.shared.get(&conn).is_some_and(Caller::is_usable);
        if !self.pool.release(conn, is_usable, now).is_keep() {
            self.handle_closed(conn, now);
        }
    }

    /// The figures of the pool.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.pool.snapshot()
    }

    fn turn(&mut self, grant: Grant) -> Turn<L> {
        let (conn, upstream) = match grant {
            Grant::Dial { conn, upstream } => {
                let multiplex = self.pool.multiplex(upstream);
                let mode = self.negotiations.mode(conn, upstream, multiplex);
                return Turn::Dial { conn, upstream, mode };
            }
            Grant::Reuse { conn, upstream } => (conn, upstream),
            Grant::Wait(_) => return Turn::Fail(WaitError::Expired),
        };
        #[cfg(feature = "std")]
        if let Some(caller) = self.shared.get(&conn) {
            let was_idle = self.pool.in_flight(conn) == 1;
            return Turn::Share { conn, upstream, caller: caller.clone(), was_idle };
        }
        match self.idle.remove(&conn) {
            Some(link) => Turn::Reuse { conn, upstream, link },
            // Cannot be: what is granted and not shared is idle, and what is idle is here.
            None => Turn::Fail(WaitError::Expired),
        }
    }

    fn drop_link(&mut self, conn: ConnId) {
        self.idle.remove(&conn);
        #[cfg(feature = "std")]
        self.shared.remove(&conn);
    }
}

impl<L> fmt::Debug for Depot<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot").field("pool", &self.pool).field("idle", &self.idle.len()).finish()
    }
}
