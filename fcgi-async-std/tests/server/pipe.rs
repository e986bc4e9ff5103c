//! A connection in memory, of any width.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use piper::{Reader, Writer};
use smol::io::{AsyncRead, AsyncWrite};

pub(crate) struct Pipe {
    reader: Reader,
    writer: Writer,
}

/// Two ends that hold so many bytes in each direction.
pub(crate) fn duplex(width: usize) -> (Pipe, Pipe) {
    let (our_reader, their_writer) = piper::pipe(width);
    let (their_reader, our_writer) = piper::pipe(width);
    (
        Pipe { reader: our_reader, writer: our_writer },
        Pipe { reader: their_reader, writer: their_writer },
    )
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

/// Vectored writes are the trait's own: one slice at a time.
impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
