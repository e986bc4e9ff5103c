use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::Arc;

use fcgi_proto::Error;
use fcgi_proto::pool::ConnId;

use super::driver::Link;
use super::shared::Shared;

/// The right to use one connection of a pool for one request.
///
/// Dropping it, at whatever point, tells the pool that the connection is gone; so nothing is lost with a dropped future.
pub(super) struct Lease {
    shared: Arc<Shared>,
    /// `None` once the pool knows what became of it.
    conn: Option<ConnId>,
    is_reused: bool,
    is_served: bool,
}

impl Lease {
    pub(super) const fn new(shared: Arc<Shared>, conn: ConnId, is_reused: bool) -> Self {
        Self { shared, conn: Some(conn), is_reused, is_served: is_reused }
    }

    /// Whether the connection had carried a request before.
    pub(super) const fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub(super) fn on_connected(&self) {
        if let Some(conn) = self.conn {
            self.shared.on_connected(conn);
        }
    }

    pub(super) fn on_connect_error(mut self, error: &Error) {
        self.on_error(error);
        if let Some(conn) = self.conn.take() {
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            let kind = source.map_or(io::ErrorKind::TimedOut, io::Error::kind);
            self.shared.on_connect_error(conn, kind);
        }
    }

    pub(super) fn on_first_byte(&mut self) {
        if let Some(conn) = self.conn.filter(|_| !self.is_served) {
            self.is_served = true;
            self.shared.on_first_byte(conn);
        }
    }

    pub(super) fn on_error(&self, error: &Error) {
        if error.is_timeout() {
            self.shared.count(|counts| counts.timeouts += 1);
        }
    }

    /// The request has ended, and the connection is fit for another.
    pub(super) fn give_back(mut self, link: Link) {
        if let Some(conn) = self.conn.take() {
            self.shared.release(conn, link);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.shared.on_closed(conn);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("conn", &self.conn).finish_non_exhaustive()
    }
}
