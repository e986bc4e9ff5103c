//! In-memory IO that is always ready, so that peers pay for no runtime and no socket.

use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use fastcgi_client::io as futures_io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads what is there, then the end; writing costs nothing. For both families of traits.
pub(crate) struct Canned {
    wire: &'static [u8],
    at: usize,
}

impl Canned {
    pub(crate) const fn new(wire: &'static [u8]) -> Self {
        Self { wire, at: 0 }
    }

    /// Lives as long as the process, as what it is made of is measured until its end.
    pub(crate) fn leaked(wire: Vec<u8>) -> &'static [u8] {
        Box::leak(wire.into_boxed_slice())
    }

    /// What a socket does: copies as much as is there and fits.
    pub(crate) fn read(&mut self, to: &mut [u8]) -> usize {
        let rest = &self.wire[self.at..];
        let len = rest.len().min(to.len());
        to[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        len
    }
}

impl futures_io::AsyncRead for Canned {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.get_mut().read(to)))
    }
}

impl futures_io::AsyncWrite for Canned {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(b).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Canned {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = &this.wire[this.at..];
        let len = rest.len().min(to.remaining());
        to.put_slice(&rest[..len]);
        this.at += len;
        Poll::Ready(Ok(()))
    }
}

/// Takes every write.
pub(crate) struct Sink;

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(b).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future whose IO is always ready: less than any runtime would cost.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
