use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Buf;
use fcgi_proto::client::{Probe, Session};
use fcgi_proto::{Address, Params};

use super::clock::Line;
use crate::io::{ReadBuf, poll_write};
use crate::socket::Stream;
use crate::time::{Budget, until};

/// How much is read at once from a connection that requests share.
const READ_SIZE: usize = 32 * 1024;

/// A connection that requests share, to be run by an executor; see [`Pool::spawn_with`](super::Pool::spawn_with).
///
/// It is over when nobody needs the connection any more. Dropping it before ends its requests with an error.
#[must_use = "requests wait until it is polled"]
pub struct SharedConnection(Pin<Box<dyn Future<Output = ()> + Send>>);

impl SharedConnection {
    pub(super) fn new(carrier: Carrier) -> Self {
        Self(Box::pin(carrier.run()))
    }
}

impl Future for SharedConnection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedConnection").finish_non_exhaustive()
    }
}

/// Carries bytes between a socket and its session, until nobody needs the connection any more.
pub(super) struct Carrier {
    pub(super) io: Stream,
    pub(super) session: Session,
    pub(super) line: Line,
    pub(super) epoch: Instant,
}

impl Carrier {
    async fn run(mut self) {
        let mut buf = ReadBuf::default();
        poll_fn(|cx| self.poll_run(&mut buf, cx)).await;
    }

    fn poll_run(&mut self, buf: &mut ReadBuf, cx: &mut Context<'_>) -> Poll<()> {
        let mut budget = Budget::new();
        while !self.session.is_over() {
            let is_written = self.poll_write(cx).is_ready();
            let is_read = self.poll_read(buf, cx).is_ready();
            if !is_written && !is_read {
                ready!(self.session.poll_news(cx));
            }
            ready!(budget.poll_spend(cx));
        }
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.has_outgoing() {
            return Poll::Pending;
        }
        let Self { io, session, epoch, .. } = self;
        let written = session.write_with(epoch.elapsed(), |outgoing| poll_write(io, outgoing, cx));
        if let Err(error) = ready!(written) {
            session.handle_write_error(error);
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, buf: &mut ReadBuf, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.wants_read() {
            return Poll::Pending;
        }
        match ready!(buf.poll_read(Pin::new(&mut self.io), READ_SIZE, cx)) {
            Ok(data) => self.session.handle_read(data, self.epoch.elapsed()),
            Err(error) => self.session.handle_read_error(error),
        }
        if let Some(values) = self.session.take_values() {
            self.line.on_values(&values);
        }
        Poll::Ready(())
    }
}

/// Asks the application what it can do, on a connection of its own.
pub(super) async fn probe(address: &Address) -> Option<Params> {
    let deadline = Instant::now().checked_add(Probe::TIMEOUT);
    until(deadline, ask(address)).await?.ok()?
}

async fn ask(address: &Address) -> io::Result<Option<Params>> {
    let mut io = Stream::connect(address).await?;
    let mut probe = Probe::new();
    while probe.outgoing().has_remaining() {
        poll_fn(|cx| poll_write(&mut io, &mut probe.outgoing(), cx)).await?;
    }
    let mut buf = ReadBuf::default();
    loop {
        let data = poll_fn(|cx| buf.poll_read(Pin::new(&mut io), 1024, cx)).await?;
        if let Some(outcome) = probe.handle_read(&data) {
            return Ok(outcome);
        }
    }
}
