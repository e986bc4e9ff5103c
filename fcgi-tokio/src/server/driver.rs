use core::future::poll_fn;
use core::ops::ControlFlow;
use core::pin::pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use fcgi_proto::ProtocolError;
use fcgi_proto::server::{Hub, Session, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handler::Handler;
use super::{ConnectionError, Request};

/// One connection: carries bytes between its socket and its [`Session`], and gives each request a task.
pub(super) struct Driver<IO, H> {
    io: IO,
    session: Session,
    handler: Arc<H>,
    /// Stopped with the connection, when they have not ended.
    tasks: JoinSet<()>,
    buf: BytesMut,
    is_buf_large: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin, H: Handler> Driver<IO, H> {
    pub(super) fn new(io: IO, handler: Arc<H>, settings: Arc<Settings>, hub: Arc<Hub>) -> Self {
        Self {
            io,
            session: Session::new(settings, hub),
            handler,
            tasks: JoinSet::new(),
            buf: BytesMut::new(),
            is_buf_large: false,
        }
    }

    /// Runs until the connection is over and closed.
    pub(super) async fn run(mut self) -> Result<(), ConnectionError> {
        let result = loop {
            let result = self.start_handlers();
            if self.session.is_over() || self.step().await?.is_break() {
                break result;
            }
        };
        let Self { io, session, tasks, buf, .. } = self;
        let is_eof = session.is_eof();
        drop((session, tasks));
        close(io, buf, is_eof).await;
        Ok(result?)
    }

    fn start_handlers(&mut self) -> Result<(), ProtocolError> {
        while self.tasks.try_join_next().is_some() {}
        while let Some(incoming) = self.session.poll_request()? {
            let exchange = Arc::clone(&incoming.exchange);
            let request = Request::new(incoming);
            let handler = Arc::clone(&self.handler);
            self.tasks.spawn(async move {
                exchange.run(async { handler.handle(request).await }).await;
            });
        }
        Ok(())
    }

    /// Waits for the socket or the handlers; `Break` when the connection has idled for too long or is to stop.
    async fn step(&mut self) -> io::Result<ControlFlow<()>> {
        match self.session.idle_timeout() {
            None => poll_fn(|cx| self.poll_step(cx)).await,
            Some(limit) => timeout(limit, poll_fn(|cx| self.poll_step(cx)))
                .await
                .unwrap_or(Ok(ControlFlow::Break(()))),
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ControlFlow<()>>> {
        let written = self.poll_write(cx)?;
        let read = self.poll_read(cx);
        if written.is_ready() || read.is_ready() {
            return Poll::Ready(Ok(ControlFlow::Continue(())));
        }
        // What was in the socket before the stop is still served, so this comes second.
        if self.session.is_stopping() {
            return Poll::Ready(Ok(ControlFlow::Break(())));
        }
        self.session.poll_news(cx).map(|()| Ok(ControlFlow::Continue(())))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.session.has_outgoing() {
            return Poll::Pending;
        }
        let mut outgoing = self.session.outgoing();
        match pin!(self.io.write_buf(&mut outgoing)).poll(cx)? {
            Poll::Ready(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.wants_read() {
            return Poll::Pending;
        }
        self.prepare_buf();
        match pin!(self.io.read_buf(&mut self.buf)).poll(cx) {
            // A failure is the end as well.
            Poll::Ready(_) => self.session.handle_read(self.buf.split().freeze()),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(())
    }

    /// A large buffer is given up when the session needs a small one only.
    fn prepare_buf(&mut self) {
        let size = self.session.read_size();
        if self.is_buf_large && size < LARGE {
            self.buf = BytesMut::with_capacity(size);
            self.is_buf_large = false;
        } else if self.buf.capacity() < MIN_READ {
            self.buf.reserve(size);
            self.is_buf_large = size >= LARGE;
        }
    }
}

/// Closes so that the peer gets the whole answer: input is read and thrown away for a moment.
async fn close<IO>(mut io: IO, mut buf: BytesMut, is_eof: bool)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if io.shutdown().await.is_err() || is_eof {
        return;
    }
    let (time, bytes) = Settings::LINGER;
    let _ = timeout(time, async {
        let mut left = bytes;
        while left > 0 {
            buf.clear();
            buf.reserve(MIN_READ);
            match io.read_buf(&mut buf).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    })
    .await;
}

/// A buffer with less room than this is not worth a system call.
const MIN_READ: usize = 4 * 1024;
/// A buffer of this size is not kept by a connection that idles.
const LARGE: usize = 32 * 1024;
