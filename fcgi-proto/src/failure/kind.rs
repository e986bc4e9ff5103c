//! The kinds of failure, and their stable names.

use core::error::Error as StdError;

use crate::address::AddressErrorKind;
use crate::cgi::{BodyError, HeadError, ScriptError};
use crate::error::{FirstBytes, ProtocolError};
use crate::request::RequestError;
use crate::wire::ProtocolStatus;

/// What went wrong in a call.
///
/// ```
/// use fcgi_proto::{Error, ErrorKind, Phase};
///
/// let error = Error::timeout(Phase::Queue, core::time::Duration::from_secs(5));
/// assert!(matches!(error.kind(), ErrorKind::Timeout));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is no address.
    Address(AddressErrorKind),
    /// The request cannot be sent as it is. Nothing was sent.
    Request(RequestError),
    /// The source of the request's body failed, or gave another number of bytes than announced.
    RequestBody,
    /// The temporary file for a body of unknown length failed. Nothing was sent.
    Spool,
    /// As many callers as allowed wait for a connection of the pool already.
    PoolFull {
        /// How many are allowed.
        limit: usize,
    },
    /// No connection could be made.
    Connect,
    /// A limit has passed; [`Error::phase`](super::Error::phase) says which.
    Timeout,
    /// The application closed or reset the connection before the response was whole: it crashed or was ended.
    Reset,
    /// The application broke the FastCGI protocol.
    Protocol(ProtocolError),
    /// Something else than a FastCGI application listens there.
    NotFastCgi(FirstBytes),
    /// `FCGI_OVERLOADED`: the application refused the request.
    Overloaded,
    /// `FCGI_CANT_MPX_CONN`: the application takes one request at a time on a connection.
    CantMultiplex,
    /// `FCGI_UNKNOWN_ROLE`: the application does not serve this role.
    UnknownRole,
    /// END_REQUEST had a protocol status that the specification does not know.
    UnknownStatus(u8),
    /// PHP-FPM ran no script.
    ScriptNotFound(ScriptError),
    /// The status is 400 or above, where the caller asked for that to be an error.
    Status(u16),
    /// The output is no CGI response.
    Head(HeadError),
    /// The response is longer or shorter than it announced.
    Body(BodyError),
    /// The response is larger than the caller's limit in bytes.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Reading or writing failed in another way.
    Io,
}

impl ErrorKind {
    /// A short name that stays the same between versions: for logs, metrics and exit codes.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Request(_) => "request",
            Self::RequestBody => "request_body",
            Self::Spool => "spool",
            Self::PoolFull { .. } => "pool_full",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol(_) | Self::UnknownStatus(_) => "protocol",
            Self::NotFastCgi(_) => "not_fastcgi",
            Self::Overloaded => "overloaded",
            Self::CantMultiplex => "cant_multiplex",
            Self::UnknownRole => "unknown_role",
            Self::ScriptNotFound(_) => "script_not_found",
            Self::Status(_) => "status",
            Self::Head(_) => "head",
            Self::Body(_) => "body",
            Self::TooLarge { .. } => "too_large",
            Self::Io => "io",
        }
    }

    /// What the protocol status of END_REQUEST means for the caller: `None` when the request was carried out
    /// (section 5.5).
    #[must_use]
    pub const fn from_protocol_status(status: ProtocolStatus) -> Option<Self> {
        match status {
            ProtocolStatus::RequestComplete => None,
            ProtocolStatus::CantMultiplex => Some(Self::CantMultiplex),
            ProtocolStatus::Overloaded => Some(Self::Overloaded),
            ProtocolStatus::UnknownRole => Some(Self::UnknownRole),
            ProtocolStatus::Other(octet) => Some(Self::UnknownStatus(octet)),
        }
    }

    /// The error that a kind carries.
    pub(super) const fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::ScriptNotFound(error) => Some(error),
            Self::Head(error) => Some(error),
            Self::Body(error) => Some(error),
            _ => None,
        }
    }
}
