use bytes::Bytes;
use fcgi_proto::cgi::{FullResponse, Headers, ResponseHead};
use fcgi_proto::client::{Chunk, Timings};
use fcgi_proto::{Address, Error};

use super::response_body::ResponseBody;

/// A response whose head has come and whose body may still come.
///
/// Dropping it before the end closes the connection, which aborts the request.
#[derive(Debug)]
pub struct Response {
    head: ResponseHead,
    body: ResponseBody,
}

impl Response {
    pub(super) const fn new(head: ResponseHead, body: ResponseBody) -> Self {
        Self { head, body }
    }

    /// Who answered.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.body.address()
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

    /// The words behind the status code; empty when there are none.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.head.reason()
    }

    /// All headers in the order they came, with repeats.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.head.headers()
    }

    /// The values of `Set-Cookie`, in order.
    pub fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.head.set_cookies()
    }

    /// The first value of a header; the name is compared without case.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The body, to look at what is known of it.
    #[must_use]
    pub const fn body(&self) -> &ResponseBody {
        &self.body
    }

    /// The body, to read it.
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

    /// The next piece of the body or of the error output; see [`ResponseBody::output`].
    ///
    /// # Errors
    /// As there.
    pub async fn output(&mut self) -> Result<Option<Chunk>, Error> {
        self.body.output().await
    }

    /// How long each phase took so far; [`Timings::total`] is there once the response has ended.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.body.timings()
    }

    /// The exit status of the application (section 5.5), once the response has ended; PHP always says 0.
    #[must_use]
    pub fn app_status(&self) -> Option<u32> {
        self.body.end().map(|end| end.app_status)
    }

    /// Reads the whole body, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`ResponseBody::chunk`], and [`TooLarge`](fcgi_proto::ErrorKind::TooLarge) beyond the limit.
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
