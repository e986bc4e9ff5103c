use core::fmt;

use crate::ProtocolStatus;
use crate::cgi::ResponseError;
use crate::error::ProtocolError;

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The peer broke the protocol, or closed the connection early.
    Protocol(ProtocolError),
    /// The application refused the request (section 5.5).
    Refused(ProtocolStatus),
    /// What it sent is no CGI response, or shorter than its `Content-Length` says.
    Response(ResponseError),
    /// The source of the body gave more bytes than CONTENT_LENGTH announced.
    BodyTooLong {
        /// Bytes beyond the announced length, at least.
        excess: u64,
    },
    /// The source of the body ended early.
    BodyTooShort {
        /// Bytes of the announced length that are missing.
        missing: u64,
    },
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
            Self::BodyTooLong { excess } => {
                write!(f, "request body is at least {excess} bytes longer than its content length")
            }
            Self::BodyTooShort { missing } => {
                write!(f, "request body ended {missing} bytes short of its content length")
            }
        }
    }
}

impl core::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Response(error) => Some(error),
            _ => None,
        }
    }
}
