//! Default limits with their reasons, and the budget for records that bring nothing.

use crate::error::ProtocolError;

/// Records in a row that may bring nothing. An idle-looking peer sends a handful (two ends of streams, a stray STDERR
/// after the end); h2 and hyper allow a thousand or so empty frames as well.
pub(crate) const MAX_FREE_RECORDS: u32 = 1000;

/// Output held by a client: one record's worth of a body that is waiting, as much again as a socket buffer holds.
pub(crate) const CLIENT_MAX_BUFFERED: usize = 64 * 1024;

/// Bytes of one response that a client holds for a slow consumer: a few full reads. nginx buffers 64 KiB of one in memory.
pub(crate) const REQUEST_WINDOW: usize = 256 * 1024;

/// The same for all requests of a connection together: sixteen slow consumers.
pub(crate) const CONNECTION_WINDOW: usize = 4 * 1024 * 1024;

/// What one request's body may hold while its shared connection is busy: four pieces of it, so that a turn that comes finds
/// something to send.
pub(crate) const BODY_WINDOW: usize = 64 * 1024;

/// Output held by an application: several requests share it.
pub(crate) const SERVER_MAX_BUFFERED: usize = 256 * 1024;

/// Bytes of parameters of one request. nginx sends at most its header buffers (4 x 8 KiB by default), Apache 100
/// fields of 8 KiB; 1 MiB is out of reach for an honest web server.
pub(crate) const MAX_PARAMS: usize = 1024 * 1024;

/// Parameters of one request. A web server sends about 25 and one per HTTP header, of which Apache admits 100 and
/// hyper 100; uWSGI takes 100 parameters in all.
pub(crate) const MAX_PARAM_COUNT: usize = 2000;

/// Requests at once on one connection of an application. HAProxy's default is 1 and its manual suggests tens.
pub(crate) const SERVER_MAX_REQUESTS: u16 = 32;

/// Bytes of GET_VALUES or its result. The three names there are take 46 bytes.
pub(crate) const MAX_VALUES: u16 = 4096;

/// Ids whose late records are expected beyond the open requests: those ended early and those refused.
pub(crate) const MAX_DRAINING: usize = 64;

/// Counts records that bring nothing; one that brings something refills it. h2 guards itself the same way.
#[derive(Debug)]
pub(crate) struct FreeRecords {
    in_a_row: u32,
    limit: u32,
}

impl FreeRecords {
    pub(crate) const fn new(limit: u32) -> Self {
        Self { in_a_row: 0, limit }
    }

    pub(crate) fn spend(&mut self) -> Result<(), ProtocolError> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row > self.limit {
            return Err(ProtocolError::TooManyFreeRecords { limit: self.limit });
        }
        Ok(())
    }

    /// Whether one more may be spent.
    #[inline]
    pub(crate) const fn is_left(&self) -> bool {
        self.in_a_row < self.limit
    }

    #[inline]
    pub(crate) fn refill(&mut self) {
        self.in_a_row = 0;
    }
}
