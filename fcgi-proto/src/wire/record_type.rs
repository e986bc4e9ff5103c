use alloc::format;
use core::fmt;

/// What a record is (section 8, `FCGI_BEGIN_REQUEST` = 1 to `FCGI_UNKNOWN_TYPE` = 11).
///
/// A type outside this range keeps its octet in [`Other`](Self::Other), as the answer to an unknown management
/// record has to repeat it (section 4.2).
///
/// ```
/// use fcgi_proto::RecordType;
///
/// assert_eq!(RecordType::from_u8(6), RecordType::Stdout);
/// assert_eq!(RecordType::from_u8(99), RecordType::Other(99));
/// assert_eq!(RecordType::Other(99).to_u8(), 99);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordType {
    /// `FCGI_BEGIN_REQUEST` (1), web server to application.
    BeginRequest,
    /// `FCGI_ABORT_REQUEST` (2), web server to application.
    AbortRequest,
    /// `FCGI_END_REQUEST` (3), application to web server.
    EndRequest,
    /// `FCGI_PARAMS` (4), a stream from web server to application.
    Params,
    /// `FCGI_STDIN` (5), a stream from web server to application.
    Stdin,
    /// `FCGI_STDOUT` (6), a stream from application to web server.
    Stdout,
    /// `FCGI_STDERR` (7), a stream from application to web server.
    Stderr,
    /// `FCGI_DATA` (8), the Filter role's second stream, web server to application.
    Data,
    /// `FCGI_GET_VALUES` (9), a management record, web server to application.
    GetValues,
    /// `FCGI_GET_VALUES_RESULT` (10), a management record, application to web server.
    GetValuesResult,
    /// `FCGI_UNKNOWN_TYPE` (11), a management record, application to web server.
    UnknownType,
    /// Any other octet.
    Other(u8),
}

impl RecordType {
    /// The type with this octet.
    #[must_use]
    pub const fn from_u8(octet: u8) -> Self {
        match octet {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            other => Self::Other(other),
        }
    }

    /// The octet of this type.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::BeginRequest => 1,
            Self::AbortRequest => 2,
            Self::EndRequest => 3,
            Self::Params => 4,
            Self::Stdin => 5,
            Self::Stdout => 6,
            Self::Stderr => 7,
            Self::Data => 8,
            Self::GetValues => 9,
            Self::GetValuesResult => 10,
            Self::UnknownType => 11,
            Self::Other(other) => other,
        }
    }

    /// Whether the body has a fixed size of 8 bytes (sections 5.1, 5.5 and 4.2).
    #[must_use]
    pub const fn has_fixed_body(self) -> bool {
        matches!(self, Self::BeginRequest | Self::EndRequest | Self::UnknownType)
    }
}

impl fmt::Display for RecordType {
    /// The specification's name, such as `STDOUT`; `type 99` for an unknown octet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::BeginRequest => "BEGIN_REQUEST",
            Self::AbortRequest => "ABORT_REQUEST",
            Self::EndRequest => "END_REQUEST",
            Self::Params => "PARAMS",
            Self::Stdin => "STDIN",
            Self::Stdout => "STDOUT",
            Self::Stderr => "STDERR",
            Self::Data => "DATA",
            Self::GetValues => "GET_VALUES",
            Self::GetValuesResult => "GET_VALUES_RESULT",
            Self::UnknownType => "UNKNOWN_TYPE",
            Self::Other(octet) => return f.pad(&format!("type {octet}")),
        };
        f.pad(name)
    }
}

/// What the web server wants of the application (section 5.1).
///
/// ```
/// use fcgi_proto::Role;
///
/// assert_eq!(Role::from_u16(1), Role::Responder);
/// assert_eq!(Role::from_u16(700).to_u16(), 700);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// `FCGI_RESPONDER` (1): a CGI program that answers an HTTP request (section 6.2).
    #[default]
    Responder,
    /// `FCGI_AUTHORIZER` (2): decides whether a request may proceed (section 6.3).
    Authorizer,
    /// `FCGI_FILTER` (3): a responder that is also given the file asked for (section 6.4).
    Filter,
    /// Any other number.
    Other(u16),
}

impl Role {
    /// The role with this number.
    #[must_use]
    pub const fn from_u16(number: u16) -> Self {
        match number {
            1 => Self::Responder,
            2 => Self::Authorizer,
            3 => Self::Filter,
            other => Self::Other(other),
        }
    }

    /// The number of this role.
    #[must_use]
    pub const fn to_u16(self) -> u16 {
        match self {
            Self::Responder => 1,
            Self::Authorizer => 2,
            Self::Filter => 3,
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for Role {
    /// `responder`, `authorizer`, `filter`, or `role 700` for an unknown number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Responder => f.pad("responder"),
            Self::Authorizer => f.pad("authorizer"),
            Self::Filter => f.pad("filter"),
            Self::Other(number) => f.pad(&format!("role {number}")),
        }
    }
}

/// How the application ended a request, as far as the protocol goes (section 5.5).
///
/// ```
/// use fcgi_proto::ProtocolStatus;
///
/// assert_eq!(ProtocolStatus::from_u8(2), ProtocolStatus::Overloaded);
/// assert_eq!(ProtocolStatus::Other(200).to_u8(), 200);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolStatus {
    /// `FCGI_REQUEST_COMPLETE` (0): the normal end.
    #[default]
    RequestComplete,
    /// `FCGI_CANT_MPX_CONN` (1): refused, one request at a time on a connection.
    CantMultiplex,
    /// `FCGI_OVERLOADED` (2): refused, some resource is exhausted.
    Overloaded,
    /// `FCGI_UNKNOWN_ROLE` (3): refused, the application does not serve this role.
    UnknownRole,
    /// Any other octet.
    Other(u8),
}

impl ProtocolStatus {
    /// The status with this octet.
    #[must_use]
    pub const fn from_u8(octet: u8) -> Self {
        match octet {
            0 => Self::RequestComplete,
            1 => Self::CantMultiplex,
            2 => Self::Overloaded,
            3 => Self::UnknownRole,
            other => Self::Other(other),
        }
    }

    /// The octet of this status.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::RequestComplete => 0,
            Self::CantMultiplex => 1,
            Self::Overloaded => 2,
            Self::UnknownRole => 3,
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for ProtocolStatus {
    /// The specification's name, such as `REQUEST_COMPLETE`; `status 200` for an unknown octet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestComplete => f.pad("REQUEST_COMPLETE"),
            Self::CantMultiplex => f.pad("CANT_MPX_CONN"),
            Self::Overloaded => f.pad("OVERLOADED"),
            Self::UnknownRole => f.pad("UNKNOWN_ROLE"),
            Self::Other(octet) => f.pad(&format!("status {octet}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives() {
        for octet in 0..=u8::MAX {
            assert_eq!(RecordType::from_u8(octet).to_u8(), octet);
            assert_eq!(ProtocolStatus::from_u8(octet).to_u8(), octet);
        }
        for number in 0..=u16::MAX {
            assert_eq!(Role::from_u16(number).to_u16(), number);
        }
    }
}
