use core::num::NonZeroU16;

use super::super::{Config, Exchange};
use crate::limits;

/// How a [`Session`](super::Session) behaves; the defaults are those of every adapter.
///
/// ```
/// use core::num::NonZeroU16;
/// use fcgi_proto::client::{Session, SessionSettings};
///
/// let mut settings = SessionSettings::default();
/// settings.requests = NonZeroU16::new(8).expect("not zero"); // what the application's own limit is
/// settings.body_window = 256 * 1024; // for large uploads over a fast network
/// let (session, caller) = Session::new(settings);
/// # drop((session, caller));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionSettings {
    /// Limits of the connection; [`keep_conn`](Config::keep_conn) and [`max_requests`](Config::max_requests) are the
    /// session's own business.
    pub config: Config,
    /// How many requests may share the connection. Default: 32, what our own applications and HAProxy's examples allow.
    pub requests: NonZeroU16,
    /// How many bytes of one request's body are held before its caller waits. Default: 64 KiB; soft by one piece.
    pub body_window: usize,
    /// How many bytes of error output are kept for each request; the rest is counted. Default:
    /// [`Exchange::MAX_STDERR`].
    pub max_stderr: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            config: Config::default(),
            requests: NonZeroU16::MIN.saturating_add(31),
            body_window: limits::BODY_WINDOW,
            max_stderr: Exchange::MAX_STDERR,
        }
    }
}
