use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Chunk, Collector, End, Received, Timings};
use fcgi_proto::{Address, Error};
use http_body::Frame;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::driver::Driver;

/// The body of a response as it comes, with the error output beside it.
///
/// It is an [`http_body::Body`], a [`Stream`](futures_core::Stream) of [`Bytes`], an [`AsyncRead`] and [`AsyncBufRead`],
/// and has [`chunk`](Self::chunk). The error output is kept, up to 256 KiB that were not taken, and what exceeds it is
/// counted; or it is followed live with [`output`](Self::output). The body ends cleanly only when the application ended the request (END_REQUEST) and the body is as long as its `Content-Length`;
/// else it ends with an error, so that a cut response is never taken for a whole one.
#[derive(Debug)]
pub struct ResponseBody {
    driver: Driver,
    address: Arc<Address>,
    /// What came and was not taken: with the head at first, of a piece that a reader has begun later.
    rest: Bytes,
    is_over: bool,
}

impl ResponseBody {
    pub(super) const fn new(driver: Driver, address: Arc<Address>, rest: Bytes) -> Self {
        Self { driver, address, rest, is_over: false }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// The connection broke, a limit passed, or the application broke the protocol; every later call gives `None`.
    ///
    /// # Cancellation
    /// Safe: nothing is lost when the future is dropped. The request goes on only while somebody polls.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Reads the rest of the body, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and [`TooLarge`](fcgi_proto::ErrorKind::TooLarge) beyond the limit.
    ///
    /// # Cancellation
    /// What was read is lost when the future is dropped.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = Collector::new(limit);
        while let Some(chunk) = self.chunk().await? {
            if !body.push(chunk) {
                return Err(self.driver.too_large(limit).to(&self.address));
            }
        }
        Ok(body.finish())
    }

    /// [`chunk`](Self::chunk) for a hand-written future.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if !self.rest.is_empty() {
                return Poll::Ready(Ok(Some(mem::take(&mut self.rest))));
            }
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// The next piece of the body or of the error output, in the order they came; `None` at the end.
    ///
    /// The error output that came before the head, or was left over by other methods, comes first.
    ///
    /// ```no_run
    /// # async fn f(mut response: fcgi_tokio::Response) -> Result<(), fcgi_tokio::Error> {
    /// use fcgi_tokio::Chunk;
    ///
    /// while let Some(chunk) = response.output().await? {
    ///     match chunk {
    ///         Chunk::Body(data) => print!("{}", String::from_utf8_lossy(&data)),
    ///         Chunk::Stderr(data) => eprint!("{}", String::from_utf8_lossy(&data)),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    ///
    /// # Cancellation
    /// Safe, as [`chunk`](Self::chunk).
    pub async fn output(&mut self) -> Result<Option<Chunk>, Error> {
        std::future::poll_fn(|cx| self.poll_output(cx)).await
    }

    /// [`output`](Self::output) for a hand-written future.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        loop {
            if !self.stderr().is_empty() {
                return Poll::Ready(Ok(Some(Chunk::Stderr(self.take_stderr().into()))));
            }
            if !self.rest.is_empty() {
                return Poll::Ready(Ok(Some(Chunk::Body(mem::take(&mut self.rest)))));
            }
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Waits for one piece of either output, and says whether there was one.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if self.is_over {
            return Poll::Ready(Ok(false));
        }
        match ready!(self.driver.poll_received(cx)) {
            Ok(Received::Body(data)) => self.rest = data,
            Ok(Received::End(_)) => self.is_over = true,
            Ok(_) => {}
            Err(error) => {
                self.is_over = true;
                self.driver.end();
                return Poll::Ready(Err(error.to(&self.address)));
            }
        }
        Poll::Ready(Ok(!self.is_over))
    }

    /// The error output so far: up to 256 KiB that were not taken.
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        self.driver.stderr()
    }

    /// Takes the error output so far, which makes room for more.
    pub fn take_stderr(&mut self) -> Vec<u8> {
        self.driver.take_stderr()
    }

    /// How many bytes of error output came beyond what is kept.
    #[must_use]
    pub fn stderr_dropped(&self) -> u64 {
        self.driver.stderr_dropped()
    }

    /// How the response ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.driver.how_ended()
    }

    /// How long each phase took so far.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.driver.timings()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.poll_chunk(cx).map(Result::transpose)
    }
}

impl futures_core::Stream for ResponseBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }
}

/// The errors hold the [`Error`].
impl AsyncRead for ResponseBody {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let data = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = data.len().min(buf.remaining());
        buf.put_slice(data.split_at(count).0);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

/// The errors hold the [`Error`].
impl AsyncBufRead for ResponseBody {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            this.rest = ready!(this.poll_chunk(cx))?.unwrap_or_default();
        }
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        let count = count.min(self.rest.len());
        self.rest.advance(count);
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.get_mut().poll_item(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.is_over
    }
}
