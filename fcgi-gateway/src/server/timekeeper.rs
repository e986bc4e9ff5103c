//! Whether a connection is to go on.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

use super::Config;
use super::activity::{Activity, Verdict};

/// Keeps the time of one connection, and hears of the server's end.
pub(super) struct Timekeeper<'a> {
    pub(super) activity: &'a Activity,
    pub(super) config: &'a Config,
    /// Ready when the server is told to stop, with the moment.
    pub(super) stop: Pin<&'a mut (dyn Future<Output = Option<Instant>> + Send)>,
    /// Is only moved forward, and when it has fired: most deadlines pass unused.
    pub(super) timer: Pin<&'a mut Sleep>,
    pub(super) is_stopping: bool,
    pub(super) stopping: Option<Instant>,
}

/// Why nobody waits any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is to be closed, for this reason.
    Close(&'static str),
    /// It has had nothing to do for a while.
    Rest,
}

impl Timekeeper<'_> {
    /// Whether the server has been told to stop since the last look.
    pub(super) fn poll_stop(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_stopping {
            return false;
        }
        if let Poll::Ready(moment) = self.stop.as_mut().poll(cx) {
            (self.is_stopping, self.stopping) = (true, moment);
        }
        self.is_stopping
    }

    /// Ready when the connection is not to go on as it is. To be called after everything else.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, may_rest: bool) -> Poll<End> {
        loop {
            let now = Instant::now();
            let until = match self.activity.verdict(now, self.stopping, may_rest, self.config) {
                Verdict::Close(reason) => return Poll::Ready(End::Close(reason)),
                Verdict::Rest => return Poll::Ready(End::Rest),
                Verdict::GoOn { until } => until.map(Into::into),
            };
            let has_fired = self.timer.is_elapsed();
            match until {
                Some(until) if has_fired || until < self.timer.deadline() => {
                    self.timer.as_mut().reset(until);
                }
                None if has_fired => return Poll::Pending,
                _ => {}
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }
}
