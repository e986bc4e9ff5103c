//! What an exchange needs to know on a connection that it shares.

use core::time::Duration;

use super::{Exchange, Sending};
use crate::client::deadlines::Waiting;

impl Exchange {
    /// So many bytes of this request were written, and `is_all` when none of it is left to write.
    pub(in crate::client) fn on_written(&mut self, count: u64, is_all: bool, now: Duration) {
        self.bytes_sent += count;
        let is_sent = self.sending == Sending::Finished && is_all && self.bytes_received == 0;
        let waits_for = if is_sent { Waiting::FirstByte } else { Waiting::Progress };
        self.deadlines.on_progress(now, waits_for);
    }

    /// Whether the application is still to be given more of the body.
    pub(in crate::client) fn is_sending(&self) -> bool {
        self.sending == Sending::Body && self.end.is_none()
    }

    /// Nothing could come until now, for no fault of this request's peer: its waiting begins anew.
    pub(in crate::client) fn excuse(&mut self, now: Duration) {
        self.deadlines.excuse(now);
    }

    /// The limit on the whole exchange, which holds while others keep the connection from reading, too.
    pub(in crate::client) const fn total_deadline(&self) -> Option<Duration> {
        self.deadlines.total()
    }
}
