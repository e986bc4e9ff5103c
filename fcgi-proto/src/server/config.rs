use core::num::NonZeroU16;

use crate::limits;

/// How a [`Connection`](super::Connection) behaves and what it admits.
///
/// ```
/// use core::num::NonZeroU16;
/// use fcgi_proto::server::{Config, Connection};
///
/// // One request at a time: a second one is refused with CANT_MPX_CONN, and GET_VALUES says so.
/// let conn = Connection::new(Config::default().max_requests(NonZeroU16::MIN));
/// assert_eq!(conn.open_requests(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) max_requests: NonZeroU16,
    pub(super) max_params: usize,
    pub(super) max_param_count: usize,
    pub(super) max_buffered: usize,
    pub(super) max_free_records: u32,
    pub(super) max_values: u16,
    pub(super) max_conns: u32,
    pub(super) max_reqs: Option<u32>,
}

impl Config {
    /// How many requests may be open at once on a connection. Default: 32; 1 means no multiplexing.
    ///
    /// A request beyond it is refused with OVERLOADED, or with CANT_MPX_CONN when the limit is 1 (section 5.5). HAProxy
    /// multiplexes when told to (`option mpxs-conns`); nginx, Apache, lighttpd and Caddy never do.
    #[must_use]
    pub fn max_requests(mut self, limit: NonZeroU16) -> Self {
        self.max_requests = limit;
        self
    }

    /// How many bytes of parameters a request may have. Default: 1 MiB; nginx and Apache send 32 KiB to 800 KiB at most.
    ///
    /// A request beyond it is refused with OVERLOADED; the others on the connection go on. A connection may hold this
    /// times [`max_requests`](Self::max_requests).
    #[must_use]
    pub fn max_params(mut self, bytes: usize) -> Self {
        self.max_params = bytes;
        self
    }

    /// How many parameters a request may have. Default: 2000; uWSGI stops at 100, hyper and Apache at 100 HTTP fields.
    ///
    /// A request beyond it is refused with OVERLOADED.
    #[must_use]
    pub fn max_param_count(mut self, count: usize) -> Self {
        self.max_param_count = count;
        self
    }

    /// How many bytes of output are held before stdout and stderr are [`Blocked`](crate::SendError::Blocked), and before
    /// the connection takes no more input. Default: 256 KiB.
    ///
    /// The cap is soft: the payload that reaches it is taken whole.
    #[must_use]
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// How many records in a row may be empty, unknown or for requests that have ended. Default: 1000.
    ///
    /// Above it the connection fails with [`TooManyFreeRecords`](crate::ProtocolError::TooManyFreeRecords).
    #[must_use]
    pub fn max_free_records(mut self, limit: u32) -> Self {
        self.max_free_records = limit;
        self
    }

    /// How many bytes GET_VALUES may have. Default: 4096; the three names that exist take 46.
    ///
    /// Above it the connection fails with [`ValuesTooLarge`](crate::ProtocolError::ValuesTooLarge).
    #[must_use]
    pub fn max_values(mut self, bytes: u16) -> Self {
        self.max_values = bytes;
        self
    }

    /// What GET_VALUES is told for `FCGI_MAX_CONNS`, the connections that the application accepts at once (section 4.1).
    /// Default: 1024.
    #[must_use]
    pub fn max_conns(mut self, count: u32) -> Self {
        self.max_conns = count;
        self
    }

    /// What GET_VALUES is told for `FCGI_MAX_REQS`, the requests at once over all connections (section 4.1).
    /// Default: connections times requests per connection.
    #[must_use]
    pub fn max_reqs(mut self, count: u32) -> Self {
        self.max_reqs = Some(count);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_requests: NonZeroU16::new(limits::SERVER_MAX_REQUESTS).unwrap_or(NonZeroU16::MIN),
            max_params: limits::MAX_PARAMS,
            max_param_count: limits::MAX_PARAM_COUNT,
            max_buffered: limits::SERVER_MAX_BUFFERED,
            max_free_records: limits::MAX_FREE_RECORDS,
            max_values: limits::MAX_VALUES,
            max_conns: 1024,
            max_reqs: None,
        }
    }
}
