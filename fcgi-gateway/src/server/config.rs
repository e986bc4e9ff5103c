//! Limits and times of the HTTP server.

use core::num::NonZeroUsize;
use core::time::Duration;

/// Limits and times of a [`Server`](super::Server): what clients may take of it.
///
/// ```
/// use core::time::Duration;
/// use fcgi_gateway::server::Config;
///
/// let config = Config::default().max_head(32 * 1024).idle_time(Duration::from_secs(15));
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(super) max_connections: usize,
    pub(super) max_head: usize,
    pub(super) max_headers: usize,
    pub(super) max_uri: usize,
    pub(super) max_streams: u32,
    pub(super) max_resets: u32,
    pub(super) head_time: Duration,
    pub(super) idle_time: Duration,
    pub(super) rest_time: Duration,
    pub(super) write_timeout: Option<Duration>,
    pub(super) grace_time: Duration,
    pub(super) drain_time: Duration,
    pub(super) http2: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: Self::MAX_CONNECTIONS,
            max_head: 64 * 1024,
            max_headers: 100,
            max_uri: 16 * 1024,
            max_streams: 100,
            max_resets: 200,
            head_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            rest_time: Duration::from_millis(100),
            write_timeout: Some(Duration::from_secs(60)),
            grace_time: Duration::from_secs(5),
            drain_time: Duration::from_secs(30),
            http2: true,
        }
    }
}

impl Config {
    /// How many connections may be open unless [`max_connections`](Self::max_connections) says otherwise.
    pub const MAX_CONNECTIONS: usize = 20_000;

    /// How many connections may be open. Default: 20,000; an idle one takes about 10 KiB, and 40 KiB after an upload.
    ///
    /// When they are, those that have been idle longest are closed to make room. If none is idle, new ones wait in the
    /// listener's queue until one ends. The system's limit of open files counts as well: a request to PHP takes one more.
    pub const fn max_connections(mut self, connections: NonZeroUsize) -> Self {
        self.max_connections = connections.get();
        self
    }

    /// How long the head of a request may be, in bytes: request line and header fields. More gives 431. Default: 64 KiB;
    /// nginx takes 32 KiB, Node 16 KiB. At least 8 KiB.
    pub const fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = if bytes < SMALLEST_HEAD { SMALLEST_HEAD } else { bytes };
        self
    }

    /// How many header fields a request may have. More gives 431. Default: 100, as Apache's.
    pub const fn max_headers(mut self, fields: usize) -> Self {
        self.max_headers = fields;
        self
    }

    /// How long the target of a request may be, in bytes: path and query. More gives 414. Default: 16 KiB; nginx and Apache
    /// take 8 KiB. Above 65,534 has no effect.
    pub const fn max_uri(mut self, bytes: usize) -> Self {
        self.max_uri = bytes;
        self
    }

    /// How many requests one HTTP/2 connection may have open at once. Default: 100, as Apache's and Caddy's; nginx takes
    /// 128.
    pub const fn max_streams(mut self, streams: u32) -> Self {
        self.max_streams = streams;
        self
    }

    /// How many requests one connection may take back before they were answered, those that were answered counted off. Then it
    /// is closed. Default: 200.
    ///
    /// Opening and resetting streams in a row makes the server work without bound (CVE-2023-44487); browsers reset a few.
    pub const fn max_resets(mut self, resets: u32) -> Self {
        self.max_resets = resets;
        self
    }

    /// How long a client may take from the first byte of a request's head to its end, and for the TLS handshake, before its
    /// connection is closed. Default: 30 s. Over HTTP/2 this is about the first request; later ones have the
    /// [idle time](Self::idle_time).
    pub const fn head_time(mut self, time: Duration) -> Self {
        self.head_time = time;
        self
    }

    /// How long a connection may be open without a request. Default: 75 s, as nginx's.
    pub const fn idle_time(mut self, time: Duration) -> Self {
        self.idle_time = time;
        self
    }

    /// How long a connection of HTTP/1 keeps its buffers, 24 KiB of them, without a request. Default: 100 ms. The next
    /// request makes them anew, which takes a few microseconds.
    pub const fn rest_time(mut self, time: Duration) -> Self {
        self.rest_time = time;
        self
    }

    /// How long a client may take nothing of an answer before its connection is closed. Default: 60 s, as nginx's
    /// `send_timeout`. `None` or zero waits for ever.
    ///
    /// A client that does not read holds a worker of the application, which cannot write on. Over HTTP/2 it is the stream
    /// that is given up, with RST_STREAM, when its client takes less than one piece of the body (mostly 8 to 64 KiB) in
    /// that time; others of the connection go on.
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into().filter(|timeout| !timeout.is_zero());
        self
    }

    /// How long a client that is still sending a request may go on once the server was told to stop. Default: 5 s.
    pub const fn grace_time(mut self, time: Duration) -> Self {
        self.grace_time = time;
        self
    }

    /// How long answers under way may take once the server was told to stop. Default: 30 s.
    pub const fn drain_time(mut self, time: Duration) -> Self {
        self.drain_time = time;
        self
    }

    /// Whether HTTP/2 is spoken to clients that ask for it, over TLS or, by prior knowledge, without. Default: yes.
    pub const fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }
}

/// hyper's buffer needs it.
const SMALLEST_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// As they are documented.
    #[test]
    fn defaults() {
        let config = Config::default();
        assert_eq!(
            (config.max_connections, config.max_streams, config.max_resets),
            (20_000, 100, 200)
        );
        assert_eq!((config.max_head, config.max_headers, config.max_uri), (65_536, 100, 16_384));
        let seconds = Duration::from_secs;
        assert_eq!((config.head_time, config.idle_time), (seconds(30), seconds(75)));
        assert_eq!(config.rest_time, Duration::from_millis(100));
        assert_eq!((config.grace_time, config.drain_time), (seconds(5), seconds(30)));
        assert_eq!(config.write_timeout, Some(seconds(60)));
        assert_eq!(config.write_timeout(Duration::ZERO).write_timeout, None);
    }
}
