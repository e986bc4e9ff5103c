use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use fcgi_proto::ProtocolError;
use fcgi_proto::server::{Hub, Session, Settings};
use futures_core::Stream as _;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::stream::FuturesUnordered;

use super::{ConnectionError, Handler, Request};
use crate::io::{ReadBuf, poll_write};
use crate::time::{Alarm, Budget, until};

/// One connection: carries bytes between its socket and its [`Session`], and runs the handlers of its requests.
pub(super) struct Driver<IO, H> {
    io: IO,
    session: Session,
    handler: Arc<H>,
    /// Stopped with the connection, when they have not ended.
    handlers: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    buf: ReadBuf,
    /// What was written may still be in a buffer of the socket's wrapper.
    is_flushed: bool,
    /// When to close unless something comes.
    idle_until: Option<Instant>,
    alarm: Alarm,
}

impl<IO: AsyncRead + AsyncWrite + Unpin, H: Handler> Driver<IO, H> {
    pub(super) fn new(io: IO, handler: Arc<H>, settings: Arc<Settings>, hub: Arc<Hub>) -> Self {
        Self {
            io,
            session: Session::new(settings, hub),
            handler,
            handlers: FuturesUnordered::new(),
            buf: ReadBuf::default(),
            is_flushed: true,
            idle_until: None,
            alarm: Alarm::default(),
        }
    }

    /// Runs until the connection is over and closed.
    pub(super) async fn run(mut self) -> Result<(), ConnectionError> {
        let result = poll_fn(|cx| self.poll_run(cx)).await;
        let is_broken = matches!(result, Err(ConnectionError::Io(_)));
        let Self { io, session, handlers, buf, .. } = self;
        let is_eof = session.is_eof();
        drop((session, handlers));
        if !is_broken {
            close(io, buf, is_eof).await;
        }
        result
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let mut budget = Budget::new();
        loop {
            let result = self.start_handlers();
            if self.session.is_over() && self.is_flushed {
                return Poll::Ready(result.map_err(ConnectionError::from));
            }
            while let Poll::Ready(Some(())) = Pin::new(&mut self.handlers).poll_next(cx) {}
            // Before writing, so that all that the handlers have to send leaves at once.
            let mut is_moving = self.session.poll_news(cx).is_ready();
            if !is_moving {
                is_moving = self.poll_write(cx)?.is_ready();
                is_moving |= self.poll_read(cx).is_ready();
            }
            if !is_moving {
                return self.poll_idle(cx).map(|()| result.map_err(ConnectionError::from));
            }
            self.idle_until = None;
            ready!(budget.poll_spend(cx));
        }
    }

    fn start_handlers(&mut self) -> Result<(), ProtocolError> {
        while let Some(incoming) = self.session.poll_request()? {
            let exchange = Arc::clone(&incoming.exchange);
            let request = Request::new(incoming);
            let handler = Arc::clone(&self.handler);
            self.handlers.push(Box::pin(async move {
                exchange.run(async { handler.handle(request).await }).await;
            }));
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.has_outgoing() {
            self.is_flushed = false;
            return poll_write(&mut self.io, &mut self.session.outgoing(), cx).map_ok(|_| ());
        }
        if self.is_flushed {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.wants_read() {
            return Poll::Pending;
        }
        let size = self.session.read_size();
        let data = ready!(self.buf.poll_read(Pin::new(&mut self.io), size, cx));
        // A failure is the end as well.
        self.session.handle_read(data.unwrap_or_default());
        Poll::Ready(())
    }

    /// Ready when the connection has idled for too long or is to stop.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.is_stopping() {
            return Poll::Ready(());
        }
        let Some(limit) = self.session.idle_timeout() else { return Poll::Pending };
        if self.idle_until.is_none() {
            self.idle_until = Instant::now().checked_add(limit);
        }
        match self.idle_until {
            Some(deadline) => self.alarm.poll(deadline, cx),
            None => Poll::Pending,
        }
    }
}

/// Closes so that the peer gets the whole answer: input is read and thrown away for a moment.
async fn close<IO>(mut io: IO, mut buf: ReadBuf, is_eof: bool)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if poll_fn(|cx| Pin::new(&mut io).poll_close(cx)).await.is_err() || is_eof {
        return;
    }
    let (time, bytes) = Settings::LINGER;
    let mut left = bytes;
    let linger = async {
        while left > 0 {
            match poll_fn(|cx| buf.poll_read(Pin::new(&mut io), LINGER_READ, cx)).await {
                Ok(data) if !data.is_empty() => left = left.saturating_sub(data.len()),
                _ => return,
            }
        }
    };
    until(Instant::now().checked_add(time), linger).await;
}

/// How much is read at once and thrown away.
const LINGER_READ: usize = 8 * 1024;
