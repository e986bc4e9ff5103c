use std::io;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use fcgi_proto::Error;
use fcgi_proto::client::{Call, Received};
use fcgi_proto::pool::Clock;
use rustix::event::{PollFd, PollFlags};

use super::body::Body;
use super::clock::{Lease, Lobby};
use super::driver::News;
use crate::parker::{Calls, Parker};
use crate::socket::wait;
use crate::wake::Wake;

/// One request on a connection that others use as well: feeds its body, takes its response, and keeps its time. Another
/// thread carries the bytes; dropping this aborts the request, and no other.
#[derive(Debug)]
pub(super) struct Shared {
    call: Call,
    /// Gone once the request is over.
    lease: Option<Lease>,
    lobby: Arc<Lobby>,
    body: Body,
    /// What is left of the piece of the response's body that was told last.
    piece: Bytes,
    /// What was taken of the error output.
    stderr: Vec<u8>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Shared {
    pub(super) fn new(call: Call, lease: Lease, lobby: Arc<Lobby>, body: Body) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let (piece, stderr) = (Bytes::new(), Vec::new());
        Self { call, lease: Some(lease), lobby, body, piece, stderr, bell, waker }
    }

    pub(super) const fn call(&self) -> &Call {
        &self.call
    }

    pub(super) const fn call_mut(&mut self) -> &mut Call {
        &mut self.call
    }

    pub(super) fn piece(&self) -> &[u8] {
        &self.piece
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.piece.advance(count.min(self.piece.len()));
    }

    pub(super) fn take_piece(&mut self) -> Bytes {
        std::mem::take(&mut self.piece)
    }

    pub(super) fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    pub(super) fn take_stderr(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stderr)
    }

    pub(super) fn may_retry(&self, error: &Error, is_replayable: bool, number: u32) -> bool {
        let has_response = self.call.bytes_received() > 0;
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.may_retry(error, has_response, is_replayable, number))
    }

    /// Nothing more is wanted of it.
    pub(super) fn end(&mut self) {
        self.lease = None;
        self.body = Body::empty();
    }

    pub(super) fn next(&mut self) -> Result<News, Error> {
        if self.lease.is_none() {
            return Ok(News::End);
        }
        let waker = self.waker.clone();
        let cx = Context::from_waker(&waker);
        loop {
            // Before the look, so that what comes behind it is not waited for.
            let calls = self.bell.parker.calls();
            let is_body_awaited = self.pull_body(&cx);
            if let Poll::Ready(received) = self.call.poll_received(&cx, self.lobby.clock().now()) {
                return received.map(|received| self.news(received)).inspect_err(|error| {
                    if let Some(lease) = &self.lease {
                        lease.on_error(error);
                    }
                });
            }
            if let Err(error) = self.wait(calls, is_body_awaited) {
                self.call.fail_body(error);
            }
        }
    }

    fn news(&mut self, received: Received) -> News {
        if let (Some(lease), false) = (&mut self.lease, matches!(received, Received::End(_))) {
            lease.on_first_byte();
        }
        match received {
            Received::Head { head, body } => {
                self.piece = body;
                News::Head(head)
            }
            Received::Body(data) => {
                self.piece = data;
                News::Body
            }
            Received::End(_) => {
                self.stderr.extend(self.call.take_stderr());
                self.end();
                News::End
            }
            _ => {
                self.stderr.extend(self.call.take_stderr());
                News::Stderr
            }
        }
    }

    /// Hands in what there is of the body, up to its window; whether more is awaited from its reader.
    fn pull_body(&mut self, cx: &Context<'_>) -> bool {
        while self.call.poll_body(cx) == Poll::Ready(true) {
            match self.body.poll_chunk() {
                Poll::Ready(Some(Ok(data))) => self.call.send_body(data),
                Poll::Ready(Some(Err(error))) => self.call.fail_body(error),
                Poll::Ready(None) => self.call.finish_body(),
                Poll::Pending => return true,
            }
        }
        false
    }

    /// Waits for news of the call since then, its limit, or the reader of the body.
    fn wait(&self, calls: Calls, is_body_awaited: bool) -> io::Result<()> {
        let deadline = self.call.deadline();
        match self.body.wake().filter(|_| is_body_awaited) {
            None => {
                let deadline = deadline.and_then(|at| self.lobby.clock().moment(at));
                self.bell.parker.wait(calls, deadline);
                Ok(())
            }
            Some(body) => {
                let now = self.lobby.clock().now();
                self.bell.wait_beside(body, calls, deadline.map(|at| at.saturating_sub(now)))
            }
        }
    }
}

/// Wakes the caller, whatever it waits on.
#[derive(Debug, Default)]
struct Bell {
    parker: Parker,
    /// Made when there is something else to wait for.
    wake: OnceLock<Wake>,
}

impl Bell {
    /// Waits for a call since then, or for the other. The other is armed already.
    fn wait_beside(&self, other: &Wake, since: Calls, limit: Option<Duration>) -> io::Result<()> {
        let own = match self.wake.get() {
            Some(own) => own,
            None => {
                let made = Wake::new()?;
                self.wake.get_or_init(|| made)
            }
        };
        own.arm();
        if self.parker.calls() != since {
            own.disarm(false);
            return Ok(());
        }
        let mut descriptors = [own, other].map(|wake| PollFd::new(wake, PollFlags::IN));
        let waited = wait(&mut descriptors, limit);
        let [own_news, other_news] = descriptors.map(|descriptor| descriptor.revents());
        own.disarm(!own_news.is_empty());
        other.disarm(!other_news.is_empty());
        waited
    }
}

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.parker.call();
        if let Some(wake) = self.wake.get() {
            wake.wake();
        }
    }
}
