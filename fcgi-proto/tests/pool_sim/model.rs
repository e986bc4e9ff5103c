//! The accounts of a pool as anybody would keep them: plain lists, searched from end to end.

use core::time::Duration;
use std::collections::HashMap;

use fcgi_proto::pool::{ConnId, Lane, Pool, WaiterId};

/// The settings of a simulated pool, readable here.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) idle: usize,
    pub(crate) linger: Duration,
    pub(crate) requests: Option<u32>,
    pub(crate) waiting: usize,
    pub(crate) multiplex: u16,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) patience: Duration,
    pub(crate) backoff: (Duration, Duration),
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) upstream: usize,
    lane: Lane,
    pub(crate) is_open: bool,
    is_served: bool,
    is_retired: bool,
    pub(crate) in_flight: usize,
    requests: u32,
    dialled: Duration,
    opened: Duration,
    idle_since: Duration,
    /// When its last request began.
    began: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Backoff {
    pause: Option<Duration>,
    until: Duration,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) limits: Limits,
    pub(crate) conns: HashMap<ConnId, Conn>,
    pub(crate) waiters: Vec<(WaiterId, Duration)>,
    backoffs: Vec<Backoff>,
    /// How long requests took of late, at each address.
    usual: Vec<Duration>,
    /// Actions are left lying at times.
    pub(crate) is_lazy: bool,
}

impl Model {
    pub(crate) fn new(limits: Limits, upstreams: usize) -> Self {
        Self {
            limits,
            conns: HashMap::new(),
            waiters: Vec::new(),
            backoffs: vec![Backoff::default(); upstreams],
            usual: vec![Duration::ZERO; upstreams],
            is_lazy: false,
        }
    }

    pub(crate) fn dial(&mut self, id: ConnId, upstream: usize, lane: Lane, now: Duration) {
        // A grant that lies there may have been decided before the address failed.
        assert!(self.is_lazy || self.backoffs[upstream].until <= now, "a dial during backoff");
        let conn = Conn {
            upstream,
            lane,
            is_open: false,
            is_served: false,
            is_retired: self.limits.requests == Some(1),
            in_flight: 1,
            requests: 1,
            dialled: now,
            opened: now,
            idle_since: now,
            began: now,
        };
        assert!(self.conns.insert(id, conn).is_none(), "a name given twice");
    }

    pub(crate) fn reuse(&mut self, id: ConnId, upstream: usize, lane: Lane, now: Duration) {
        self.check_lane(id, upstream, lane, now);
        let conn = self.conns.get_mut(&id).expect("a grant of a connection that is gone");
        assert!(conn.is_open && !conn.is_retired, "a grant of {conn:?}");
        assert_eq!(conn.upstream, upstream);
        assert!(conn.in_flight < usize::from(self.limits.multiplex), "too many on {conn:?}");
        assert!(self.limits.lifetime.is_none_or(|limit| now < conn.opened + limit), "too old");
        let is_idle = conn.in_flight == 0;
        let limit = self.limits.idle_timeout.filter(|_| is_idle);
        assert!(limit.is_none_or(|limit| now < conn.idle_since + limit), "idled too long");
        if self.limits.multiplex == 1 {
            conn.lane = lane;
        }
        conn.in_flight += 1;
        conn.began = now;
        conn.requests += 1;
        conn.is_retired |= Some(conn.requests) == self.limits.requests;
    }

    /// Whether a caller gets another lane's connection only where there is none of its own, nor to be.
    fn check_lane(&self, id: ConnId, upstream: usize, lane: Lane, now: Duration) {
        let granted = &self.conns[&id];
        // What is due, or one of too many, may be closed already, of which the pool has not told yet.
        let idle = self.of(upstream).filter(|conn| conn.is_open && conn.in_flight == 0).count();
        let is_due = || self.deadlines().any(|(_, deadline)| deadline <= now);
        if granted.lane == lane || self.is_lazy || idle > self.limits.idle || is_due() {
            return;
        }
        let own = self.of(upstream).find(|conn| conn.lane == lane && self.is_free(conn, now));
        assert!(own.is_none(), "{granted:?} instead of the own {own:?}");
        let is_dialling = self.of(upstream).any(|conn| !conn.is_open);
        let may_dial = self.of(upstream).count() < self.limits.connections
            && self.backoffs[upstream].until <= now;
        assert!(
            self.limits.multiplex == 1 || is_dialling || !may_dial,
            "shared with another lane, though there could be an own connection"
        );
    }

    fn is_free(&self, conn: &Conn, now: Duration) -> bool {
        conn.is_open
            && !conn.is_retired
            && conn.in_flight < usize::from(self.limits.multiplex)
            && self.limits.lifetime.is_none_or(|limit| now < conn.opened + limit)
    }

    pub(crate) fn connected(&mut self, id: ConnId, now: Duration) {
        let conn = self.conns.get_mut(&id).expect("it is dialling");
        conn.is_open = true;
        conn.opened = now;
        self.backoffs[conn.upstream] = Backoff::default();
    }

    pub(crate) fn connect_error(&mut self, id: ConnId, now: Duration) {
        let upstream = self.conns.remove(&id).expect("it is dialling").upstream;
        let backoff = &mut self.backoffs[upstream];
        if now < backoff.until {
            return;
        }
        let (first, most) = self.limits.backoff;
        let pause = backoff.pause.map_or(first, |pause| (pause * 2).min(most));
        *backoff = Backoff { pause: Some(pause), until: now + pause };
    }

    pub(crate) fn first_byte(&mut self, id: ConnId) {
        self.conns.get_mut(&id).expect("it is open").is_served = true;
    }

    /// Whether the connection still carries requests; otherwise the pool may close it or keep it.
    pub(crate) fn released(&mut self, id: ConnId, is_reusable: bool, now: Duration) -> bool {
        let conn = self.conns.get_mut(&id).expect("it is open");
        conn.in_flight -= 1;
        conn.is_retired |= !is_reusable;
        conn.is_served |= is_reusable;
        if is_reusable {
            let usual = &mut self.usual[conn.upstream];
            *usual = (*usual * 7 + (now - conn.began.max(conn.idle_since))) / 8;
        }
        conn.idle_since = now;
        conn.in_flight > 0
    }

    pub(crate) fn of(&self, upstream: usize) -> impl Iterator<Item = &Conn> {
        self.conns.values().filter(move |conn| conn.upstream == upstream)
    }

    fn has_room(&self, upstream: usize, now: Duration) -> bool {
        let multiplex = usize::from(self.limits.multiplex);
        let coming = self.of(upstream).filter(|conn| !conn.is_open).count() * (multiplex - 1);
        self.of(upstream).any(|conn| self.is_free(conn, now))
            || self.of(upstream).count() < self.limits.connections
                && self.backoffs[upstream].until <= now
                && self.waiters.len() > coming
    }

    /// How long a fresh connection may wait at the most. Where grants lie about, their times are not known to the last bit.
    fn patience(&self, upstream: usize) -> Duration {
        let set = self.limits.patience;
        if self.is_lazy { set * 10 } else { (self.usual[upstream] * 4).clamp(set, set * 10) }
    }

    /// When something is due at the latest.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let limits = &self.limits;
        let waits =
            self.waiters.iter().filter_map(|(_, since)| Some(*since + limits.queue_timeout?));
        let idle = self.conns.values().filter(|conn| conn.is_open && conn.in_flight == 0);
        let idle = idle.flat_map(|conn| {
            let fresh = self.of(conn.upstream).filter(|conn| !conn.is_served);
            let patience = fresh
                .filter(|_| limits.multiplex == 1)
                .map(|conn| conn.dialled + self.patience(conn.upstream))
                .min();
            // Of so many the ones used last may stay.
            let used_later = |other: &&Conn| {
                other.is_open && other.in_flight == 0 && other.idle_since > conn.idle_since
            };
            let is_surplus = self.of(conn.upstream).filter(used_later).count() >= limits.idle;
            let linger = is_surplus.then(|| conn.idle_since + limits.linger);
            let all = [
                linger.map(|end| ("linger", end)),
                limits.idle_timeout.map(|limit| ("idle", conn.idle_since + limit)),
                limits.lifetime.map(|limit| ("lifetime", conn.opened + limit)),
                patience.map(|end| ("patience", end)),
            ];
            all.into_iter().flatten()
        });
        let backoffs = self.backoffs.iter().enumerate().filter(|(upstream, backoff)| {
            let may_dial = self.of(*upstream).count() < limits.connections;
            !self.waiters.is_empty() && may_dial && !backoff.until.is_zero()
        });
        let waits = waits.map(|end| ("queue", end));
        let backoffs = backoffs.map(|(_, backoff)| ("backoff", backoff.until));
        waits.chain(idle).chain(backoffs)
    }

    /// Whether the pool's accounts are these, and what must never be, is not.
    pub(crate) fn check(&self, pool: &Pool, now: Duration) {
        let snapshot = pool.snapshot();
        let is_idle = |conn: &&Conn| conn.is_open && conn.in_flight == 0;
        assert_eq!(snapshot.connections, self.conns.len(), "connections");
        assert_eq!(snapshot.idle, self.conns.values().filter(is_idle).count(), "idle");
        assert_eq!(
            snapshot.in_flight,
            self.conns.values().map(|conn| conn.in_flight).sum::<usize>()
        );
        assert_eq!(snapshot.waiting, self.waiters.len(), "waiting");
        for upstream in 0..self.backoffs.len() {
            let idle = self.of(upstream).filter(is_idle).count();
            assert!(self.of(upstream).count() <= self.limits.connections, "too many connections");
            let may_linger = self.limits.idle > 0 && !self.limits.linger.is_zero();
            assert!(idle <= self.limits.idle || may_linger, "too many idle");
            if !self.waiters.is_empty() {
                assert_eq!(idle, 0, "idle connections while callers wait");
                assert!(
                    !self.has_room(upstream, now),
                    "callers wait while there is room at {upstream}: {self:?}"
                );
            }
            assert!(
                !self.of(upstream).filter(is_idle).any(|conn| conn.is_retired),
                "idle for nothing"
            );
        }
        for (what, deadline) in self.deadlines().filter(|(what, _)| *what != "backoff") {
            assert!(deadline > now, "{what} was due at {deadline:?}");
        }
        assert!(pool.poll_timeout(now).is_none_or(|timeout| timeout > now), "a driver would spin");
    }

    /// Whether nothing was due before `now`, of which the pool should have told.
    pub(crate) fn check_nothing_missed(&self, asleep_since: Duration, now: Duration) {
        for (what, deadline) in self.deadlines() {
            let is_missed = deadline > asleep_since && deadline < now;
            assert!(!is_missed, "slept past {what} at {deadline:?}");
        }
    }
}
