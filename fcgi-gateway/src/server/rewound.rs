//! A stream of which something was read already.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::socket::Socket;

/// A stream that can be waited for without a buffer.
pub(super) trait News {
    /// Ready when a read would bring something, or seems to. To be called once a read has brought nothing.
    fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl News for TlsStream<Socket> {
    fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.get_ref().0.poll_news(cx)
    }
}

/// First the bytes that were read, then the stream.
#[derive(Debug)]
pub(super) struct Rewound<I> {
    io: I,
    read: Bytes,
}

impl<I> Rewound<I> {
    pub(super) const fn new(io: I, read: Bytes) -> Self {
        Self { io, read }
    }

    /// Puts bytes back that were read from here.
    pub(super) fn rewind(&mut self, read: &[u8]) {
        // Copied, as even none of them would keep the whole buffer that they are in.
        self.read = [read, &self.read].concat().into();
    }
}

impl<I: News> News for Rewound<I> {
    fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_news(cx)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Rewound<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Rewound<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
