//! Whose time runs while the connection is paused: theirs who pause it, and nobody else's.

use alloc::vec::Vec;
use core::time::Duration;

use super::open::Open;
use super::state::State;
use crate::wakes::Wakes;
use crate::{Phase, RequestKey};

impl State {
    /// When [`check_time`](Self::check_time) is due for this request, in the session's time.
    pub(super) fn deadline(&self, key: RequestKey) -> Option<Duration> {
        let open = self.calls.get(&key).filter(|open| open.is_live)?;
        let own = self.own_deadline(key, open);
        let culprits = self.culprits().filter_map(|(key, open)| self.own_deadline(key, open));
        culprits.chain(own).min()
    }

    /// Ends requests whose time is up: this one, and those that keep it waiting.
    pub(super) fn check_time(&mut self, key: RequestKey, now: Duration, wakes: &mut Wakes) {
        self.excuse(now);
        let is_late = |key: &RequestKey| {
            let open = self.calls.get(key)?;
            let deadline = self.own_deadline(*key, open)?;
            (deadline <= now).then_some(*key)
        };
        let late: Vec<RequestKey> = self
            .culprits()
            .map(|(key, _)| key)
            .chain([key])
            .filter_map(|key| is_late(&key))
            .collect();
        for key in late {
            self.time_out(key, now, wakes);
        }
    }

    /// Nothing could come for anybody during the pause that is over.
    pub(super) fn excuse(&mut self, now: Duration) {
        if core::mem::take(&mut self.is_excused) {
            for open in self.calls.values_mut().filter(|open| open.is_live) {
                let now = open.clock(now);
                open.exchange.excuse(now);
            }
        }
    }

    pub(super) fn time_out(&mut self, key: RequestKey, now: Duration, wakes: &mut Wakes) {
        let Some(open) = self.calls.get(&key).filter(|open| open.is_live) else { return };
        let phase = match open.exchange.check_time(open.clock(now)) {
            Some(phase) if self.counts(key) => phase,
            _ => Phase::Total,
        };
        let error = open.exchange.timed_out(phase, &open.timeouts);
        self.fail(key, error, wakes);
    }

    fn own_deadline(&self, key: RequestKey, open: &Open) -> Option<Duration> {
        let deadline = if self.counts(key) {
            open.exchange.deadline()
        } else {
            open.exchange.total_deadline()
        };
        deadline.and_then(|deadline| open.session_time(deadline))
    }

    /// Whether waiting counts against this request. When those who pause the connection may do so for ever, it counts
    /// against those who wait for them: somebody's time must run.
    fn counts(&self, key: RequestKey) -> bool {
        let has_limit = |(_, open): (RequestKey, &Open)| open.exchange.deadline().is_some();
        let is_shared = self.live > 1;
        !self.is_paused
            || is_shared && (self.conn.is_stalled_by(key) || !self.culprits().any(has_limit))
    }

    /// Requests whose consumers are slow at the expense of others.
    fn culprits(&self) -> impl Iterator<Item = (RequestKey, &Open)> {
        let calls = (self.is_paused && self.live > 1).then(|| self.calls.iter());
        calls
            .into_iter()
            .flatten()
            .filter(|(key, open)| open.is_live && self.conn.is_stalled_by(**key))
            .map(|(key, open)| (*key, open))
    }
}
