use alloc::collections::VecDeque;
use core::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::InputError;

/// What has come of one input stream and waits for the handler; bounded by a window.
#[derive(Debug)]
pub(super) struct Input {
    chunks: VecDeque<Bytes>,
    held: usize,
    window: usize,
    received: u64,
    phase: Phase,
    /// The handler has dropped its end; what comes is thrown away.
    is_unwanted: bool,
    /// The session has data that found no room.
    is_awaited: bool,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Complete,
    Cut,
}

impl Input {
    pub(super) fn new(window: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            held: 0,
            window: window.max(1),
            received: 0,
            phase: Phase::Open,
            is_unwanted: false,
            is_awaited: false,
            reader: None,
        }
    }

    /// Takes `data`, or gives it back when the window is full: the session then waits until there is
    /// [room again](Self::has_awaited_room).
    pub(super) fn offer(&mut self, data: Bytes) -> Result<Option<Waker>, Bytes> {
        if self.is_unwanted {
            return Ok(None);
        }
        if self.held >= self.window {
            self.is_awaited = true;
            return Err(data);
        }
        self.received += data.len() as u64;
        self.held += data.len();
        self.chunks.push_back(data);
        Ok(self.reader.take())
    }

    pub(super) fn complete(&mut self) -> Option<Waker> {
        self.end(Phase::Complete)
    }

    /// No more comes. What has come may still be read, and then it is an error.
    pub(super) fn cut(&mut self) -> Option<Waker> {
        self.end(Phase::Cut)
    }

    fn end(&mut self, phase: Phase) -> Option<Waker> {
        if self.phase == Phase::Open {
            self.phase = phase;
        }
        self.reader.take()
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, InputError>> {
        if let Some(chunk) = self.chunks.pop_front() {
            self.held -= chunk.len();
            return Poll::Ready(Ok(Some(chunk)));
        }
        match self.phase {
            Phase::Open => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Phase::Complete => Poll::Ready(Ok(None)),
            Phase::Cut => Poll::Ready(Err(InputError::Aborted { received: self.received })),
        }
    }

    /// The handler reads no more.
    pub(super) fn refuse(&mut self) {
        self.is_unwanted = true;
        self.chunks.clear();
        self.held = 0;
        self.reader = None;
    }

    /// Whether the session waits for room and there is some; true once for each time it began to wait.
    pub(super) fn has_awaited_room(&mut self) -> bool {
        let has_room = self.is_awaited && self.held < self.window;
        self.is_awaited &= !has_room;
        has_room
    }
}
