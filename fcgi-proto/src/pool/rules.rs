//! What the pool decides by, apart from what happens to it.

use core::time::Duration;

use super::conn::{Conn, ConnId, Row};
use super::decision::Grant;
use super::queue::{Pending, WaitError, Waiter};
use super::upstream::Upstream;
use super::{Lane, Pool};

impl Pool {
    /// The time that counts.
    pub(super) fn clock(&mut self, now: Duration) -> Duration {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Does what is due, and gives turns.
    pub(super) fn advance(&mut self, now: Duration) -> Duration {
        let now = self.clock(now);
        while let Some(waiter) = self.queue.pop_expired(now) {
            self.counts.expired += 1;
            self.actions.push_back(Pending::Fail(waiter, WaitError::Expired));
        }
        self.retire_old(now);
        for upstream in 0..self.stock.upstreams().len() {
            while let Some(conn) = self.overdue(upstream, now) {
                self.close(conn);
            }
        }
        self.serve_queue(now);
        now
    }

    fn retire_old(&mut self, now: Duration) {
        let Some(limit) = self.config.max_lifetime else { return };
        while self.stock.oldest().is_some_and(|opened| opened.saturating_add(limit) <= now) {
            let Some(conn) = self.stock.pop_oldest() else { return };
            self.stock.update(conn, |conn| conn.is_retired = true);
            if self.stock.get(conn).is_some_and(Conn::is_idle) {
                self.close(conn);
            }
        }
    }

    /// An idle connection that is to be closed: one that idles too long, or whose worker somebody waits for.
    fn overdue(&self, upstream: usize, now: Duration) -> Option<ConnId> {
        let (id, conn) = self.stock.first(upstream, Row::Idle)?;
        if conn.is_retired {
            return Some(id);
        }
        let limit = self.idle_limit(upstream);
        let is_past = limit.is_some_and(|limit| conn.since.saturating_add(limit) <= now);
        (is_past || self.somebody_waits(upstream, now)).then_some(id)
    }

    /// How long the connection that idles longest may do so.
    pub(super) fn idle_limit(&self, upstream: usize) -> Option<Duration> {
        let limit = self.config.idle_timeout;
        let idle = self.stock.upstream(upstream).map_or(0, Upstream::idle);
        if idle <= self.config.allowed_idle() {
            return limit;
        }
        let linger = self.config.linger;
        Some(limit.map_or(linger, |limit| limit.min(linger)))
    }

    fn close(&mut self, conn: ConnId) {
        self.stock.forget(conn);
        self.actions.push_back(Pending::Close(conn));
    }

    /// Whether a request may be waiting for a worker that a kept connection occupies.
    fn somebody_waits(&self, upstream: usize, now: Duration) -> bool {
        self.patience_ends(upstream).is_some_and(|end| end <= now)
    }

    /// When the fresh connection that has waited longest has waited long enough.
    pub(super) fn patience_ends(&self, upstream: usize) -> Option<Duration> {
        let (_, conn) = self.stock.first(upstream, Row::Fresh)?;
        let patience = self.stock.upstream(upstream)?.patience(&self.config);
        Some(conn.since.saturating_add(patience))
    }

    /// Whether a connection is worth its worker after a request. Idling, it must be fit for another and within the limit,
    /// and nobody may wait elsewhere for the worker; who waits in the queue gets it.
    pub(super) fn is_worth_keeping(&self, conn: ConnId, now: Duration) -> bool {
        let Some(conn) = self.stock.get(conn) else { return false };
        if !conn.is_idle() {
            return true;
        }
        let allowed = self.config.allowed_idle();
        let is_allowed = self.stock.upstream(conn.upstream).is_some_and(|upstream| {
            let lingers = !self.config.linger.is_zero();
            allowed > 0 && (lingers || !self.queue.is_empty() || upstream.idle() <= allowed)
        });
        is_allowed && !conn.is_retired && !self.somebody_waits(conn.upstream, now)
    }

    /// Gives turns to waiting callers as far as there is room.
    pub(super) fn serve_queue(&mut self, now: Duration) {
        while let Some(&Waiter { lane, .. }) = self.queue.first() {
            let Some(grant) = self.place(lane, self.queue.len(), now) else { return };
            if let Some(waiter) = self.queue.pop() {
                self.actions.push_back(Pending::Grant(waiter, grant));
            }
        }
    }

    /// A place for one more request, of `waiting`: on an open connection, or on a new one.
    pub(super) fn place(&mut self, lane: Lane, waiting: usize, now: Duration) -> Option<Grant> {
        let upstream = self.choose(waiting, now)?;
        if let Some(conn) = self.free(upstream, lane, now) {
            self.counts.reuses += 1;
            let limit = self.config.max_requests;
            let shares = self.multiplex(upstream).get() > 1;
            self.stock.update(conn, |conn| {
                // A connection for one request goes to its user's thread; whoever drives a shared one stays.
                if !shares || conn.is_single {
                    conn.lane = lane;
                }
                conn.in_flight += 1;
                conn.since = now;
                conn.requests = conn.requests.saturating_add(1);
                conn.is_retired |= limit.is_some_and(|limit| conn.requests >= limit);
            });
            return Some(Grant::Reuse { conn, upstream });
        }
        let mut conn = Conn::dialling(upstream, lane, now);
        conn.is_retired = self.config.max_requests == Some(1);
        self.counts.dials += 1;
        Some(Grant::Dial { conn: self.stock.add(conn), upstream })
    }

    /// The open connection that a caller of this lane is to use, unless it is to dial.
    fn free(&self, upstream: usize, lane: Lane, now: Duration) -> Option<ConnId> {
        let (id, conn) = self.stock.free(upstream, lane)?;
        let is_near = conn.lane == lane || conn.is_single;
        let spreads =
            || self.stock.upstream(upstream).is_some_and(|it| it.may_spread(&self.config, now));
        (is_near || !spreads()).then_some(id)
    }

    /// The address for the next request: of two picked at random among those with room, the one with less in flight.
    fn choose(&mut self, waiting: usize, now: Duration) -> Option<usize> {
        let upstreams = self.stock.upstreams();
        let with_room = || {
            let upstreams = upstreams.iter().enumerate();
            upstreams.filter(|(_, upstream)| upstream.has_room(&self.config, waiting, now))
        };
        let count = with_room().count();
        if count < 2 {
            return with_room().next().map(|(index, _)| index);
        }
        let first = self.dice.below(count);
        let second = (first + 1 + self.dice.below(count - 1)) % count;
        let (one, two) = (with_room().nth(first)?, with_room().nth(second)?);
        Some(if two.1.in_flight < one.1.in_flight { two.0 } else { one.0 })
    }

    /// A connection carries no more. Who was granted it and has not heard of that yet waits on, as if nothing had been.
    pub(super) fn queue_again(&mut self, unfit: ConnId) {
        let is_unfit = |grant: &Grant| matches!(grant, Grant::Reuse { conn, .. } if *conn == unfit);
        let of_unfit =
            |action: &Pending| matches!(action, Pending::Grant(_, grant) if is_unfit(grant));
        while let Some(place) = self.actions.iter().position(of_unfit) {
            if let Some(Pending::Grant(waiter, _)) = self.actions.remove(place) {
                self.counts.reuses -= 1;
                self.stock.update(unfit, |conn| conn.in_flight -= 1);
                self.queue.put_back(waiter);
            }
        }
    }

    /// Undoes the grant of an open connection that nobody has heard of.
    pub(super) fn take_back(&mut self, conn: ConnId) {
        let now = self.latest;
        self.counts.reuses -= 1;
        self.stock.update(conn, |conn| {
            conn.in_flight -= 1;
            conn.requests -= 1;
            conn.since = now;
        });
        if self.stock.get(conn).is_some() && !self.is_worth_keeping(conn, now) {
            self.close(conn);
        }
    }
}
