use alloc::collections::VecDeque;
use core::fmt;
use core::time::Duration;

use super::Lane;
use super::conn::ConnId;
use super::decision::{Action, Grant};

/// Names one caller that waits for a connection.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Grant, Pool};
///
/// let mut pool = Pool::new(Config::default().max_connections(1), 1);
/// pool.acquire(Duration::ZERO)?;
/// let Ok(Grant::Wait(waiter)) = pool.acquire(Duration::ZERO) else { panic!("all are busy") };
/// pool.cancel(waiter); // the caller has left
/// # Ok::<(), fcgi_proto::pool::AcquireError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(u64);

/// Why a caller waited in vain.
///
/// ```
/// use fcgi_proto::pool::WaitError;
///
/// assert_eq!(WaitError::Expired.to_string(), "no connection became free in time");
/// ```
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

/// A caller that waits, until when, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) id: WaiterId,
    pub(super) deadline: Option<Duration>,
    pub(super) lane: Lane,
}

/// An action that the adapter has not heard of yet.
#[derive(Debug)]
pub(super) enum Pending {
    Close(ConnId),
    /// With what the caller needs to wait on.
    Grant(Waiter, Grant),
    Fail(WaiterId, WaitError),
}

impl Pending {
    pub(super) const fn waiter(&self) -> Option<WaiterId> {
        match *self {
            Self::Grant(Waiter { id, .. }, _) | Self::Fail(id, _) => Some(id),
            Self::Close(_) => None,
        }
    }

    pub(super) const fn action(&self) -> Action {
        match *self {
            Self::Close(conn) => Action::Close(conn),
            Self::Grant(Waiter { id, .. }, grant) => Action::Grant(id, grant),
            Self::Fail(id, error) => Action::Fail(id, error),
        }
    }
}

/// Callers in the order they came, which is also that of their names.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiter>,
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

    pub(super) fn push(&mut self, lane: Lane, deadline: Option<Duration>) -> WaiterId {
        let id = WaiterId(self.next);
        self.next += 1;
        self.waiting.push_back(Waiter { id, deadline, lane });
        id
    }

    /// Whose turn is next.
    pub(super) fn first(&self) -> Option<&Waiter> {
        self.waiting.front()
    }

    pub(super) fn pop(&mut self) -> Option<Waiter> {
        self.waiting.pop_front()
    }

    /// Puts back a caller that was taken out.
    pub(super) fn put_back(&mut self, waiter: Waiter) {
        if let Err(place) = self.waiting.binary_search_by_key(&waiter.id, |waiter| waiter.id) {
            self.waiting.insert(place, waiter);
        }
    }

    /// Takes a caller out; whether it was still waiting.
    pub(super) fn remove(&mut self, id: WaiterId) -> bool {
        let found = self.waiting.binary_search_by_key(&id, |waiter| waiter.id);
        found.is_ok_and(|place| self.waiting.remove(place).is_some())
    }

    /// The deadline of the first; all wait equally long, so that no other is earlier.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.first().and_then(|waiter| waiter.deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Duration) -> Option<WaiterId> {
        self.next_deadline().filter(|deadline| *deadline <= now)?;
        self.pop().map(|waiter| waiter.id)
    }
}
