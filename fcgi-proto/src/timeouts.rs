//! How long a client waits for what, and the names of the places where waiting or failing happens.
//!
//! There is no clock here. Adapters measure; this module says what is measured, so that it is the same in all.

use core::fmt;
use core::time::Duration;

/// The time limits of one exchange with an application.
///
/// | limit | default | bounds |
/// |---|---|---|
/// | [`connect`](Self::connect) | 3 s | resolving a name and establishing the connection |
/// | [`queue`](Self::queue) | 5 s | waiting for a free connection of a pool |
/// | [`first_byte`](Self::first_byte) | 60 s | from the request's last byte being sent to the first of the answer |
/// | [`idle`](Self::idle) | 60 s | no byte going either way, but for the wait for the first byte of the answer; no byte of a body that is collected |
/// | [`total`](Self::total) | none | everything, from the call to the last byte of the answer |
///
/// `None` and zero both switch a limit off. The idle limit starts again with every byte, so a peer that sends one now
/// and then is only stopped by `total`.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::Timeouts;
///
/// let timeouts = Timeouts::default()
///     .with_first_byte(None)
///     .with_total(Duration::from_secs(30));
/// assert_eq!(timeouts.connect(), Some(Duration::from_secs(3)));
/// assert_eq!(timeouts.first_byte(), None);
/// assert_eq!(timeouts.total(), Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    connect: Option<Duration>,
    queue: Option<Duration>,
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(3)),
            queue: Some(Duration::from_secs(5)),
            first_byte: Some(Duration::from_secs(60)),
            idle: Some(Duration::from_secs(60)),
            total: None,
        }
    }
}

impl Timeouts {
    /// No limit at all.
    pub const NONE: Self =
        Self { connect: None, queue: None, first_byte: None, idle: None, total: None };

    /// Limits connecting. Default 3 s, as in Caddy; nginx waits 60 s, hollodotme's client 5 s.
    #[must_use]
    pub fn with_connect(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect = or_off(limit);
        self
    }

    /// Limits the wait for a free connection. Default 5 s.
    #[must_use]
    pub fn with_queue(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.queue = or_off(limit);
        self
    }

    /// Limits the wait for the first byte of an answer. Default 60 s, as nginx's `fastcgi_read_timeout`.
    #[must_use]
    pub fn with_first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = or_off(limit);
        self
    }

    /// Limits the time without progress in either direction. Default 60 s, as in nginx.
    #[must_use]
    pub fn with_idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle = or_off(limit);
        self
    }

    /// Limits the whole exchange. Off by default: downloads may take as long as they progress.
    #[must_use]
    pub fn with_total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = or_off(limit);
        self
    }

    /// The limit that [`Phase`] is about, of those phases that have one.
    #[must_use]
    pub const fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Connect => self.connect,
            Phase::Queue => self.queue,
            Phase::FirstByte => self.first_byte,
            Phase::Idle => self.idle,
            Phase::Total => self.total,
            Phase::Spool | Phase::Send | Phase::Head | Phase::Body => None,
        }
    }

    /// How long to wait in a phase that begins `now`, counted since the call began: to the phase's own limit or that on
    /// the whole exchange, whichever comes first. `None` when neither is set.
    #[must_use]
    pub fn wait(&self, phase: Phase, now: Duration) -> Option<Wait> {
        let own = self
            .limit(phase)
            .and_then(|limit| Some(Wait { deadline: now.checked_add(limit)?, phase, limit }));
        let total = self.total.map(|limit| Wait { deadline: limit, phase: Phase::Total, limit });
        [own, total].into_iter().flatten().min_by_key(|wait| wait.deadline)
    }

    /// The limit on connecting.
    #[must_use]
    pub const fn connect(&self) -> Option<Duration> {
        self.connect
    }

    /// The limit on waiting for a free connection.
    #[must_use]
    pub const fn queue(&self) -> Option<Duration> {
        self.queue
    }

    /// The limit on waiting for the first byte of the answer.
    #[must_use]
    pub const fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// The limit on time without progress.
    #[must_use]
    pub const fn idle(&self) -> Option<Duration> {
        self.idle
    }

    /// The limit on the whole exchange.
    #[must_use]
    pub const fn total(&self) -> Option<Duration> {
        self.total
    }
}

fn or_off(limit: impl Into<Option<Duration>>) -> Option<Duration> {
    limit.into().filter(|limit| !limit.is_zero())
}

/// How long to wait for something at most; from [`Timeouts::wait`].
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::{Phase, Timeouts};
///
/// let timeouts = Timeouts::default().with_total(Duration::from_secs(10));
/// let wait = timeouts.wait(Phase::Connect, Duration::from_secs(8)).expect("there are limits");
/// assert_eq!((wait.deadline.as_secs(), wait.phase), (10, Phase::Total)); // before the 3 s for connecting are over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When the waiting ends, counted since the call began.
    pub deadline: Duration,
    /// Which limit ends it.
    pub phase: Phase,
    /// That limit.
    pub limit: Duration,
}

/// Where in an exchange something happened.
///
/// ```
/// assert_eq!(fcgi_proto::Phase::FirstByte.to_string(), "first byte");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Collecting a body of unknown length, before anything is sent.
    Spool,
    /// Waiting for a free connection.
    Queue,
    /// Resolving and connecting.
    Connect,
    /// Sending the request, before any byte of the answer.
    Send,
    /// The request is sent and no byte of the answer has come.
    FirstByte,
    /// The answer's head is incomplete.
    Head,
    /// The answer's head was delivered, its body is incomplete.
    Body,
    /// Of timeouts: no progress in either direction.
    Idle,
    /// Of timeouts: the limit on the whole exchange.
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spool => "spool",
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::FirstByte => "first byte",
            Self::Head => "head",
            Self::Body => "body",
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_none_switch_off() {
        let zero = Timeouts::default()
            .with_connect(Duration::ZERO)
            .with_queue(Duration::ZERO)
            .with_first_byte(None)
            .with_idle(Some(Duration::ZERO));
        assert_eq!(zero, Timeouts::NONE);
    }

    #[test]
    fn a_wait_ends_with_the_limit_that_comes_first() {
        let secs = Duration::from_secs;
        let timeouts = Timeouts::default().with_total(secs(10));
        let wait = timeouts.wait(Phase::Connect, secs(4)).unwrap();
        assert_eq!((wait.deadline, wait.phase, wait.limit), (secs(7), Phase::Connect, secs(3)));
        let wait = timeouts.wait(Phase::Connect, secs(9)).unwrap();
        assert_eq!((wait.deadline, wait.phase, wait.limit), (secs(10), Phase::Total, secs(10)));
        assert_eq!(Timeouts::NONE.wait(Phase::Connect, secs(9)), None);
    }
}
