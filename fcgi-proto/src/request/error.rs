//! Requests that cannot be sent.

use core::fmt;

use crate::error::{BeginError, FirstBytes};

/// The request cannot be sent as it is. Nothing was sent.
///
/// ```
/// use fcgi_proto::{Request, RequestError};
///
/// let request: Request<String> = Request::get("/srv/a.php").header("X-A", "1\r\nX-B: 2");
/// assert!(matches!(request.into_parts(), Err(RequestError::HeaderValue { .. })));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The name of a header is empty or holds what a token may not (RFC 9110 section 5.6.2).
    HeaderName {
        /// How the name begins.
        name: FirstBytes,
    },
    /// The value of a header holds NUL or a line break.
    HeaderValue {
        /// How the name begins.
        name: FirstBytes,
    },
    /// `SCRIPT_FILENAME` holds NUL, where PHP would cut it off.
    ScriptName,
    /// The length that was announced is not that of the body.
    ContentLength {
        /// What was announced, in bytes.
        announced: u64,
        /// The length of the body in bytes.
        found: u64,
    },
    /// The body's length is not known, and it is longer than the client collects. See
    /// [`SpoolConfig::max_body`](crate::SpoolConfig::max_body).
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The name of a form's field or file holds NUL or ends in a backslash, both of which PHP would misread.
    PartName {
        /// How the name begins.
        name: FirstBytes,
    },
    /// The boundary of a form is none (RFC 2046 section 5.1.1).
    Boundary,
    /// The connection did not take the request: most often because a variable with its name is larger than one record
    /// of 65,535 bytes, which PHP-FPM would drop without a word.
    Begin(BeginError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::HeaderName { name } => write!(f, "{name} is no header name"),
            Self::HeaderValue { name } => write!(f, "header {name} holds NUL or a line break"),
            Self::ScriptName => f.write_str("SCRIPT_FILENAME holds NUL"),
            Self::ContentLength { announced, found } => {
                write!(f, "body has {found} bytes, {announced} were announced")
            }
            Self::BodyTooLarge { limit } => {
                write!(f, "body of unknown length is longer than the limit of {limit} bytes")
            }
            Self::PartName { name } => {
                write!(f, "form entry or file name {name} holds NUL or ends in a backslash")
            }
            Self::Boundary => {
                f.write_str("boundary of the form is not 1 to 70 of the characters allowed")
            }
            Self::Begin(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RequestError {}

impl From<BeginError> for RequestError {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}
