use std::io;

use super::{Error, ErrorKind};

/// What a reader of a response's body tells; the [`Error`] is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::Reset => io::ErrorKind::ConnectionReset,
            ErrorKind::Protocol(_) | ErrorKind::Head(_) | ErrorKind::Body(_) => {
                io::ErrorKind::InvalidData
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
