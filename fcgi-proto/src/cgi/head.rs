//! The head of a response as data.

use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;
use core::ops::Range;

use super::decoder::ResponseDecoder;
use super::head_error::HeadError;

/// The head of a CGI response (RFC 3875 section 6): status, reason and header fields.
///
/// All fields live in one buffer in the order they came, repeats kept. Names are compared without case. `Status` is not
/// among the headers, since it is [`status`](Self::status) and never forwarded. Every name is a token and no value
/// holds a control character other than a tab, so both may be forwarded over HTTP as they are. Values are bytes:
/// mostly ASCII, sometimes UTF-8 or Latin-1.
///
/// ```
/// use fcgi_proto::cgi::ResponseHead;
///
/// let head = ResponseHead::parse(b"Status: 404 Not Found\r\nContent-Type:text/html\r\nSet-Cookie: a=1\nSet-Cookie: b=2\n\n")?;
/// assert_eq!((head.status(), head.reason()), (404, &b"Not Found"[..]));
/// assert_eq!(head.header("content-type"), Some(&b"text/html"[..]));
/// assert_eq!(head.set_cookies().count(), 2);
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Default)]
pub struct ResponseHead {
    pub(super) buf: Vec<u8>,
    pub(super) fields: Vec<Field>,
    pub(super) status: Option<u16>,
    pub(super) reason: Span,
    pub(super) location: Option<Span>,
    pub(super) content_length: Option<u64>,
}

/// A part of the buffer. The head limit keeps every offset below 2^32.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

impl ResponseHead {
    /// Reads a head that is there in one piece. Whatever follows its empty line is ignored.
    ///
    /// This is [`ResponseDecoder`] with its defaults, for tests and tools.
    ///
    /// # Errors
    /// As [`ResponseDecoder::poll`], and [`HeadError::Unfinished`] when the empty line is missing.
    pub fn parse(mut input: &[u8]) -> Result<Self, HeadError> {
        let mut decoder = ResponseDecoder::new();
        decoder.poll(&mut input)?;
        decoder.take_head().ok_or_else(|| decoder.unfinished())
    }

    /// The status code, from 200 to 999.
    ///
    /// From `Status`, or else 302 when there is a `Location`, or else 200 (RFC 3875 section 6.3.3).
    #[must_use]
    pub fn status(&self) -> u16 {
        match (self.status, self.location) {
            (Some(status), _) => status,
            (None, Some(_)) => 302,
            (None, None) => 200,
        }
    }

    /// Whether the script gave a status itself.
    #[must_use]
    pub const fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// The words after the status code, blanks trimmed; empty when there are none.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.bytes(self.reason)
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        let field = self.fields.iter().find(|field| self.is_named(field, name))?;
        Some(self.bytes(field.value))
    }

    /// [`header`](Self::header), when the value is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        core::str::from_utf8(self.header(name)?).ok()
    }

    /// All values of a header, in order.
    pub fn get_all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let fields = self.fields.iter().filter(|field| self.is_named(field, name.as_bytes()));
        fields.map(|field| self.bytes(field.value))
    }

    fn is_named(&self, field: &Field, name: &[u8]) -> bool {
        self.bytes(field.name).eq_ignore_ascii_case(name)
    }

    /// The values of `Set-Cookie`, which unlike others must never be joined.
    pub fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.get_all("Set-Cookie")
    }

    /// All headers in order, with repeats and without `Status`.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers { head: self, fields: self.fields.iter() }
    }

    /// The length of the body in bytes, if the script said it. That of a response to HEAD is what GET would send.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The value of `Location`, whatever it means.
    #[must_use]
    pub fn location(&self) -> Option<&[u8]> {
        self.location.map(|span| self.bytes(span))
    }

    /// Where this response sends the client, or the server itself.
    ///
    /// `None` when there is no `Location`, or one that redirects nobody, as with status 201.
    #[must_use]
    pub fn redirect(&self) -> Option<Redirect<'_>> {
        let location = self.location()?;
        match self.status {
            None if self.fields.len() == 1 && is_local(location) => Some(Redirect::Local(location)),
            None | Some(300..=399) => Some(Redirect::Client(location)),
            Some(_) => None,
        }
    }

    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        let Self { buf, fields, status, reason, location, content_length } = self;
        buf.clear();
        fields.clear();
        (*status, *reason, *location, *content_length) = (None, Span::default(), None, None);
    }

    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        self.buf.get(span.range()).unwrap_or_default()
    }
}

/// A `local-pathquery` (RFC 3875 section 6.3.2). A second slash would begin the name of another host.
fn is_local(location: &[u8]) -> bool {
    location.first() == Some(&b'/') && !matches!(location.get(1), Some(b'/' | b'\\'))
}

impl Span {
    pub(super) fn new(range: Range<usize>) -> Self {
        let at = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: at(range.start), end: at(range.end) }
    }

    fn range(self) -> Range<usize> {
        // A 16-bit target could not hold such a head in the first place.
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        at(self.start)..at(self.end)
    }
}

/// Where a response with a `Location` leads.
///
/// ```
/// use fcgi_proto::cgi::{Redirect, ResponseHead};
///
/// let head = ResponseHead::parse(b"Location: /login\n\n")?;
/// assert_eq!(head.redirect(), Some(Redirect::Local(b"/login")));
/// let head = ResponseHead::parse(b"Status: 302\nLocation: /login\n\n")?;
/// assert_eq!(head.redirect(), Some(Redirect::Client(b"/login")));
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect<'h> {
    /// `Location: /path?query` and no other field, nor a status: the server itself is to answer with what it has at
    /// that path (RFC 3875 section 6.2.2).
    ///
    /// A server that does not do this sends the 302 that [`ResponseHead::status`] says, as nginx does. PHP never asks for
    /// it: it adds `Status` and `Content-Type` by itself.
    Local(&'h [u8]),
    /// The client is to go there (RFC 3875 sections 6.2.3 and 6.2.4): an absolute URL, or what HTTP knows as a relative
    /// reference.
    Client(&'h [u8]),
}

/// The headers of a [`ResponseHead`] as names and values, in order.
///
/// ```
/// use fcgi_proto::cgi::ResponseHead;
///
/// let head = ResponseHead::parse(b"Status: 200\nX-A: 1\nX-B: 2\n\n")?;
/// let names: Vec<_> = head.headers().map(|(name, _)| name).collect();
/// assert_eq!(names, ["X-A", "X-B"]);
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone)]
pub struct Headers<'h> {
    head: &'h ResponseHead,
    fields: core::slice::Iter<'h, Field>,
}

impl<'h> Iterator for Headers<'h> {
    type Item = (&'h str, &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.fields.next()?;
        // Names are checked to be tokens, thus ASCII, when the head is read.
        let name = core::str::from_utf8(self.head.bytes(field.name)).unwrap_or_default();
        Some((name, self.head.bytes(field.value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fields.size_hint()
    }
}

impl ExactSizeIterator for Headers<'_> {}
impl FusedIterator for Headers<'_> {}

impl<'h> IntoIterator for &'h ResponseHead {
    type Item = (&'h str, &'h [u8]);
    type IntoIter = Headers<'h>;

    fn into_iter(self) -> Headers<'h> {
        self.headers()
    }
}

impl PartialEq for ResponseHead {
    /// Equal status, reason and headers, however they were spelled on the wire.
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
            && self.reason() == other.reason()
            && self.headers().eq(other.headers())
    }
}

impl Eq for ResponseHead {}

impl fmt::Debug for ResponseHead {
    /// Values of cookies are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status())
            .field("reason", &format_args!("\"{}\"", self.reason().escape_ascii()))
            .field("headers", &self.headers())
            .finish()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (name, value) in self.clone() {
            if name.eq_ignore_ascii_case("Set-Cookie") {
                list.entry(&format_args!("{name}: ({} bytes)", value.len()));
            } else {
                list.entry(&format_args!("{name}: {}", value.escape_ascii()));
            }
        }
        list.finish()
    }
}
