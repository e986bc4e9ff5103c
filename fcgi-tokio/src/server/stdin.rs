use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::server::{Exchange, InputError, InputStream, Reader};
use futures_core::Stream;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// The body of a request, as it comes from the web server (FCGI_STDIN, section 5.3).
///
/// Read it with [`chunk`](Self::chunk), which copies nothing, or as an [`AsyncRead`] or a [`Stream`]. A body that was cut
/// off ends with an error, never with an end. CONTENT_LENGTH is only a hint: web servers that pass a body on as it comes
/// leave it empty or out.
///
/// What is not read is held up to [`stdin_window`](super::Server::stdin_window); then the web server has to wait, and with
/// it the other requests on the same connection, as FastCGI has no flow control of its own. Drop this to let the rest
/// of the body be thrown away.
#[derive(Debug)]
pub struct Stdin(Reader);

impl Stdin {
    pub(super) fn new(exchange: Arc<Exchange>, stream: InputStream) -> Self {
        Self(Reader::new(exchange, stream))
    }

    /// The next piece of the body, of any size but never empty; `None` at its end.
    ///
    /// Cancel safe: a dropped future has taken nothing.
    ///
    /// # Errors
    /// [`Aborted`](InputError::Aborted): the web server gave up or was cut off amid the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, InputError> {
        self.0.chunk().await
    }

    /// The rest of the body, if it is no more than `limit` bytes.
    ///
    /// Not cancel safe: a dropped future has thrown away what it had read.
    ///
    /// # Errors
    /// [`TooLarge`](InputError::TooLarge) as soon as the limit is passed, with what follows left unread;
    /// [`Aborted`](InputError::Aborted) as [`chunk`](Self::chunk).
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, InputError> {
        self.0.collect(limit).await
    }
}

impl Stream for Stdin {
    type Item = Result<Bytes, InputError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_chunk(cx).map(Result::transpose)
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Poll::Ready(filled) = self.as_mut().poll_fill_buf(cx)? else {
            return Poll::Pending;
        };
        let count = filled.len().min(buf.remaining());
        buf.put_slice(filled.split_at(count).0);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Stdin {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().0.poll_fill(cx).map_err(io::Error::from)
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.0.consume(count);
    }
}
