use core::time::Duration;

use crate::{Phase, Timeouts};

/// When an exchange has waited too long. Times are given as durations since the call began; there is no clock here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    timeouts: Timeouts,
    last_progress: Duration,
    waits_for: Waiting,
}

/// What counts as waiting too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The request is being sent, or the response comes: any byte is progress.
    Progress,
    /// The request is sent, and the application works.
    FirstByte,
    /// Nothing more is expected.
    Nothing,
}

impl Deadlines {
    pub(super) const fn new(timeouts: Timeouts, now: Duration) -> Self {
        Self { timeouts, last_progress: now, waits_for: Waiting::Progress }
    }

    pub(super) fn on_progress(&mut self, now: Duration, waits_for: Waiting) {
        self.last_progress = now;
        self.waits_for = waits_for;
    }

    /// Counts waiting from now on, whatever is waited for.
    #[cfg(feature = "std")]
    pub(super) fn excuse(&mut self, now: Duration) {
        self.last_progress = self.last_progress.max(now);
    }

    #[cfg(feature = "std")]
    pub(super) const fn total(&self) -> Option<Duration> {
        self.timeouts.total()
    }

    /// The earliest deadline and what it bounds.
    pub(super) fn next(&self) -> Option<(Duration, Phase)> {
        let (limit, phase) = match self.waits_for {
            Waiting::Progress => (self.timeouts.idle(), Phase::Idle),
            Waiting::FirstByte => (self.timeouts.first_byte(), Phase::FirstByte),
            Waiting::Nothing => return None,
        };
        let wait = limit.and_then(|limit| Some((self.last_progress.checked_add(limit)?, phase)));
        let total = self.timeouts.total().map(|limit| (limit, Phase::Total));
        [wait, total].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }

    /// The phase whose time is up.
    pub(super) fn expired(&self, now: Duration) -> Option<Phase> {
        self.next().filter(|(deadline, _)| *deadline <= now).map(|(_, phase)| phase)
    }
}
