//! The bytes of STDOUT as a head and the pieces of a body.

use memchr::memchr;

use super::head::ResponseHead;
use super::head_error::{BodyError, HeadError, ResponseError};
use super::head_parser;
use crate::error::FirstBytes;

/// Reads the output of an application: first a head, then the body.
///
/// Feed it what STDOUT brings, cut anywhere. The head is collected in one buffer, which [`reset`](Self::reset) keeps
/// for the next response; the body is lent from the input and never copied.
///
/// # What is accepted
/// - Lines end with CRLF or LF, also mixed; the first empty line ends the head.
/// - `Status: 404 Not Found`, `Status: 404`, blanks around either; a header without a blank behind the colon.
/// - `HTTP/1.1 404 Not Found` as the first line counts as a status, since PHP writes it so with
///   `cgi.rfc2616_headers=1`. nginx skips such a line (and answers 200), Apache answers 500.
/// - A line without a colon is skipped, so that a stray warning above the head does no harm. nginx answers 502 and
///   Apache 500 to one.
/// - Of several `Status` and `Location` the first counts.
///
/// Everything else is a [`HeadError`]: nothing is forwarded unchecked. Continuation lines are refused, because CGI has
/// none (RFC 3875 section 6.3) and readers disagree about them.
///
/// # The length of the body
/// With a `Content-Length` never more than that is delivered, and [`finish`](Self::finish) says when it was not exactly
/// that. A response to HEAD ([`head_only`](Self::head_only)) and those with status 204 and 304 have no body: output
/// after their head is dropped.
///
/// ```
/// use fcgi_proto::cgi::{Piece, ResponseDecoder};
///
/// let mut decoder = ResponseDecoder::new();
/// let mut body = Vec::new();
/// for mut input in [&b"Content-Type: text/pl"[..], b"ain\r\n\r", b"\nhello ", b"world"] {
///     while let Some(piece) = decoder.poll(&mut input)? {
///         match piece {
///             Piece::Head => assert_eq!(decoder.head().map(|head| head.status()), Some(200)),
///             Piece::Body(data) => body.extend_from_slice(data),
///         }
///     }
/// }
/// decoder.finish()?; // END_REQUEST came
/// assert_eq!(body, b"hello world");
/// # Ok::<(), fcgi_proto::cgi::ResponseError>(())
/// ```
#[derive(Debug)]
pub struct ResponseDecoder {
    state: State,
    head: ResponseHead,
    head_limit: usize,
    max_fields: usize,
    is_head_only: bool,
}

/// ```text
/// Head ──empty line──> Body          (until reset)
///   └───not a head───> Failed        (until reset)
/// ```
#[derive(Clone, Copy, Debug)]
enum State {
    /// Collecting; what the unfinished last line holds so far.
    Head(Line),
    Body {
        length: Length,
        received: u64,
    },
    Failed(HeadError),
}

/// How much of the current line of the head was seen: enough to tell an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Empty,
    CarriageReturn,
    Text,
}

/// How long the body will be.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// Until the request ends.
    Open,
    Exactly(u64),
    /// There is none, whatever the head announces.
    Absent,
}

/// What [`ResponseDecoder::poll`] has found.
///
/// ```
/// use fcgi_proto::cgi::{Piece, ResponseDecoder};
///
/// let mut decoder = ResponseDecoder::new();
/// let mut input: &[u8] = b"X: 1\n\nbody";
/// assert_eq!(decoder.poll(&mut input)?, Some(Piece::Head));
/// assert_eq!(decoder.poll(&mut input)?, Some(Piece::Body(b"body")));
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'b> {
    /// The head is complete: see [`ResponseDecoder::head`] and [`ResponseDecoder::take_head`]. Once, before any body.
    Head,
    /// A part of the body, never empty.
    Body(&'b [u8]),
}

impl ResponseDecoder {
    /// The default of [`head_limit`](Self::head_limit) in bytes.
    pub const DEFAULT_HEAD_LIMIT: usize = 256 * 1024;

    /// The default of [`max_fields`](Self::max_fields).
    pub const DEFAULT_MAX_FIELDS: usize = 1000;

    /// A decoder for one response, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Head(Line::Empty),
            head: ResponseHead::default(),
            head_limit: Self::DEFAULT_HEAD_LIMIT,
            max_fields: Self::DEFAULT_MAX_FIELDS,
            is_head_only: false,
        }
    }

    /// Limits the head in bytes, its empty line included. Default 256 KiB, at most 4 GiB.
    ///
    /// That is the memory a response may take before it is delivered. nginx allows one page (4 or 8 KiB,
    /// `fastcgi_buffer_size`), Apache 8 KiB per line; sites with many cookies or debug headers pass both.
    #[must_use]
    pub fn head_limit(mut self, bytes: usize) -> Self {
        self.head_limit = bytes.min(usize::try_from(u32::MAX).unwrap_or(usize::MAX));
        self
    }

    /// Limits the number of header fields. Default 1,000; each costs 16 bytes besides its text.
    #[must_use]
    pub const fn max_fields(mut self, fields: usize) -> Self {
        self.max_fields = fields;
        self
    }

    /// Says that the request was HEAD: there is no body, and `Content-Length` is that of GET. Default false.
    #[must_use]
    pub const fn head_only(mut self, is_head_only: bool) -> Self {
        self.is_head_only = is_head_only;
        self
    }

    /// [`head_only`](Self::head_only) for a decoder that was [`reset`](Self::reset). Only before its first byte.
    pub const fn set_head_only(&mut self, is_head_only: bool) {
        self.is_head_only = is_head_only;
    }

    /// Takes from the front of `input` and gives the next piece. `None` when `input` is used up.
    ///
    /// # Errors
    /// [`HeadError`] when the output is no CGI response, with `input` where it was; every later call says the same.
    pub fn poll<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, HeadError> {
        match self.state {
            State::Head(line) => match self.collect(line, input) {
                Ok(is_complete) => Ok(is_complete.then_some(Piece::Head)),
                Err(error) => {
                    self.state = State::Failed(error);
                    Err(error)
                }
            },
            State::Body { .. } => Ok(self.body(input).map(Piece::Body)),
            State::Failed(error) => Err(error),
        }
    }

    /// The head, once it is complete and until it is taken.
    #[must_use]
    pub fn head(&self) -> Option<&ResponseHead> {
        // A head that was taken has left an empty buffer; a complete one has at least its empty line.
        (matches!(self.state, State::Body { .. }) && !self.head.buf.is_empty())
            .then_some(&self.head)
    }

    /// Moves the head out, once it is complete. Its memory goes with it; [`recycle`](Self::recycle) gives it back.
    #[must_use]
    pub fn take_head(&mut self) -> Option<ResponseHead> {
        self.head().is_some().then(|| core::mem::take(&mut self.head))
    }

    /// Says that the request has ended, and whether the response is whole.
    ///
    /// # Errors
    /// [`ResponseError::Head`] when there is no whole head, [`ResponseError::Body`] when the body is longer or shorter
    /// than announced.
    pub fn finish(&mut self) -> Result<(), ResponseError> {
        match self.state {
            State::Head(_) => {
                let error = self.unfinished();
                self.state = State::Failed(error);
                Err(error.into())
            }
            State::Failed(error) => Err(error.into()),
            State::Body { length: Length::Exactly(announced), received }
                if received < announced =>
            {
                Err(BodyError::TooShort { announced, received }.into())
            }
            State::Body { length: Length::Exactly(announced), received }
                if received > announced =>
            {
                Err(BodyError::TooLong { announced, received }.into())
            }
            State::Body { .. } => Ok(()),
        }
    }

    /// What came beyond what the head allows, and was dropped, if anything did; where there is to be no body, 0 was announced.
    pub(crate) const fn too_long(&self) -> Option<BodyError> {
        let State::Body { length, received } = self.state else { return None };
        let announced = match length {
            Length::Open => return None,
            Length::Absent => 0,
            Length::Exactly(length) => length,
        };
        if received > announced { Some(BodyError::TooLong { announced, received }) } else { None }
    }

    /// Whether everything that the head announced has been delivered. False while that is not known.
    #[must_use]
    pub const fn is_body_complete(&self) -> bool {
        match self.state {
            State::Body { length: Length::Exactly(announced), received } => received >= announced,
            State::Body { length: Length::Absent, .. } => true,
            _ => false,
        }
    }

    /// Bytes of output behind the head so far, those dropped included.
    #[must_use]
    pub const fn body_received(&self) -> u64 {
        match self.state {
            State::Body { received, .. } => received,
            _ => 0,
        }
    }

    /// Makes ready for the next response. Memory and limits stay; that a request was HEAD does not.
    pub fn reset(&mut self) {
        self.state = State::Head(Line::Empty);
        self.is_head_only = false;
        self.head.clear();
    }

    /// Takes the memory of a head that is no longer needed, for the next response. Only before its first byte.
    pub fn recycle(&mut self, mut head: ResponseHead) {
        if self.head.buf.capacity() == 0 {
            head.clear();
            self.head = head;
        }
    }

    /// What it means that the output ends here.
    pub(super) fn unfinished(&self) -> HeadError {
        match self.head.buf.as_slice() {
            [] => HeadError::Empty,
            buf => HeadError::Unfinished { first: FirstBytes::new(buf), received: buf.len() },
        }
    }

    /// Moves bytes up to the end of the head into the buffer; whether the end is there.
    fn collect(&mut self, line: Line, input: &mut &[u8]) -> Result<bool, HeadError> {
        let (used, end) = scan(line, input);
        let (part, rest) = input.split_at_checked(used).unwrap_or((input, &[]));
        if part.len() > self.head_limit - self.head.buf.len() {
            let first = match self.head.buf.as_slice() {
                [] => FirstBytes::new(part),
                buf => FirstBytes::new(buf),
            };
            return Err(HeadError::TooLarge { first, limit: self.head_limit });
        }
        self.head.buf.extend_from_slice(part);
        if let Some(line) = end {
            self.state = State::Head(line);
            *input = rest;
            return Ok(false);
        }
        head_parser::parse(&mut self.head, self.max_fields)?;
        *input = rest;
        self.state = State::Body { length: self.length(), received: 0 };
        Ok(true)
    }

    fn length(&self) -> Length {
        match (self.head.status(), self.head.content_length) {
            (204 | 304, _) => Length::Absent,
            _ if self.is_head_only => Length::Absent,
            (_, Some(length)) => Length::Exactly(length),
            (_, None) => Length::Open,
        }
    }

    /// Takes all of `input` and lends what the head allows of it.
    fn body<'b>(&mut self, input: &mut &'b [u8]) -> Option<&'b [u8]> {
        let State::Body { length, received } = &mut self.state else {
            return None;
        };
        let data = core::mem::take(input);
        let before = *received;
        *received = before.saturating_add(data.len() as u64);
        let allowed = match *length {
            Length::Open => data,
            Length::Absent => &[],
            Length::Exactly(length) => {
                let left = usize::try_from(length.saturating_sub(before)).unwrap_or(usize::MAX);
                data.get(..left).unwrap_or(data)
            }
        };
        (!allowed.is_empty()).then_some(allowed)
    }
}

impl Default for ResponseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Looks for the empty line. How many bytes belong to the head, and where the line stands if the end was not found.
fn scan(mut line: Line, input: &[u8]) -> (usize, Option<Line>) {
    let mut at = 0;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let Some(length) = memchr(b'\n', rest) else {
            return (input.len(), Some(line.followed_by(rest)));
        };
        at += length + 1;
        let text = rest.get(..length).unwrap_or_default();
        if line.followed_by(text) != Line::Text {
            return (at, None);
        }
        line = Line::Empty;
    }
}

impl Line {
    /// The same line with more of it.
    const fn followed_by(self, text: &[u8]) -> Self {
        match (self, text) {
            (line, []) => line,
            (Self::Empty, b"\r") => Self::CarriageReturn,
            _ => Self::Text,
        }
    }
}
