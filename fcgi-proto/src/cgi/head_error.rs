//! What can be wrong with a response.

use core::fmt;

use crate::error::FirstBytes;

/// The output of an application does not begin with the head of a CGI response.
///
/// Over HTTP this is a 502. Repeated by every later call of the same decoder until it is reset.
///
/// ```
/// use fcgi_proto::cgi::{HeadError, ResponseHead};
///
/// let error = ResponseHead::parse(b"<html><body>hi</body></html>\n\n").unwrap_err();
/// assert_eq!(error.to_string(), r#"no header found, output begins with "<html><body>hi</body></h""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The request ended without any output. PHP-FPM does so when REQUEST_METHOD is missing.
    Empty,
    /// The output ended before the empty line that ends a head.
    Unfinished {
        /// How the output begins.
        first: FirstBytes,
        /// How many bytes came.
        received: usize,
    },
    /// There is output, but no header before the first empty line or before a line that can be none, such as HTML.
    NoHeader {
        /// How the output begins.
        first: FirstBytes,
    },
    /// The head is larger than allowed.
    TooLarge {
        /// How the output begins.
        first: FirstBytes,
        /// The limit in bytes.
        limit: usize,
    },
    /// The head has more header fields than allowed.
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// The name of a header is empty or holds what a token may not (RFC 9110 section 5.6.2), or has a blank behind it.
    Name {
        /// How the line begins.
        first: FirstBytes,
    },
    /// The value of a header holds NUL, a carriage return that does not end the line, or another control character.
    Value {
        /// How the line begins.
        first: FirstBytes,
    },
    /// A line begins with a blank: continuation lines are not part of CGI (RFC 3875 section 6.3).
    Continuation {
        /// How the line begins.
        first: FirstBytes,
    },
    /// The status is no number of three digits from 100 to 999.
    Status {
        /// How the value begins.
        first: FirstBytes,
    },
    /// The status is from 100 to 199, and such a response would have to be followed by another.
    InterimStatus(u16),
    /// `Content-Length` is no number, or there are several that differ.
    ContentLength {
        /// How the value begins.
        first: FirstBytes,
    },
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("no output at all"),
            Self::Unfinished { first, received } => write!(
                f,
                "output ended after {received} bytes without the empty line that ends a head, it begins with {first}"
            ),
            Self::NoHeader { first } => {
                write!(f, "no header found, output begins with {first}")
            }
            Self::TooLarge { first, limit } => {
                write!(f, "head is larger than {limit} bytes, output begins with {first}")
            }
            Self::TooManyFields { limit } => write!(f, "head has more than {limit} fields"),
            Self::Name { first } => write!(f, "invalid header name in the line {first}"),
            Self::Value { first } => write!(f, "control character in the header line {first}"),
            Self::Continuation { first } => write!(f, "header line begins with a blank: {first}"),
            Self::Status { first } => {
                write!(f, "status {first} is no number of three digits from 100 to 999")
            }
            Self::InterimStatus(status) => {
                write!(f, "status {status} is not that of a final response")
            }
            Self::ContentLength { first } => {
                write!(f, "Content-Length {first} is no number, or differs from an earlier one")
            }
        }
    }
}

impl core::error::Error for HeadError {}

/// The body is not as long as the head said. Only what was announced is delivered.
///
/// ```
/// use fcgi_proto::cgi::{ResponseDecoder, ResponseError};
///
/// let mut decoder = ResponseDecoder::new();
/// let mut input: &[u8] = b"Content-Length: 5\n\nhel";
/// while decoder.poll(&mut input)?.is_some() {}
/// let Err(ResponseError::Body(error)) = decoder.finish() else { panic!("two bytes are missing") };
/// assert!(error.is_cut());
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The request ended early: what was delivered is cut off and must not pass for complete.
    TooShort {
        /// `Content-Length`.
        announced: u64,
        /// Bytes that came.
        received: u64,
    },
    /// More came than announced. What was delivered is complete as far as the head tells; the rest was dropped.
    TooLong {
        /// `Content-Length`.
        announced: u64,
        /// Bytes that came.
        received: u64,
    },
}

impl BodyError {
    /// Whether bytes are missing, rather than too many.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        matches!(self, Self::TooShort { .. })
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::TooShort { announced, received } | Self::TooLong { announced, received }) = self;
        write!(f, "body has {received} bytes, Content-Length says {announced}")
    }
}

impl core::error::Error for BodyError {}

/// What [`ResponseDecoder::finish`](super::ResponseDecoder::finish) can say.
///
/// ```
/// use fcgi_proto::cgi::{ResponseDecoder, ResponseError};
///
/// let mut decoder = ResponseDecoder::new();
/// let mut input: &[u8] = b"Content-Length: 5\n\nhel";
/// while decoder.poll(&mut input)?.is_some() {}
/// let Err(ResponseError::Body(error)) = decoder.finish() else { panic!("two bytes are missing") };
/// assert!(error.is_cut());
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// There was no whole head.
    Head(HeadError),
    /// The body has another length than announced.
    Body(BodyError),
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
        }
    }
}

/// Transparent: the message is the inner one's, so there is no source of its own.
impl core::error::Error for ResponseError {}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for ResponseError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}
