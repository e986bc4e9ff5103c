use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use fcgi_proto::server::{Exchange, OutputStream, Writer};

use super::link::Link;
use crate::parker::Parker;

/// The blocking side of one request: lets its threads wait for what the core of it tells to a waker.
pub(super) struct Handling {
    link: Arc<Link>,
    exchange: Arc<Exchange>,
    parker: Arc<Parker>,
    waker: Waker,
}

impl Handling {
    pub(super) fn new(link: Arc<Link>, exchange: Arc<Exchange>) -> Arc<Self> {
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(Arc::clone(&parker));
        Arc::new(Self { link, exchange, parker, waker })
    }

    pub(super) fn exchange(&self) -> Arc<Exchange> {
        Arc::clone(&self.exchange)
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Waits until `poll` is ready. What was written so far is sent first.
    pub(super) fn wait_for<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        loop {
            // Without a deadline there is always a value.
            if let Some(value) = self.wait_until(None, &mut poll) {
                return value;
            }
        }
    }

    /// [`wait_for`](Self::wait_for) up to a deadline; none when it has passed.
    pub(super) fn wait_until<T>(
        &self,
        deadline: Option<Instant>,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let mut cx = Context::from_waker(&self.waker);
        loop {
            let calls = self.parker.calls();
            if let Poll::Ready(value) = poll(&mut cx) {
                return Some(value);
            }
            // Not to wait for it, but to have it seen. That it takes the waker of who waits for room on that stream is
            // no matter, since all of a request share one.
            let _ = Writer::new(self.exchange(), OutputStream::Stderr).poll_flush(&cx);
            self.link.pump();
            if !self.parker.wait(calls, deadline) {
                return None;
            }
        }
    }

    /// Runs the handler to its end, whatever that is, and sends the end of the response.
    pub(super) fn run(&self, handle: impl FnOnce() -> Result<u32, String>) {
        let mut run = pin!(self.exchange.run(async { handle() }));
        // The handler blocks, so it is ready when this returns.
        let _ = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.link.finish();
    }

    /// Answers in place of a handler, when there is none to be had.
    pub(super) fn refuse(exchange: &Arc<Exchange>) {
        let mut stdout = Writer::new(Arc::clone(exchange), OutputStream::Stdout);
        // There is room for the first write of a request.
        let _ = stdout.poll_write(&Context::from_waker(Waker::noop()), BUSY_HEAD.as_bytes());
        exchange.finish(Ok(Ok::<_, &str>(1)));
    }
}

impl fmt::Debug for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handling").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

const BUSY_HEAD: &str = "Status: 503 Service Unavailable\r\n\r\n";
