//! The stream of one client, with what an HTTP server needs to know about it.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_io_timeout::TimeoutStream;

use super::activity::Activity;
use super::rewound::News;
use super::stream::Stream;

/// A client's stream that tells of what happens on it, gives up when the client takes nothing, and is closed
/// without losing the last answer.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Pin<Box<TimeoutStream<Stream>>>,
    /// What was read of it already.
    read: Bytes,
    activity: Arc<Activity>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(
        stream: Stream,
        read: Bytes,
        write_timeout: Option<Duration>,
        activity: Arc<Activity>,
    ) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(write_timeout);
        Self { stream: Box::pin(stream), read, activity, lingering: None }
    }

    /// Waits for the first byte, which stays to be read; `None` at the end of input.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        if self.read.is_empty() {
            let mut first = BytesMut::with_capacity(FIRST_READ);
            self.stream.as_mut().read_buf(&mut first).await?;
            self.read = first.freeze();
        }
        Ok(self.read.first().copied())
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.handle_blocked(written.is_pending());
        written
    }

    /// Reads on after the end of output, until the client has seen it: a system that closes with input unread tells the
    /// client so, which then drops what it has not read of the answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER_TIME)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = [0; 4096];
        for _ in 0..READS_IN_A_ROW {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(self.stream.as_mut().poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// hyper makes its buffer twice as large whenever a read fills it, and keeps it for as long as the connection lasts. One byte
/// less than 16 KiB does not fill one of that size.
const LONGEST_READ: u64 = 16 * 1024 - 1;

/// Room for the first message of TLS.
const FIRST_READ: usize = 4096;

/// Time for the client to read an answer that came before its request was complete.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Others shall have their turn.
const READS_IN_A_ROW: usize = 16;

impl News for Socket {
    fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.read.is_empty() {
            return Poll::Ready(());
        }
        // What has broken is told by the next read.
        self.stream.get_ref().poll_read_ready(cx).map(drop)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.read.is_empty() {
            let mut piece = self.stream.as_mut().take(LONGEST_READ);
            ready!(Pin::new(&mut piece).poll_read(cx, buf))?;
        } else {
            let length = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.split_to(length));
        }
        if buf.filled().len() > before {
            self.activity.handle_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(self.stream.as_mut().poll_shutdown(cx))?;
            if !self.activity.has_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx).map(Ok)
    }
}
