use core::fmt;

use super::conn::ConnId;
use super::queue::{WaitError, WaiterId};

/// What a caller is to do.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Grant, Pool};
///
/// let mut pool = Pool::new(Config::default(), 1);
/// match pool.acquire(Duration::ZERO)? {
///     Grant::Dial { conn, .. } => pool.handle_connected(conn, Duration::ZERO), // once it is
///     other => panic!("nothing is there to be used again: {other:?}"),
/// }
/// # Ok::<(), fcgi_proto::pool::AcquireError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Use this connection.
    Reuse {
        /// The connection.
        conn: ConnId,
        /// The index of its address.
        upstream: usize,
    },
    /// Dial this address, then report [`handle_connected`](super::Pool::handle_connected) or
    /// [`handle_connect_error`](super::Pool::handle_connect_error).
    Dial {
        /// Names the new connection.
        conn: ConnId,
        /// The index of the address.
        upstream: usize,
    },
    /// Wait until [`Action::Grant`] or [`Action::Fail`] names this caller, and [`cancel`](super::Pool::cancel) on giving up.
    Wait(WaiterId),
}

/// What the adapter is to do, now.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Action, Config, Grant, Pool};
///
/// let mut pool = Pool::new(Config::default(), 1);
/// let Ok(Grant::Dial { conn, .. }) = pool.acquire(Duration::ZERO) else { panic!() };
/// pool.handle_connected(conn, Duration::ZERO);
/// pool.handle_first_byte(conn);
/// assert!(pool.release(conn, true, Duration::ZERO).is_keep());
/// let later = Duration::from_secs(3600);
/// assert_eq!(pool.poll_action(later), Some(Action::Close(conn))); // it was idle for too long
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Close this idle connection, unless it has broken meanwhile; the pool has forgotten it.
    Close(ConnId),
    /// A waiting caller's turn has come: [`Grant::Reuse`] or [`Grant::Dial`].
    Grant(WaiterId, Grant),
    /// A waiting caller is to give up.
    Fail(WaiterId, WaitError),
}

/// What becomes of a connection after a request.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Grant, Pool, Released};
///
/// let mut pool = Pool::new(Config::default(), 1);
/// let Ok(Grant::Dial { conn, .. }) = pool.acquire(Duration::ZERO) else { panic!() };
/// pool.handle_connected(conn, Duration::ZERO);
/// let released: Released = pool.release(conn, false, Duration::ZERO); // the exchange has failed
/// assert!(!released.is_keep());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It stays open: idle, handed to a waiting caller by an [`Action`], or busy with other requests.
    Keep,
    /// Close it; the pool has forgotten it.
    Close,
}

/// A caller cannot even wait: as many as allowed do already.
///
/// ```
/// use fcgi_proto::pool::AcquireError;
///
/// fn page(error: AcquireError) -> (u16, String) {
///     (503, error.to_string())
/// }
/// # let _ = page;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The queue is full.
    QueueFull {
        /// Its limit.
        limit: usize,
    },
}

/// Figures of a pool: the first group as they are now, the second since its beginning.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Pool, Snapshot};
///
/// let mut pool = Pool::new(Config::default(), 1);
/// let before: Snapshot = pool.snapshot();
/// pool.acquire(Duration::ZERO)?;
/// assert_ne!(pool.snapshot(), before);
/// # Ok::<(), fcgi_proto::pool::AcquireError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Connections, those being dialled among them.
    pub connections: usize,
    /// Connections that carry no request.
    pub idle: usize,
    /// Requests on connections.
    pub in_flight: usize,
    /// Callers in the queue.
    pub waiting: usize,
    /// Dials begun.
    pub dials: u64,
    /// Dials failed.
    pub failed_dials: u64,
    /// Grants of a connection that had carried a request before.
    pub reuses: u64,
    /// Callers that waited too long.
    pub expired: u64,
    /// Callers turned away as the queue was full.
    pub turned_away: u64,
}

impl Released {
    /// Whether the connection stays open.
    #[must_use]
    pub const fn is_keep(self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::QueueFull { limit } = self;
        write!(f, "{limit} callers wait for a connection already")
    }
}

impl core::error::Error for AcquireError {}
