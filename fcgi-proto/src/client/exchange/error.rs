use core::fmt;

use crate::cgi::ResponseError;
use crate::error::ProtocolError;
use crate::{LengthError, ProtocolStatus};

/// Why an exchange failed.
///
/// ```
/// use fcgi_proto::ProtocolStatus;
/// use fcgi_proto::client::ExchangeError;
///
/// let error = ExchangeError::Refused(ProtocolStatus::Overloaded);
/// assert!(error.to_string().starts_with("application refused the request"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The peer broke the protocol, or closed the connection early.
    Protocol(ProtocolError),
    /// The application refused the request (section 5.5).
    Refused(ProtocolStatus),
    /// What it sent is no CGI response, or shorter than its `Content-Length` says.
    Response(ResponseError),
    /// The source of the body gave another number of bytes than CONTENT_LENGTH announced.
    BodyLength(LengthError),
}

impl From<LengthError> for ExchangeError {
    fn from(error: LengthError) -> Self {
        Self::BodyLength(error)
    }
}

impl From<ProtocolError> for ExchangeError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Refused(status) => write!(f, "application refused the request with {status}"),
            Self::Response(error) => error.fmt(f),
            Self::BodyLength(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Response(error) => Some(error),
            Self::BodyLength(error) => Some(error),
            _ => None,
        }
    }
}
