use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::Config;
use crate::Role;

/// What an application server is told besides its handler; the defaults are those of every adapter.
///
/// ```
/// use fcgi_proto::server::Settings;
///
/// let mut settings = Settings::default();
/// settings.max_connections = 64;
/// assert_eq!(settings.stdin_window, 128 * 1024);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Limits of each connection.
    pub config: Config,
    /// How many bytes of a body are held for a handler that does not read them. Default: 128 KiB; soft by one piece.
    pub stdin_window: usize,
    /// How many bytes of one request's output are held before the handler's writes wait. Default: 64 KiB; soft by one
    /// write.
    pub stdout_window: usize,
    /// Which roles are served. Default: [`Role::Responder`] alone, since a handler that does not know of authorizers would
    /// let everybody in by an ordinary answer.
    pub roles: Vec<Role>,
    /// When to close a connection on which no request is open and nothing comes. Default: 5 minutes, longer than web
    /// servers keep idle connections (nginx 60 s, HAProxy 5 s); `None` means never.
    pub idle_timeout: Option<Duration>,
    /// How many connections are served at once. Default: 1024.
    pub max_connections: u32,
    /// How long a graceful shutdown waits for requests. Default: 30 s.
    pub drain_timeout: Duration,
}

impl Settings {
    /// How long, and how many bytes, is read on behind the last answer: a socket that is closed with unread input is
    /// reset, and a reset may overtake what was written.
    pub const LINGER: (Duration, usize) = (Duration::from_secs(2), 8 * 1024 * 1024);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: Config::default(),
            stdin_window: 128 * 1024,
            stdout_window: 64 * 1024,
            roles: vec![Role::Responder],
            idle_timeout: Some(Duration::from_secs(300)),
            max_connections: 1024,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
