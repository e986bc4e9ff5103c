use core::num::NonZeroU16;

use crate::{Address, limits};

/// How a [`Connection`](super::Connection) behaves and what it admits.
///
/// ```
/// use fcgi_proto::client::{Config, Connection};
///
/// let conn = Connection::new(Config::default().keep_conn(true).max_buffered(256 * 1024));
/// assert_eq!(conn.capacity(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) keep_conn: bool,
    pub(super) max_requests: NonZeroU16,
    pub(super) max_buffered: usize,
    pub(super) max_free_records: u32,
    pub(super) max_values: u16,
    pub(super) split_large_pairs: bool,
    pub(super) request_window: usize,
    pub(super) connection_window: usize,
    pub(super) peer: Option<Address>,
}

impl Config {
    /// Who is asked, for the spans of `tracing`; of no other effect.
    #[must_use]
    pub fn peer(mut self, address: &Address) -> Self {
        if cfg!(feature = "tracing") {
            self.peer = Some(address.clone());
        }
        self
    }

    /// Whether to ask the application to leave the connection open after a request (`FCGI_KEEP_CONN`, section 5.1).
    /// Default: no.
    ///
    /// Without it a connection carries one request, whatever [`max_requests`](Self::max_requests) says.
    ///
    /// A kept connection that idles occupies a whole worker of php-fpm. Some applications close it all the same
    /// (ruby-fcgi, uWSGI, node-fastcgi).
    #[must_use]
    pub fn keep_conn(mut self, keep_conn: bool) -> Self {
        self.keep_conn = keep_conn;
        self
    }

    /// How many requests may be open at once. Default: 1, which is all that php-fpm, libfcgi and most others can do.
    ///
    /// Raise it only for an application that multiplexes: others do not refuse a second request but mix the two up.
    /// FastCGI has no windows, so that one stalled request stalls all of its connection.
    #[must_use]
    pub fn max_requests(mut self, limit: NonZeroU16) -> Self {
        self.max_requests = limit;
        self
    }

    /// How many bytes of output are held before stdin is [`Blocked`](crate::SendError::Blocked). Default: 64 KiB.
    ///
    /// The cap is soft: the payload that reaches it is taken whole, and parameters are not counted against it.
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

    /// How many bytes GET_VALUES_RESULT may have. Default: 4096; the three values that exist take about 50.
    ///
    /// Above it the connection fails with [`ValuesTooLarge`](crate::ProtocolError::ValuesTooLarge).
    #[must_use]
    pub fn max_values(mut self, bytes: u16) -> Self {
        self.max_values = bytes;
        self
    }

    /// Whether a name-value pair above 65,535 bytes is cut over several records. Default: no, the request is refused
    /// with [`PairTooLarge`](crate::BeginError::PairTooLarge).
    ///
    /// The specification allows the cut (section 5.2), and libfcgi, Go and gevent take it; php-fpm drops the request.
    #[must_use]
    pub fn split_large_pairs(mut self, split: bool) -> Self {
        self.split_large_pairs = split;
        self
    }

    /// How many bytes of one response the caller may [hold](super::Connection::hold) before the connection pauses.
    /// Default: 256 KiB.
    ///
    /// FastCGI has no windows of its own, so a pause stalls the other requests too; a larger one lets a consumer be slow
    /// for longer before the others notice. hyper gives 2 MiB to a stream of HTTP/2. Soft by what was read already.
    #[must_use]
    pub fn request_window(mut self, bytes: usize) -> Self {
        self.request_window = bytes;
        self
    }

    /// How many bytes of all responses together the caller may [hold](super::Connection::hold) before the connection
    /// pauses. Default: 4 MiB; hyper gives 5 MiB to a connection of HTTP/2. Soft by what was read already.
    #[must_use]
    pub fn connection_window(mut self, bytes: usize) -> Self {
        self.connection_window = bytes;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_conn: false,
            max_requests: NonZeroU16::MIN,
            max_buffered: limits::CLIENT_MAX_BUFFERED,
            max_free_records: limits::MAX_FREE_RECORDS,
            max_values: limits::MAX_VALUES,
            split_large_pairs: false,
            request_window: limits::REQUEST_WINDOW,
            connection_window: limits::CONNECTION_WINDOW,
            peer: None,
        }
    }
}
