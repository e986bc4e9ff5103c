use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::Config;
use super::conn::{Conn, ConnId, Conns};
use super::decision::{AcquireError, Action, Grant, Released, Snapshot};
use super::queue::{Queue, WaitError, WaiterId};
use super::upstream::{Dice, Upstream};

/// The state of a pool; see the [module](super).
#[derive(Debug)]
pub struct Pool {
    config: Config,
    conns: Conns,
    upstreams: Vec<Upstream>,
    queue: Queue,
    actions: VecDeque<Action>,
    dice: Dice,
    counts: Snapshot,
}

impl Pool {
    /// A pool for so many addresses, named by their index; 0 counts as 1.
    #[must_use]
    pub fn new(config: Config, upstreams: usize) -> Self {
        Self {
            conns: Conns::new(),
            upstreams: alloc::vec![Upstream::default(); upstreams.max(1)],
            queue: Queue::new(),
            actions: VecDeque::new(),
            dice: Dice::new(config.seed),
            counts: Snapshot::default(),
            config,
        }
    }

    /// A caller wants a connection for one request. Callers are served in the order they came.
    ///
    /// # Errors
    /// [`AcquireError::QueueFull`].
    pub fn acquire(&mut self, now: Duration) -> Result<Grant, AcquireError> {
        if self.queue.is_empty() {
            if let Some(grant) = self.place(now) {
                return Ok(grant);
            }
        }
        let limit = self.config.max_waiting;
        if self.queue.len() >= limit {
            self.counts.turned_away += 1;
            return Err(AcquireError::QueueFull { limit });
        }
        let deadline = self.config.queue_timeout.and_then(|limit| now.checked_add(limit));
        Ok(Grant::Wait(self.queue.push(deadline)))
    }

    /// A waiting caller gives up. When its turn had come meanwhile, the grant is to be given back by
    /// [`release`](Self::release) or [`handle_closed`](Self::handle_closed).
    pub fn cancel(&mut self, waiter: WaiterId) {
        if self.queue.remove(waiter) {
            return;
        }
        // Its turn has come, but the adapter has not heard of it yet.
        let named = |action: &Action| match *action {
            Action::Grant(id, _) | Action::Fail(id, _) => id == waiter,
            Action::Close(_) => false,
        };
        let Some(place) = self.actions.iter().position(named) else { return };
        if let Some(Action::Grant(_, grant)) = self.actions.remove(place) {
            self.take_back(grant);
        }
    }

    /// The dial has succeeded; the caller's request begins on the connection.
    pub fn handle_connected(&mut self, conn: ConnId, now: Duration) {
        let Some(found) = self.conns.get_mut(conn) else { return };
        if found.is_open {
            return;
        }
        found.is_open = true;
        found.opened = now;
        let upstream = found.upstream;
        self.change(upstream, |upstream| {
            upstream.dialling -= 1;
            upstream.on_connected();
        });
        self.serve_queue(now);
    }

    /// The dial has failed: the pool has forgotten the connection, and leaves the address alone for a while. When no other
    /// address is left, everybody who waits is told as well, instead of trying one after the other.
    pub fn handle_connect_error(&mut self, conn: ConnId, now: Duration) {
        let Some(upstream) = self.forget(conn) else { return };
        self.counts.failed_dials += 1;
        let (first, most) = (self.config.backoff, self.config.max_backoff);
        self.change(upstream, |upstream| upstream.on_connect_error(now, first, most));
        let is_hopeless = |upstream: &Upstream| {
            upstream.is_backing_off(now) && upstream.connections == upstream.dialling
        };
        if self.upstreams.iter().all(is_hopeless) {
            while let Some(waiter) = self.queue.pop() {
                self.actions.push_back(Action::Fail(waiter, WaitError::Unreachable));
            }
        }
        self.serve_queue(now);
    }

    /// The first byte of a response has come on the connection: a worker has picked it up.
    pub fn handle_first_byte(&mut self, conn: ConnId) {
        let Some(found) = self.conns.get_mut(conn) else { return };
        if !core::mem::replace(&mut found.is_served, true) {
            let upstream = found.upstream;
            self.change(upstream, |upstream| upstream.unserved -= 1);
        }
    }

    /// The connection has broken, or was closed by the peer: the pool forgets it, with all that was in flight on it.
    pub fn handle_closed(&mut self, conn: ConnId, now: Duration) {
        self.forget(conn);
        self.serve_queue(now);
    }

    /// A request on the connection has ended. `is_reusable` says whether the connection is fit for another; once it was
    /// not, it carries no more.
    pub fn release(&mut self, conn: ConnId, is_reusable: bool, now: Duration) -> Released {
        let Some(found) = self.conns.get_mut(conn) else { return Released::Close };
        if !found.is_open {
            // The dial was given up.
            self.handle_closed(conn, now);
            return Released::Close;
        }
        if found.in_flight == 0 {
            return Released::Keep;
        }
        found.in_flight -= 1;
        found.is_retired |= !is_reusable;
        found.idle_since = now;
        let (upstream, is_idle) = (found.upstream, found.is_idle());
        self.change(upstream, |upstream| {
            upstream.in_flight -= 1;
            upstream.idle += usize::from(is_idle);
        });
        self.serve_queue(now);
        if self.conns.get_mut(conn).is_some_and(|found| found.is_idle()) && !self.keeps(conn, now) {
            self.forget(conn);
            // Its place may let a waiting caller dial.
            self.serve_queue(now);
            return Released::Close;
        }
        Released::Keep
    }

    /// The next thing to do, until there is none. Call it after every other call, and when
    /// [`poll_timeout`](Self::poll_timeout) has passed.
    pub fn poll_action(&mut self, now: Duration) -> Option<Action> {
        while let Some(waiter) = self.queue.pop_expired(now) {
            self.counts.expired += 1;
            self.actions.push_back(Action::Fail(waiter, WaitError::Expired));
        }
        while let Some(conn) = self.expired_idle(now) {
            self.forget(conn);
            self.actions.push_back(Action::Close(conn));
        }
        self.serve_queue(now);
        self.actions.pop_front()
    }

    /// When to call [`poll_action`](Self::poll_action) at the latest.
    #[must_use]
    pub fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        let idle = self.conns.iter().filter_map(|(_, conn)| self.idle_deadline(conn));
        let backoff = self.upstreams.iter().map(Upstream::closed_until);
        let backoff = backoff.filter(|until| !self.queue.is_empty() && *until > now);
        idle.chain(backoff).chain(self.queue.next_deadline()).min()
    }

    /// The figures of the pool.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let sum = |figure: fn(&Upstream) -> usize| self.upstreams.iter().map(figure).sum();
        Snapshot {
            connections: sum(|upstream| upstream.connections),
            idle: sum(|upstream| upstream.idle),
            in_flight: sum(|upstream| upstream.in_flight),
            waiting: self.queue.len(),
            ..self.counts
        }
    }

    /// Gives turns to waiting callers as far as there is room.
    fn serve_queue(&mut self, now: Duration) {
        while !self.queue.is_empty() {
            let Some(grant) = self.place(now) else { return };
            if let Some(waiter) = self.queue.pop() {
                self.actions.push_back(Action::Grant(waiter, grant));
            }
        }
    }

    /// A place for one more request: on an open connection, or on a new one.
    fn place(&mut self, now: Duration) -> Option<Grant> {
        let upstream = self.choose(now)?;
        if let Some(conn) = self.free_conn(upstream, now) {
            return Some(self.reuse(conn, upstream));
        }
        let conn = self.conns.insert(Conn {
            upstream,
            is_open: false,
            is_served: false,
            is_retired: false,
            in_flight: 1,
            requests: 1,
            opened: now,
            idle_since: now,
        });
        self.counts.dials += 1;
        self.change(upstream, |upstream| {
            upstream.connections += 1;
            upstream.dialling += 1;
            upstream.in_flight += 1;
            upstream.unserved += 1;
        });
        Some(Grant::Dial { conn, upstream })
    }

    /// The address for the next request: of two picked at random among those with room, the one with less in flight.
    fn choose(&self, now: Duration) -> Option<usize> {
        let with_room = || (0..self.upstreams.len()).filter(|index| self.has_room(*index, now));
        let count = with_room().count();
        if count < 2 {
            return with_room().next();
        }
        let (first, second) = (self.dice.below(count), self.dice.below(count));
        let (one, two) = (with_room().nth(first)?, with_room().nth(second)?);
        let load = |index: usize| self.upstreams.get(index).map(|upstream| upstream.in_flight);
        Some(if load(two) < load(one) { two } else { one })
    }

    fn has_room(&self, index: usize, now: Duration) -> bool {
        let Some(upstream) = self.upstreams.get(index) else { return false };
        if self.free_conn(index, now).is_some() {
            return true;
        }
        // Requests that can share the connection being dialled wait for it.
        let may_share = self.config.multiplex.get() > 1 && upstream.dialling > 0;
        upstream.connections < self.config.max_connections.get()
            && !upstream.is_backing_off(now)
            && !may_share
    }

    /// An open connection with room: the one used last, so that the others can grow old and go.
    fn free_conn(&self, upstream: usize, now: Duration) -> Option<ConnId> {
        self.conns
            .iter()
            .filter(|(_, conn)| conn.upstream == upstream && conn.is_open)
            .filter(|(_, conn)| conn.in_flight < usize::from(self.config.multiplex.get()))
            .filter(|(_, conn)| !self.is_spent(conn, now))
            .max_by_key(|(_, conn)| conn.idle_since)
            .map(|(id, _)| id)
    }

    fn reuse(&mut self, conn: ConnId, upstream: usize) -> Grant {
        self.counts.reuses += 1;
        if let Some(found) = self.conns.get_mut(conn) {
            let was_idle = found.in_flight == 0;
            found.in_flight += 1;
            found.requests = found.requests.saturating_add(1);
            self.change(upstream, |upstream| {
                upstream.in_flight += 1;
                upstream.idle -= usize::from(was_idle);
            });
        }
        Grant::Reuse { conn, upstream }
    }

    /// Whether no further request may begin on a connection.
    fn is_spent(&self, conn: &Conn, now: Duration) -> bool {
        let is_past = |since: Duration, limit: Option<Duration>| {
            limit.is_some_and(|limit| now.saturating_sub(since) >= limit)
        };
        conn.is_retired
            || self.config.max_requests.is_some_and(|limit| conn.requests >= limit)
            || is_past(conn.opened, self.config.max_lifetime)
            || (conn.is_idle() && is_past(conn.idle_since, self.config.idle_timeout))
    }

    /// Whether an idle connection is worth its worker.
    fn keeps(&mut self, conn: ConnId, now: Duration) -> bool {
        let allowed = self.config.allowed_idle();
        let Some((_, found)) = self.conns.iter().find(|(id, _)| *id == conn) else { return false };
        let Some(upstream) = self.upstreams.get(found.upstream) else { return false };
        !self.is_spent(found, now)
            && upstream.idle <= allowed
            && upstream.unserved == 0
            && self.queue.is_empty()
    }

    fn expired_idle(&self, now: Duration) -> Option<ConnId> {
        let mut conns = self.conns.iter();
        conns.find(|(_, conn)| conn.is_idle() && self.is_spent(conn, now)).map(|(id, _)| id)
    }

    fn idle_deadline(&self, conn: &Conn) -> Option<Duration> {
        let idle = self.config.idle_timeout.map(|limit| conn.idle_since.saturating_add(limit));
        let lifetime = self.config.max_lifetime.map(|limit| conn.opened.saturating_add(limit));
        [idle, lifetime].into_iter().flatten().min().filter(|_| conn.is_idle())
    }

    /// Undoes a grant that nobody has taken.
    fn take_back(&mut self, grant: Grant) {
        match grant {
            Grant::Dial { conn, .. } => {
                self.forget(conn);
            }
            Grant::Reuse { conn, upstream } => {
                let Some(found) = self.conns.get_mut(conn) else { return };
                found.in_flight -= 1;
                let is_idle = found.is_idle();
                self.change(upstream, |upstream| {
                    upstream.in_flight -= 1;
                    upstream.idle += usize::from(is_idle);
                });
            }
            Grant::Wait(_) => {}
        }
    }

    /// Removes a connection from all accounts; the index of its address.
    fn forget(&mut self, conn: ConnId) -> Option<usize> {
        let conn = self.conns.remove(conn)?;
        self.change(conn.upstream, |upstream| {
            upstream.connections -= 1;
            upstream.in_flight -= conn.in_flight;
            upstream.idle -= usize::from(conn.is_idle());
            upstream.dialling -= usize::from(!conn.is_open);
            upstream.unserved -= usize::from(!conn.is_served);
        });
        Some(conn.upstream)
    }

    fn change(&mut self, index: usize, change: impl FnOnce(&mut Upstream)) {
        if let Some(upstream) = self.upstreams.get_mut(index) {
            change(upstream);
        }
    }
}
