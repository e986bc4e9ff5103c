use alloc::vec::Vec;
use core::num::NonZeroU16;
use core::time::Duration;

use super::conn::Row;
use super::list::List;
use super::{Config, Lane};

/// A fresh connection that waits for so many times the usual time of a request waits for more than its script.
const USUAL_TIMES: u32 = 4;
/// So many times the patience that is set is the most: a script that takes as long can bear a dial.
const MOST_PATIENCE: u32 = 10;

/// What the pool knows of an address.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    /// Connections, those being dialled among them.
    pub(super) connections: usize,
    pub(super) dialling: usize,
    pub(super) in_flight: usize,
    /// How many requests may share a connection.
    pub(super) multiplex: NonZeroU16,
    fresh: List,
    shared: List,
    idle: List,
    /// The shared and the idle ones again, for each lane apart.
    lanes: Vec<[List; 2]>,
    /// How many connections the application accepts, by its own word.
    pub(super) max_conns: usize,
    backoff: Option<Backoff>,
    /// How long requests took of late.
    usual: Duration,
    /// No request begins here any more; its place is used again once its connections are gone.
    is_removed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    pause: Duration,
    until: Duration,
}

impl Upstream {
    pub(super) fn new(multiplex: NonZeroU16) -> Self {
        Self {
            connections: 0,
            dialling: 0,
            in_flight: 0,
            multiplex,
            fresh: List::default(),
            shared: List::default(),
            idle: List::default(),
            lanes: Vec::new(),
            max_conns: usize::MAX,
            backoff: None,
            usual: Duration::ZERO,
            is_removed: false,
        }
    }

    pub(super) fn remove(&mut self) {
        self.is_removed = true;
        self.backoff = None;
    }

    pub(super) const fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// Whether its place may be given to another address.
    pub(super) const fn is_gone(&self) -> bool {
        self.is_removed && self.connections == 0
    }

    pub(super) const fn row(&self, row: Row) -> &List {
        match row {
            Row::Fresh => &self.fresh,
            Row::Shared => &self.shared,
            Row::Idle => &self.idle,
        }
    }

    pub(super) const fn row_mut(&mut self, row: Row) -> &mut List {
        match row {
            Row::Fresh => &mut self.fresh,
            Row::Shared => &mut self.shared,
            Row::Idle => &mut self.idle,
        }
    }

    /// The connections of a row that are of this lane. The fresh ones are not told apart.
    pub(super) fn lane(&self, lane: Lane, row: Row) -> Option<&List> {
        let [shared, idle] = self.lanes.get(lane.index())?;
        match row {
            Row::Fresh => None,
            Row::Shared => Some(shared),
            Row::Idle => Some(idle),
        }
    }

    pub(super) fn lane_mut(&mut self, lane: Lane, row: Row) -> Option<&mut List> {
        if self.lanes.len() <= lane.index() {
            self.lanes.resize(lane.index() + 1, <[List; 2]>::default());
        }
        let [shared, idle] = self.lanes.get_mut(lane.index())?;
        match row {
            Row::Fresh => None,
            Row::Shared => Some(shared),
            Row::Idle => Some(idle),
        }
    }

    pub(super) const fn idle(&self) -> usize {
        self.idle.len()
    }

    /// A request has ended well.
    pub(super) fn handle_end(&mut self, took: Duration) {
        // A moving average, most of it of the last eight.
        self.usual = (self.usual * 7 + took) / 8;
    }

    /// How long a fresh connection may wait for its first byte before others give way to it.
    pub(super) fn patience(&self, config: &Config) -> Duration {
        let most = config.patience.saturating_mul(MOST_PATIENCE);
        self.usual.saturating_mul(USUAL_TIMES).clamp(config.patience, most)
    }

    /// Whether a request could begin, `waiting` callers being without a place.
    pub(super) fn has_room(&self, config: &Config, waiting: usize, now: Duration) -> bool {
        !self.is_removed
            && (self.shared.len() + self.idle.len() > 0 || self.may_dial(config, waiting, now))
    }

    fn may_dial(&self, config: &Config, waiting: usize, now: Duration) -> bool {
        // Requests that can share a connection being dialled wait for it.
        let coming = self.dialling * (usize::from(self.multiplex.get()) - 1);
        self.connections < config.max_connections.get()
            && waiting > coming
            && !self.is_backing_off(now)
    }

    /// Whether a lane may dial a connection of its own, though it could share that of another. One dials at a time, and
    /// the others share until it is there.
    pub(super) fn may_spread(&self, config: &Config, now: Duration) -> bool {
        self.multiplex.get() > 1
            && self.dialling == 0
            && self.connections < self.max_conns
            && self.may_dial(config, usize::MAX, now)
    }

    /// Whether it can serve nobody before its backoff has passed.
    pub(super) fn is_unreachable(&self, now: Duration) -> bool {
        self.is_removed || self.connections == self.dialling && self.is_backing_off(now)
    }

    fn is_backing_off(&self, now: Duration) -> bool {
        self.backoff_until().is_some_and(|until| now < until)
    }

    pub(super) fn backoff_until(&self) -> Option<Duration> {
        self.backoff.map(|backoff| backoff.until)
    }

    pub(super) fn handle_connected(&mut self) {
        self.backoff = None;
    }

    pub(super) fn handle_connect_error(&mut self, config: &Config, now: Duration) {
        if self.is_removed || self.is_backing_off(now) {
            // Dials that began together fail together, which says no more than the first of them.
            return;
        }
        let pause = match self.backoff {
            Some(backoff) => backoff.pause.saturating_mul(2).min(config.max_backoff),
            None => config.backoff,
        };
        self.backoff = Some(Backoff { pause, until: now.saturating_add(pause) });
    }
}

/// A small generator of numbers for choices between addresses (xorshift64).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    /// A number below `count`, which is not 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The lowest bits are the weakest.
        usize::try_from((self.0 >> 16) % (count as u64)).unwrap_or(0)
    }
}
