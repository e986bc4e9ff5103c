use core::num::NonZeroU16;
use core::time::Duration;

use super::Config;
use super::conn::Row;
use super::list::List;

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
