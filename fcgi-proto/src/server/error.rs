use core::fmt;
use std::io;

use crate::ProtocolError;

/// Why a connection ended before its time; the error of every adapter's `serve_connection`.
///
/// ```
/// use std::io;
/// use fcgi_proto::server::ConnectionError;
///
/// /// Whether it is worth a line in the log: web servers that go away are not.
/// fn is_odd(error: &ConnectionError) -> bool {
///     !matches!(error, ConnectionError::Io(error) if error.kind() == io::ErrorKind::ConnectionReset)
/// }
/// assert!(!is_odd(&io::Error::from(io::ErrorKind::ConnectionReset).into()));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The socket failed. Web servers close without reading the end of an answer as a matter of course.
    Io(io::Error),
    /// The web server broke the protocol.
    Protocol(ProtocolError),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("connection to the web server failed"),
            Self::Protocol(_) => f.write_str("web server broke the FastCGI protocol"),
        }
    }
}

impl core::error::Error for ConnectionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Protocol(error) => Some(error),
        }
    }
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ProtocolError> for ConnectionError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}
