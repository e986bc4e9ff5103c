use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fcgi_proto::cgi::{FullResponse, ResponseHead};
use fcgi_proto::client::End;
use fcgi_proto::{Address, Error, ErrorKind, Timings};
use http_body::Frame;

use super::driver::{Driver, Owned};

/// A response whose head has come and whose body may still come.
///
/// Dropping it before the end closes the connection, which aborts the request.
#[derive(Debug)]
pub struct Response {
    head: ResponseHead,
    body: ResponseBody,
    timings: Timings,
}

impl Response {
    pub(super) const fn new(head: ResponseHead, body: ResponseBody, timings: Timings) -> Self {
        Self { head, body, timings }
    }

    /// How long it took until the head was here.
    #[must_use]
    pub const fn timings(&self) -> Timings {
        self.timings
    }

    /// Who answered.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.body.address
    }

    /// Status, reason and headers.
    #[must_use]
    pub const fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The status code; 200 when the application named none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first value of a header; the name is compared without case.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The body.
    pub const fn body_mut(&mut self) -> &mut ResponseBody {
        &mut self.body
    }

    /// The head without the body.
    #[must_use]
    pub fn into_parts(self) -> (ResponseHead, ResponseBody) {
        (self.head, self.body)
    }

    /// The next piece of the body; see [`ResponseBody::chunk`].
    ///
    /// # Errors
    /// As there.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.chunk().await
    }

    /// Reads the whole body, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`ResponseBody::chunk`], and [`TooLarge`](ErrorKind::TooLarge) beyond the limit.
    ///
    /// # Cancellation
    /// Dropping the future aborts the request, as it owns the response.
    pub async fn collect(mut self, limit: usize) -> Result<FullResponse, Error> {
        let body = self.body.collect(limit).await?;
        let app_status = self.body.end().map_or(0, |end| end.app_status);
        let stderr = Bytes::from(self.body.take_stderr());
        Ok(FullResponse::new(self.head, body, stderr, app_status))
    }
}

/// The body of a response as it comes, with the error output beside it.
///
/// It is an [`http_body::Body`], a [`Stream`](futures_core::Stream) of [`Bytes`], and has [`chunk`](Self::chunk). It
/// ends cleanly only when the application ended the request (END_REQUEST) and the body is as long as its `Content-Length`;
/// else it ends with an error, so that a cut response is never taken for a whole one.
#[derive(Debug)]
pub struct ResponseBody {
    driver: Driver,
    address: Address,
    /// What came together with the head.
    first: Bytes,
    is_over: bool,
}

impl ResponseBody {
    pub(super) const fn new(driver: Driver, address: Address, first: Bytes) -> Self {
        Self { driver, address, first, is_over: false }
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
    /// As [`chunk`](Self::chunk), and [`TooLarge`](ErrorKind::TooLarge) beyond the limit.
    ///
    /// # Cancellation
    /// What was read is lost when the future is dropped.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut rest = BytesMut::new();
        let mut total = first.len();
        while total <= limit {
            let Some(chunk) = self.chunk().await? else {
                // A body in one piece needs no copy.
                return Ok(if rest.is_empty() { first } else { rest.freeze() });
            };
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            total += chunk.len();
            rest.extend_from_slice(&chunk);
        }
        let exchange = self.driver.exchange();
        Err(Error::new(ErrorKind::TooLarge { limit })
            .to(&self.address)
            .at(exchange.phase())
            .with_bytes(exchange.bytes_sent(), exchange.bytes_received())
            .begun(true))
    }

    /// [`chunk`](Self::chunk) for a hand-written future.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if !self.first.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.first))));
        }
        while !self.is_over {
            match ready!(self.driver.poll_output(cx)) {
                Ok(Owned::Body(data) | Owned::Head(_, data)) => return Poll::Ready(Ok(Some(data))),
                Ok(Owned::Stderr) => {}
                Ok(Owned::End) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    return Poll::Ready(Err(error.to(&self.address)));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// The error output so far: up to 256 KiB that were not taken.
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        self.driver.exchange().stderr()
    }

    /// Takes the error output so far, which makes room for more.
    pub fn take_stderr(&mut self) -> Vec<u8> {
        self.driver.exchange_mut().take_stderr()
    }

    /// How many bytes of error output came beyond what is kept.
    #[must_use]
    pub const fn stderr_dropped(&self) -> u64 {
        self.driver.exchange().stderr_dropped()
    }

    /// How the response ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.driver.exchange().end()
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
        self.first.is_empty() && self.is_over
    }
}
