use std::io;

use super::{Error, ErrorKind};

impl Error {
    /// What kind of [`io::Error`] this becomes for a reader of a response's body.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self.kind() {
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::Reset => io::ErrorKind::ConnectionReset,
            ErrorKind::Protocol(_) | ErrorKind::Head(_) | ErrorKind::Body(_) => {
                io::ErrorKind::InvalidData
            }
            _ => io::ErrorKind::Other,
        }
    }
}

/// What a reader of a response's body tells; the [`Error`] is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.io_kind(), error)
    }
}
