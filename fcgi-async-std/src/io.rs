//! Reading and writing with buffers, which the traits of `futures-io` leave to their users.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};

/// Memory to read into. All of its bytes are initialised, so they are zeroed once and used up from the front; most reads
/// bring far less than there is room for.
#[derive(Debug, Default)]
pub(crate) struct ReadBuf(BytesMut);

impl ReadBuf {
    /// Reads once, into at most `size` bytes; nothing means the end.
    pub(crate) fn poll_read<R: AsyncRead + ?Sized>(
        &mut self,
        reader: Pin<&mut R>,
        size: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        if self.0.len() < MIN_READ.min(size / 2) || self.0.len() > size {
            self.renew(size);
        }
        let count = ready!(reader.poll_read(cx, &mut self.0))?;
        Poll::Ready(Ok(self.0.split_to(count.min(self.0.len())).freeze()))
    }

    /// Takes the same memory again when what was read is not held by anybody any more.
    fn renew(&mut self, size: usize) {
        if self.0.len() > size {
            self.0 = BytesMut::new();
        }
        self.0.clear();
        self.0.reserve(size);
        self.0.resize(size, 0);
    }
}

/// Writes once, as much as is taken, and advances `data`.
pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    data: &mut impl Buf,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = data.chunks_vectored(&mut slices);
    let (slices, _) = slices.split_at(count);
    let count = ready!(Pin::new(writer).poll_write_vectored(cx, slices))?;
    if count == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    data.advance(count);
    Poll::Ready(Ok(count))
}

/// A buffer with less room than this is not worth a system call.
const MIN_READ: usize = 4 * 1024;
/// The most pieces in one write.
const SLICES: usize = 64;
