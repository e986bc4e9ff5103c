use std::borrow::BorrowMut;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::{FullResponse, Headers, ResponseHead};
use fcgi_proto::client::{Chunk, Collector, End, Timings};
use fcgi_proto::{Address, Error};

use super::driver::{Driver, News};

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
    pub fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.chunk()
    }

    /// The next piece of the body or of the error output; see [`ResponseBody::output`].
    ///
    /// # Errors
    /// As there.
    pub fn output(&mut self) -> Result<Option<Chunk>, Error> {
        self.body.output()
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
    pub fn collect(mut self, limit: usize) -> Result<FullResponse, Error> {
        let body = self.body.collect(limit)?;
        let app_status = self.body.end().map_or(0, |end| end.app_status);
        let stderr = Bytes::from(self.body.take_stderr());
        Ok(FullResponse::new(self.head, body, stderr, app_status))
    }
}

/// The body of a response as it comes, with the error output beside it.
///
/// Read it as a [`BufRead`], which copies nothing, as a [`Read`], in a `for` loop over [`Bytes`], or with
/// [`chunk`](Self::chunk). It ends cleanly only when the application ended the request (END_REQUEST) and the body is as
/// long as its `Content-Length`; else it ends with an error, so that a cut response is never taken for a whole one. The
/// [`io::Error`] of a reader holds the [`Error`].
///
/// Whoever reads sends the rest of the request's body on the way: an exchange goes on only while somebody reads.
#[derive(Debug)]
pub struct ResponseBody {
    driver: Driver,
    address: Arc<Address>,
    is_over: bool,
    /// What a reader that goes on behind an error is told.
    failure: Option<io::ErrorKind>,
}

impl ResponseBody {
    pub(super) const fn new(driver: Driver, address: Arc<Address>) -> Self {
        Self { driver, address, is_over: false, failure: None }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The next piece of the body, at most 64 KiB, `None` at its end.
    ///
    /// # Errors
    /// The connection broke, a limit passed, or the application broke the protocol; every later call gives `None`.
    pub fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.fill()?;
        Ok(self.take_piece())
    }

    /// Reads the rest of the body, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and [`TooLarge`](fcgi_proto::ErrorKind::TooLarge) beyond the limit.
    pub fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = Collector::new(limit);
        loop {
            self.fill()?;
            let piece = self.driver.piece();
            if piece.is_empty() {
                return Ok(body.finish());
            }
            if !body.push_slice(piece) {
                return Err(self.driver.too_large(limit).to(&self.address));
            }
            self.driver.consume(piece.len());
        }
    }

    /// The next piece of the body or of the error output, in the order they came; `None` at the end.
    ///
    /// The error output that came before the head, or was left over by other methods, comes first.
    ///
    /// ```no_run
    /// # fn f(mut response: fcgi_blocking::Response) -> Result<(), fcgi_blocking::Error> {
    /// use fcgi_blocking::Chunk;
    ///
    /// while let Some(chunk) = response.output()? {
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
    pub fn output(&mut self) -> Result<Option<Chunk>, Error> {
        loop {
            if !self.stderr().is_empty() {
                return Ok(Some(Chunk::Stderr(self.take_stderr().into())));
            }
            if let Some(data) = self.take_piece() {
                return Ok(Some(Chunk::Body(data)));
            }
            if self.is_over {
                return Ok(None);
            }
            self.advance()?;
        }
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

    /// What is there of the body and was not taken.
    fn take_piece(&mut self) -> Option<Bytes> {
        Some(self.driver.take_piece()).filter(|piece| !piece.is_empty())
    }

    /// Waits until a piece of the body is there, or its end.
    fn fill(&mut self) -> Result<(), Error> {
        while self.driver.piece().is_empty() && !self.is_over {
            self.advance()?;
        }
        Ok(())
    }

    /// Waits for one piece of either output, or the end.
    fn advance(&mut self) -> Result<(), Error> {
        match self.driver.next() {
            Ok(News::Body | News::Head(_) | News::Stderr) => {}
            Ok(News::End) => self.is_over = true,
            Err(error) => {
                self.is_over = true;
                self.failure = Some(error.io_kind());
                self.driver.end();
                return Err(error.to(&self.address));
            }
        }
        Ok(())
    }
}

impl BufRead for ResponseBody {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let (true, Some(failure)) = (self.is_over, self.failure) {
            return Err(failure.into());
        }
        self.fill()?;
        Ok(self.driver.piece())
    }

    fn consume(&mut self, count: usize) {
        self.driver.consume(count);
    }
}

impl Read for ResponseBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl IntoIterator for ResponseBody {
    type Item = Result<Bytes, Error>;
    type IntoIter = Chunks<Self>;

    fn into_iter(self) -> Chunks<Self> {
        Chunks(self)
    }
}

impl<'b> IntoIterator for &'b mut ResponseBody {
    type Item = Result<Bytes, Error>;
    type IntoIter = Chunks<&'b mut ResponseBody>;

    fn into_iter(self) -> Chunks<Self> {
        Chunks(self)
    }
}

/// The pieces of a [`ResponseBody`], or an error behind which there is nothing.
///
/// It is a type of its own since an iterator that is a reader as well has two methods `take`, `chain` and `by_ref`.
#[derive(Debug)]
pub struct Chunks<B>(B);

impl<B: BorrowMut<ResponseBody>> Iterator for Chunks<B> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.borrow_mut().chunk().transpose()
    }
}
