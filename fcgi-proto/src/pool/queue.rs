use alloc::collections::VecDeque;
use core::fmt;
use core::time::Duration;

/// Names one caller that waits for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaiterId(u64);

/// Why a caller waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// No connection became free in time.
    Expired,
    /// No address could be connected to.
    Unreachable,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "no connection became free in time",
            Self::Unreachable => "no address could be connected to",
        })
    }
}

impl core::error::Error for WaitError {}

/// Callers in the order they came.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<(WaiterId, Option<Duration>)>,
    next: u64,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, deadline: Option<Duration>) -> WaiterId {
        let id = WaiterId(self.next);
        self.next += 1;
        self.waiting.push_back((id, deadline));
        id
    }

    pub(super) fn pop(&mut self) -> Option<WaiterId> {
        self.waiting.pop_front().map(|(id, _)| id)
    }

    /// Takes a caller out; whether it was still waiting.
    pub(super) fn remove(&mut self, id: WaiterId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| *waiting != id);
        self.waiting.len() < before
    }

    /// The deadline of the first; all wait equally long, so that no other is earlier.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.waiting.front().and_then(|(_, deadline)| *deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Duration) -> Option<WaiterId> {
        self.next_deadline().filter(|deadline| *deadline <= now)?;
        self.pop()
    }
}
