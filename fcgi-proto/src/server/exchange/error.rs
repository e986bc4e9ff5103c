use core::fmt;
use std::io;

/// Why the input of a request ended early.
///
/// ```
/// use fcgi_proto::server::InputError;
///
/// let error = InputError::TooLarge { limit: 10 };
/// assert!(error.to_string().contains("10"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// The web server gave the request up, or was cut off, before the stream was complete.
    Aborted {
        /// The bytes of this stream that had come.
        received: u64,
    },
    /// The body has ended before CONTENT_LENGTH: a part of it is missing.
    Short {
        /// The bytes that had come.
        received: u64,
        /// CONTENT_LENGTH.
        expected: u64,
    },
    /// The stream is longer than the caller wants.
    TooLarge {
        /// What the caller wants at most, in bytes.
        limit: usize,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted { received } => {
                write!(f, "request aborted by the web server after {received} bytes of its body")
            }
            Self::Short { received, expected } => {
                write!(f, "request body ended after {received} of {expected} bytes")
            }
            Self::TooLarge { limit } => write!(f, "request body is larger than {limit} bytes"),
        }
    }
}

impl core::error::Error for InputError {}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> Self {
        let kind = match error {
            InputError::Aborted { .. } => io::ErrorKind::ConnectionAborted,
            InputError::Short { .. } => io::ErrorKind::UnexpectedEof,
            InputError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
        };
        Self::new(kind, error)
    }
}

/// Why output of a request goes nowhere.
///
/// ```
/// use fcgi_proto::server::OutputError;
///
/// assert!(!OutputError::Aborted.to_string().is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputError {
    /// The web server gave the request up with ABORT_REQUEST.
    Aborted,
    /// The connection is gone.
    Disconnected,
    /// The handler has returned, and so the response is over.
    Ended,
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aborted => "request aborted by the web server",
            Self::Disconnected => "connection to the web server is gone",
            Self::Ended => "response is over, as the handler has returned",
        })
    }
}

impl core::error::Error for OutputError {}

impl From<OutputError> for io::Error {
    fn from(error: OutputError) -> Self {
        let kind = match error {
            OutputError::Aborted => io::ErrorKind::ConnectionAborted,
            OutputError::Disconnected | OutputError::Ended => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}
