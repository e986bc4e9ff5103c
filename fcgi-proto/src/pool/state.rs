use alloc::collections::VecDeque;
use core::num::NonZeroU16;
use core::time::Duration;

use super::conn::{ConnId, Row};
use super::decision::{AcquireError, Action, Grant, Released, Snapshot};
use super::queue::{Pending, Queue, WaitError, Waiter, WaiterId};
use super::retry::may_dial_again;
use super::stock::Stock;
use super::upstream::{Dice, Upstream};
use super::{Config, Lane};

/// The state of a pool; see the [module](super).
///
/// Times may come slightly out of order, as they do when threads look at the clock before they lock the pool; a time before
/// the latest counts as the latest. No call takes longer for more connections, or allocates once as many have been open and
/// as many callers have waited before.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Grant, Pool};
///
/// let mut pool = Pool::new(Config::default(), 1);
/// // Two callers at once take two connections.
/// assert!(matches!(pool.acquire(Duration::ZERO), Ok(Grant::Dial { .. })));
/// assert!(matches!(pool.acquire(Duration::ZERO), Ok(Grant::Dial { .. })));
/// ```
#[derive(Debug)]
pub struct Pool {
    pub(super) config: Config,
    pub(super) stock: Stock,
    pub(super) queue: Queue,
    pub(super) actions: VecDeque<Pending>,
    pub(super) dice: Dice,
    pub(super) counts: Snapshot,
    pub(super) latest: Duration,
}

impl Pool {
    /// A pool for so many addresses, named by their index; 0 counts as 1.
    #[must_use]
    pub fn new(config: Config, upstreams: usize) -> Self {
        let upstreams = alloc::vec![Upstream::new(config.multiplex_unasked()); upstreams.max(1)];
        Self {
            stock: Stock::new(upstreams, config.max_lifetime.is_some()),
            queue: Queue::new(),
            actions: VecDeque::new(),
            dice: Dice::new(config.seed),
            counts: Snapshot::default(),
            latest: Duration::ZERO,
            config,
        }
    }

    /// A caller wants a connection for one request. Callers are served in the order they came.
    ///
    /// # Errors
    /// [`AcquireError::QueueFull`].
    pub fn acquire(&mut self, now: Duration) -> Result<Grant, AcquireError> {
        self.acquire_from(Lane::default(), now)
    }

    /// As [`acquire`](Self::acquire), for a caller of this lane: it gets a connection of its own lane before another's.
    /// Where requests share connections, each lane has its own as far as [`Config::max_connections`] and the application's
    /// [`FCGI_MAX_CONNS`](Self::set_max_conns) allow.
    ///
    /// # Errors
    /// [`AcquireError::QueueFull`].
    pub fn acquire_from(&mut self, lane: Lane, now: Duration) -> Result<Grant, AcquireError> {
        let now = self.advance(now);
        let limit = self.config.max_waiting;
        if self.queue.is_empty() {
            // Where nobody may wait, nobody waits for another's dial either.
            let waiting = if limit == 0 { usize::MAX } else { 1 };
            if let Some(grant) = self.place(lane, waiting, now) {
                return Ok(grant);
            }
        }
        if self.queue.len() >= limit {
            self.counts.turned_away += 1;
            return Err(AcquireError::QueueFull { limit });
        }
        let deadline = self.config.queue_timeout.and_then(|limit| now.checked_add(limit));
        let waiter = self.queue.push(lane, deadline);
        // One more waits, for whom a further dial may be due.
        self.serve_queue(now);
        Ok(Grant::Wait(waiter))
    }

    /// A caller that waited since `since` and then got nowhere waits again, in its old place and until its old deadline. Its
    /// turn is told by [`poll_action`](Self::poll_action), at once if it can be.
    pub fn acquire_again(&mut self, id: WaiterId, lane: Lane, since: Duration, now: Duration) {
        let deadline = self.config.queue_timeout.and_then(|limit| since.checked_add(limit));
        self.queue.put_back(Waiter { id, deadline, lane });
        self.advance(now);
    }

    /// Whether a caller whose dial failed should ask for another place, after so many failed dials of its own.
    ///
    /// As long as any address has a connection open, that one will serve it once it has time: the caller was only the one
    /// whose turn it was to look after an address that is down. Else each address gets a second chance, but the last.
    #[must_use]
    pub fn may_dial_again(&self, failed_dials: usize) -> bool {
        let in_use = || self.stock.upstreams().iter().filter(|upstream| !upstream.is_removed());
        in_use().any(|upstream| upstream.connections > upstream.dialling)
            || may_dial_again(failed_dials, in_use().count())
    }

    /// A waiting caller gives up. When its turn had come meanwhile and [`Action::Grant`] has told so, the grant is to be
    /// given back by [`release`](Self::release) or [`handle_closed`](Self::handle_closed) instead; then this does nothing.
    pub fn cancel(&mut self, waiter: WaiterId) {
        if self.queue.remove(waiter) {
            return;
        }
        // Its turn has come, but the adapter has not heard of it yet.
        let place = self.actions.iter().position(|action| action.waiter() == Some(waiter));
        match place.and_then(|place| self.actions.remove(place)) {
            Some(Pending::Grant(_, Grant::Reuse { conn, .. })) => self.take_back(conn),
            Some(Pending::Grant(_, Grant::Dial { conn, .. })) => {
                self.counts.dials -= 1;
                self.stock.forget(conn);
            }
            _ => {}
        }
        self.serve_queue(self.latest);
    }

    /// The dial has succeeded; the caller's request begins on the connection.
    pub fn handle_connected(&mut self, conn: ConnId, now: Duration) {
        let now = self.clock(now);
        let Some(found) = self.stock.get(conn).filter(|found| !found.is_open) else { return };
        if let Some(upstream) = self.stock.upstream_mut(found.upstream) {
            upstream.handle_connected();
        }
        self.stock.update(conn, |conn| {
            conn.is_open = true;
            conn.opened = now;
        });
        self.advance(now);
    }

    /// The dial has failed: the pool has forgotten the connection, and leaves the address alone for a while. When no other
    /// address is left, everybody who waits is told as well, instead of trying one after the other.
    pub fn handle_connect_error(&mut self, conn: ConnId, now: Duration) {
        let now = self.clock(now);
        if self.stock.get(conn).is_none_or(|found| found.is_open) {
            return self.handle_closed(conn, now);
        }
        let Some(found) = self.stock.forget(conn) else { return };
        self.counts.failed_dials += 1;
        if let Some(upstream) = self.stock.upstream_mut(found.upstream) {
            upstream.handle_connect_error(&self.config, now);
        }
        if self.stock.upstreams().iter().all(|upstream| upstream.is_unreachable(now)) {
            while let Some(waiter) = self.queue.pop() {
                self.actions.push_back(Pending::Fail(waiter.id, WaitError::Unreachable));
            }
        }
        self.advance(now);
    }

    /// The first byte of a response has come on the connection: a worker has picked it up.
    pub fn handle_first_byte(&mut self, conn: ConnId) {
        self.stock.update(conn, |conn| conn.is_served = true);
    }

    /// The connection has broken, or was closed by the peer: the pool forgets it, with all that was in flight on it.
    pub fn handle_closed(&mut self, conn: ConnId, now: Duration) {
        let now = self.clock(now);
        if self.stock.forget(conn).is_some() {
            self.queue_again(conn);
        }
        self.advance(now);
    }

    /// An address was found to multiplex, or not to: so many requests may share a connection to it from now on.
    ///
    /// What FCGI_MPXS_CONNS and FCGI_MAX_REQS of GET_VALUES say (section 4.1). Requests that share one already go on.
    pub fn set_multiplex(&mut self, upstream: usize, requests: NonZeroU16) {
        self.stock.set_multiplex(upstream, requests);
        self.serve_queue(self.latest);
    }

    /// So many connections an application accepts, as FCGI_MAX_CONNS of GET_VALUES says (section 4.1). Lanes then have no
    /// connections of their own beyond it; what requests need for themselves is not limited by it.
    pub fn set_max_conns(&mut self, upstream: usize, count: usize) {
        if let Some(upstream) = self.stock.upstream_mut(upstream) {
            upstream.max_conns = count;
        }
    }

    /// An address more, at the end of the list or in the place of one that was [removed](Self::remove_upstream) and has
    /// no connection left: its index. Callers that wait are told of their turn by [`poll_action`](Self::poll_action).
    ///
    /// ```
    /// use core::time::Duration;
    /// use fcgi_proto::pool::{Config, Grant, Pool};
    ///
    /// let mut pool = Pool::new(Config::default(), 1);
    /// let index = pool.add_upstream();
    /// pool.remove_upstream(0, Duration::ZERO);
    /// let Ok(Grant::Dial { upstream, .. }) = pool.acquire(Duration::ZERO) else { panic!() };
    /// assert_eq!(upstream, index);
    /// ```
    pub fn add_upstream(&mut self) -> usize {
        let index = self.stock.add_upstream(Upstream::new(self.config.multiplex_unasked()));
        self.serve_queue(self.latest);
        index
    }

    /// An address is no longer to be used. Its idle connections are closed, and those in use after their request, which
    /// goes on; callers wait for the other addresses, if there are any.
    pub fn remove_upstream(&mut self, upstream: usize, now: Duration) {
        self.stock.remove_upstream(upstream);
        self.advance(now);
    }

    /// Whether an address is [removed](Self::remove_upstream). One that never was is as well.
    #[must_use]
    pub fn is_removed(&self, upstream: usize) -> bool {
        self.stock.upstream(upstream).is_none_or(Upstream::is_removed)
    }

    /// This connection carries one request at a time, whatever its address can do.
    pub fn set_single(&mut self, conn: ConnId) {
        self.stock.update(conn, |conn| conn.is_single = true);
    }

    /// How many requests may share a connection to an address; 1 when there is no such address.
    #[must_use]
    pub fn multiplex(&self, upstream: usize) -> NonZeroU16 {
        self.stock.upstream(upstream).map_or(NonZeroU16::MIN, |upstream| upstream.multiplex)
    }

    /// How many requests are on a connection.
    #[must_use]
    pub fn in_flight(&self, conn: ConnId) -> usize {
        self.stock.get(conn).map_or(0, |conn| conn.in_flight)
    }

    /// The index of the address that a connection leads to.
    #[must_use]
    pub fn upstream_of(&self, conn: ConnId) -> Option<usize> {
        self.stock.get(conn).map(|conn| conn.upstream)
    }

    /// A request on the connection has ended. `is_reusable` says whether the connection is fit for another; once it was
    /// not, it carries no more.
    pub fn release(&mut self, conn: ConnId, is_reusable: bool, now: Duration) -> Released {
        let now = self.advance(now);
        let Some(found) = self.stock.get(conn) else { return Released::Close };
        if !found.is_open {
            // The dial was given up.
            self.handle_closed(conn, now);
            return Released::Close;
        }
        if found.in_flight == 0 {
            return Released::Keep;
        }
        let (upstream, took) = (found.upstream, now.saturating_sub(found.since));
        if let Some(upstream) = self.stock.upstream_mut(upstream).filter(|_| is_reusable) {
            upstream.handle_end(took);
        }
        self.stock.update(conn, |conn| {
            conn.in_flight -= 1;
            conn.is_retired |= !is_reusable;
            // Only a worker can have ended a request well.
            conn.is_served |= is_reusable;
            conn.since = now;
        });
        if !is_reusable {
            self.queue_again(conn);
        }
        if !self.is_worth_keeping(conn, now) {
            self.handle_closed(conn, now);
            return Released::Close;
        }
        self.serve_queue(now);
        Released::Keep
    }

    /// The next thing to do, until there is none. Call it after every other call, and when
    /// [`poll_timeout`](Self::poll_timeout) has passed.
    pub fn poll_action(&mut self, now: Duration) -> Option<Action> {
        self.advance(now);
        self.actions.pop_front().map(|action| action.action())
    }

    /// When to call [`poll_action`](Self::poll_action) at the latest. Once that has said that there is nothing to do, this
    /// is later than `now`.
    #[must_use]
    pub fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        if !self.actions.is_empty() {
            return Some(now);
        }
        let age =
            self.config.max_lifetime.and_then(|limit| self.stock.oldest()?.checked_add(limit));
        let upstreams = 0..self.stock.upstreams().len();
        let upstreams = upstreams.filter_map(|upstream| self.upstream_timeout(upstream));
        upstreams.chain(age).chain(self.queue.next_deadline()).min()
    }

    fn upstream_timeout(&self, index: usize) -> Option<Duration> {
        let idle = self.stock.first(index, Row::Idle).and_then(|(_, conn)| {
            let limit = self.idle_limit(index).and_then(|limit| conn.since.checked_add(limit));
            limit.into_iter().chain(self.patience_ends(index)).min()
        });
        let backoff = self.stock.upstream(index)?.backoff_until();
        // One that had passed at the latest call has been acted upon.
        let backoff = backoff.filter(|until| !self.queue.is_empty() && *until > self.latest);
        idle.into_iter().chain(backoff).min()
    }

    /// The figures of the pool.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let sum = |figure: fn(&Upstream) -> usize| self.stock.upstreams().iter().map(figure).sum();
        Snapshot {
            connections: sum(|upstream| upstream.connections),
            idle: sum(Upstream::idle),
            in_flight: sum(|upstream| upstream.in_flight),
            waiting: self.queue.len(),
            ..self.counts
        }
    }
}
