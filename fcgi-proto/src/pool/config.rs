use core::num::{NonZeroU16, NonZeroUsize};
use core::time::Duration;

use super::Negotiate;
use crate::{Timeouts, limits};

/// How a [`Pool`](super::Pool) behaves. Limits on connections count for each address apart.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::Config;
///
/// let config = Config::default().max_connections(32).idle_timeout(Duration::from_secs(5));
/// assert_eq!(config.allowed_idle(), 8);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) max_connections: NonZeroUsize,
    pub(super) max_idle: Option<usize>,
    pub(super) linger: Duration,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) max_requests: Option<u32>,
    pub(super) max_waiting: usize,
    pub(super) queue_timeout: Option<Duration>,
    pub(super) multiplex: NonZeroU16,
    pub(super) negotiate: Negotiate,
    pub(super) patience: Duration,
    pub(super) backoff: Duration,
    pub(super) max_backoff: Duration,
    pub(super) seed: u64,
    pub(super) request_window: usize,
    pub(super) connection_window: usize,
    pub(super) body_window: usize,
}

impl Config {
    /// How many connections to an address may be open at once, those being dialled among them. Default: 8; 0 counts as 1.
    ///
    /// More than php-fpm has workers is harmless: those wait in its listen queue, and its workers take turns.
    #[must_use]
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// How many connections to an address may idle for longer than they [linger](Self::linger). Default: a quarter of
    /// [`max_connections`](Self::max_connections), at least 1. 0 turns keep-alive off: each connection carries one request,
    /// or those that share it.
    ///
    /// Each idle connection occupies a worker of php-fpm: stay below its `pm.max_children`, also in the sum over all
    /// processes that have a pool.
    #[must_use]
    pub fn max_idle(mut self, count: usize) -> Self {
        self.max_idle = Some(count);
        self
    }

    /// How long connections beyond [`max_idle`](Self::max_idle) may idle, for the next request to come. Default: 20 ms;
    /// zero closes them at once.
    ///
    /// Under load the next request comes within microseconds, and a dial would cost more than the request. It is also the
    /// longest that such a connection can keep a worker of php-fpm from other processes; for callers of this pool that may
    /// be waiting for the worker it gives way at once, see [`patience`](Self::patience).
    #[must_use]
    pub fn linger(mut self, limit: Duration) -> Self {
        self.linger = limit;
        self
    }

    /// How long a connection may idle. Default: 10 s; `None` and zero mean without limit.
    ///
    /// php-fpm itself never closes one; ondemand workers (`pm.process_idle_timeout`, 10 s) cannot end while one idles.
    #[must_use]
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = non_zero(limit.into());
        self
    }

    /// How old a connection may be when a request begins on it, counted from when it was open; an idle one is closed then.
    /// Default: 5 min; `None` and zero mean without limit.
    ///
    /// Behind one address there may be several hosts, and new ones get their share only by new connections.
    #[must_use]
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = non_zero(limit.into());
        self
    }

    /// How many requests a connection may carry. Default: without limit; `None` and 0 say the same.
    ///
    /// php-fpm counts by itself (`pm.max_requests`) and closes, which a pool sees as a stale connection.
    #[must_use]
    pub fn max_requests(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.max_requests = limit.into().filter(|limit| *limit > 0);
        self
    }

    /// How many callers may wait for a connection. Default: 1024; nginx Plus and HAProxy queue without limit.
    #[must_use]
    pub fn max_waiting(mut self, count: usize) -> Self {
        self.max_waiting = count;
        self
    }

    /// How long a caller may wait for a connection. Default: 5 s; `None` and zero mean without limit.
    #[must_use]
    pub fn queue_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.queue_timeout = non_zero(limit.into());
        self
    }

    /// The limits for requests that bring none of their own: the defaults of [`Timeouts`], with this wait for a
    /// connection.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        Timeouts::default().with_queue(self.queue_timeout)
    }

    /// How many requests may share a connection. Default: 1, all that php-fpm can do; see also
    /// [`Pool::set_multiplex`](super::Pool::set_multiplex).
    ///
    /// Only for applications that are known to multiplex: most others do not refuse a second request but mix the two up.
    #[must_use]
    pub fn multiplex(mut self, requests: NonZeroU16) -> Self {
        self.multiplex = requests;
        self
    }

    /// Whether and how an application is asked if requests may share a connection. Default: [`Negotiate::Never`].
    ///
    /// When it is asked, one request has a connection until it says that it can do more. So many as it names
    /// (`FCGI_MAX_REQS`) may share one then, and no more than [`multiplex`](Self::multiplex) says, or 32 if that is 1.
    #[must_use]
    pub fn negotiate(mut self, negotiate: Negotiate) -> Self {
        self.negotiate = negotiate;
        self
    }

    /// How many bytes of a response are held for one who shares a connection and is slow to take them, before the
    /// connection pauses and the others with it. Default: 256 KiB; see
    /// [`client::Config::request_window`](crate::client::Config::request_window).
    #[must_use]
    pub fn request_window(mut self, bytes: usize) -> Self {
        self.request_window = bytes;
        self
    }

    /// How many bytes are held for all who share a connection together. Default: 4 MiB; see
    /// [`client::Config::connection_window`](crate::client::Config::connection_window).
    #[must_use]
    pub fn connection_window(mut self, bytes: usize) -> Self {
        self.connection_window = bytes;
        self
    }

    /// How many bytes of a request's body are held for a shared connection that is slow to send them, before its source is
    /// asked for no more. Default: 64 KiB; soft by one piece.
    #[must_use]
    pub fn body_window(mut self, bytes: usize) -> Self {
        self.body_window = bytes;
        self
    }

    /// How long a fresh connection may wait for the first byte of its response before others give way to it: those that
    /// idle are closed, and those in use close after their request. Default: 5 ms; zero means at once. Where requests take
    /// longer than that of late, it is four times their usual time, but ten times what is set here at the most.
    ///
    /// It may be waiting for a worker of php-fpm that a kept connection occupies, or its script may still run, and from
    /// here nobody can tell which. So connections are kept while scripts answer faster than this, where it saves most. That
    /// it follows the usual time keeps a process that is slow itself, as it has much to do, from taking that for waiting.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// How long an address is left alone after it could not be connected to: at first `first`, then twice as long each
    /// time, up to `most`. Default: 20 ms to 1 s. Less than 1 ms counts as that.
    #[must_use]
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.backoff = first.max(Duration::from_millis(1));
        self.max_backoff = most.max(self.backoff);
        self
    }

    /// Seeds the choice between addresses. Default: a constant. Give each process its own, so that they do not choose alike.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many requests may share a connection to an address of which nothing was heard.
    pub(super) fn multiplex_unasked(&self) -> NonZeroU16 {
        if self.negotiate == Negotiate::Never { self.multiplex } else { NonZeroU16::MIN }
    }

    /// How many requests may share a connection at the most, whatever an application says.
    pub(super) fn most_shared(&self) -> NonZeroU16 {
        let is_set = self.multiplex.get() > 1 || self.negotiate == Negotiate::Never;
        if is_set { self.multiplex } else { NonZeroU16::MIN.saturating_add(31) }
    }

    /// How many requests to an address may be under way at once: as many as share a connection, on all of them.
    #[must_use]
    pub fn allowed_requests(&self) -> usize {
        self.max_connections.get().saturating_mul(usize::from(self.multiplex.get()))
    }

    /// How many connections to an address may idle, as set or by default.
    #[must_use]
    pub fn allowed_idle(&self) -> usize {
        self.max_idle.unwrap_or_else(|| (self.max_connections.get() / 4).max(1))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::MIN.saturating_add(7),
            max_idle: None,
            linger: Duration::from_millis(20),
            idle_timeout: Some(Duration::from_secs(10)),
            max_lifetime: Some(Duration::from_secs(300)),
            max_requests: None,
            max_waiting: 1024,
            queue_timeout: Some(Duration::from_secs(5)),
            multiplex: NonZeroU16::MIN,
            negotiate: Negotiate::Never,
            patience: Duration::from_millis(5),
            backoff: Duration::from_millis(20),
            max_backoff: Duration::from_secs(1),
            seed: 0x9e37_79b9_7f4a_7c15,
            request_window: limits::REQUEST_WINDOW,
            connection_window: limits::CONNECTION_WINDOW,
            body_window: limits::BODY_WINDOW,
        }
    }
}

fn non_zero(limit: Option<Duration>) -> Option<Duration> {
    limit.filter(|limit| !limit.is_zero())
}
