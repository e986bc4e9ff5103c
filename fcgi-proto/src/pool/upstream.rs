use core::cell::Cell;
use core::time::Duration;

/// What the pool knows of an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstream {
    /// Connections, those being dialled among them.
    pub(super) connections: usize,
    pub(super) dialling: usize,
    pub(super) idle: usize,
    pub(super) in_flight: usize,
    /// Connections in use that no worker has picked up yet.
    pub(super) unserved: usize,
    /// Failed dials in a row, and until when to leave the address alone.
    failures: u32,
    closed_until: Duration,
}

impl Upstream {
    pub(super) fn is_backing_off(&self, now: Duration) -> bool {
        self.failures > 0 && now < self.closed_until
    }

    pub(super) const fn closed_until(&self) -> Duration {
        self.closed_until
    }

    pub(super) fn on_connected(&mut self) {
        self.failures = 0;
    }

    pub(super) fn on_connect_error(&mut self, now: Duration, first: Duration, most: Duration) {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let pause = first.checked_mul(factor).unwrap_or(most).min(most);
        self.failures = self.failures.saturating_add(1);
        self.closed_until = now.saturating_add(pause);
    }
}

/// A small generator of numbers for choices between addresses (xorshift64).
#[derive(Debug)]
pub(super) struct Dice(Cell<u64>);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(Cell::new(if seed == 0 { 1 } else { seed }))
    }

    /// A number below `count`, which is not 0.
    pub(super) fn below(&self, count: usize) -> usize {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        usize::try_from(state % (count as u64)).unwrap_or(0)
    }
}
