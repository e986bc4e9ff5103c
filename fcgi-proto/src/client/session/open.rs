use alloc::collections::VecDeque;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use bytes::Bytes;

use super::Received;
use crate::client::Exchange;
use crate::{Error, Timeouts};

/// One request of a session, until its caller drops it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) exchange: Exchange,
    pub(super) timeouts: Timeouts,
    /// When the call began, in the session's time.
    started: Duration,
    /// Something may still come: it has neither ended nor failed.
    pub(super) is_live: bool,
    pub(super) received: VecDeque<Received>,
    /// What the caller is told after the above.
    pub(super) error: Option<Error>,
    pub(super) body: Body,
    /// Bytes in the connection's output.
    pub(super) unsent: usize,
    /// Of the one task that has the call.
    waker: Option<Waker>,
}

/// What the caller has handed in of the request's body and the connection has not taken.
#[derive(Debug, Default)]
pub(super) struct Body {
    pieces: VecDeque<Bytes>,
    held: usize,
    /// No more comes from the caller.
    pub(super) is_whole: bool,
    /// Its turn to send will come.
    pub(super) is_queued: bool,
}

impl Open {
    pub(super) fn new(exchange: Exchange, timeouts: Timeouts, started: Duration) -> Self {
        Self {
            exchange,
            timeouts,
            started,
            is_live: true,
            received: VecDeque::new(),
            error: None,
            body: Body::default(),
            unsent: 0,
            waker: None,
        }
    }

    /// The time as the exchange counts it.
    pub(super) const fn clock(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started)
    }

    /// The session's time, of one that the exchange gave.
    pub(super) fn session_time(&self, time: Duration) -> Option<Duration> {
        self.started.checked_add(time)
    }

    pub(super) fn push(&mut self, received: Received) {
        let is_stderr = |received: &Received| matches!(received, Received::Stderr);
        if is_stderr(&received) && self.received.back().is_some_and(is_stderr) {
            return; // told already, and a slow consumer must not make the queue grow
        }
        self.received.push_back(received);
    }

    pub(super) fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// So many bytes of this request were written. Whom to wake, as another limit may hold now, which is earlier.
    pub(super) fn on_written(&mut self, count: usize, now: Duration) -> Option<Waker> {
        self.unsent -= count;
        if !self.is_live {
            return None;
        }
        let before = self.exchange.deadline();
        self.exchange.on_written(count as u64, self.unsent == 0, self.clock(now));
        let after = self.exchange.deadline();
        let is_earlier = after.is_some_and(|after| before.is_none_or(|before| after < before));
        if is_earlier { self.waker() } else { None }
    }

    /// Whom to wake when there is news for the caller.
    pub(super) fn waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

impl Body {
    pub(super) fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.held += data.len();
            self.pieces.push_back(data);
        }
    }

    /// The next bytes to send, no more than `most` of them.
    pub(super) fn pop(&mut self, most: usize) -> Option<Bytes> {
        let front = self.pieces.front_mut()?;
        let piece =
            if front.len() > most { front.split_to(most) } else { self.pieces.pop_front()? };
        self.held -= piece.len();
        Some(piece)
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Nobody takes it any more.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.held = 0;
    }
}
