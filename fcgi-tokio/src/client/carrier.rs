use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use fcgi_proto::client::{Probe, Session};
use fcgi_proto::{Address, Params};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::clock::Line;
use super::stream::Stream;

/// How much is read at once from a connection that requests share.
const READ_SIZE: usize = 32 * 1024;

/// Carries bytes between a socket and its session, until nobody needs the connection any more.
pub(super) struct Carrier {
    pub(super) io: Stream,
    pub(super) session: Session,
    pub(super) line: Line,
    pub(super) epoch: Instant,
}

impl Carrier {
    pub(super) async fn run(mut self) {
        let mut buf = BytesMut::new();
        std::future::poll_fn(|cx| self.poll_run(&mut buf, cx)).await;
    }

    fn poll_run(&mut self, buf: &mut BytesMut, cx: &mut Context<'_>) -> Poll<()> {
        while !self.session.is_over() {
            let is_written = self.poll_write(cx).is_ready();
            let is_read = self.poll_read(buf, cx).is_ready();
            if !is_written && !is_read {
                ready!(self.session.poll_news(cx));
            }
        }
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.has_outgoing() {
            return Poll::Pending;
        }
        let Self { io, session, epoch, .. } = self;
        let written =
            session.write_with(epoch.elapsed(), |outgoing| pin!(io.write_buf(outgoing)).poll(cx));
        match ready!(written) {
            Ok(count) if count > 0 => {}
            Ok(_) => session.handle_write_error(io::ErrorKind::WriteZero.into()),
            Err(error) => session.handle_write_error(error),
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, buf: &mut BytesMut, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.wants_read() {
            return Poll::Pending;
        }
        buf.reserve(READ_SIZE);
        match ready!(pin!(self.io.read_buf(buf)).poll(cx)) {
            Ok(_) => self.session.handle_read(buf.split().freeze(), self.epoch.elapsed()),
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
    timeout(Probe::TIMEOUT, ask(address)).await.ok()?.ok()?
}

async fn ask(address: &Address) -> io::Result<Option<Params>> {
    let mut io = Stream::connect(address).await?;
    let mut probe = Probe::new();
    io.write_all_buf(&mut probe.outgoing()).await?;
    let mut buf = [0; 1024];
    loop {
        let count = io.read(&mut buf).await?;
        if let Some(outcome) = probe.handle_read(buf.get(..count).unwrap_or_default()) {
            return Ok(outcome);
        }
    }
}
