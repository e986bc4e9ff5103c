use core::time::Duration;
use std::io;

/// What to do after accepting a connection has failed.
///
/// ```
/// use std::io;
/// use fcgi_proto::server::AcceptFailure;
///
/// assert_eq!(AcceptFailure::of(&io::ErrorKind::ConnectionAborted.into()), AcceptFailure::Skip);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// It was about one connection, which is gone: accept the next.
    Skip,
    /// The system lacks descriptors or memory, and trying again at once would keep a core busy: wait so long.
    Pause(Duration),
    /// The listener does not work, as when descriptor 0 is a socket that does not listen.
    Fatal,
}

impl AcceptFailure {
    /// What this error calls for.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::Unsupported
            | io::ErrorKind::NotConnected => Self::Fatal,
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied => Self::Skip,
            _ => Self::Pause(Duration::from_millis(100)),
        }
    }
}
