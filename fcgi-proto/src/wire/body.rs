use super::{ProtocolStatus, Role};

/// The size of every fixed body in bytes.
pub const BODY_LEN: usize = 8;

const KEEP_CONN: u8 = 1;

/// The body of `FCGI_BEGIN_REQUEST` (section 5.1).
///
/// ```
/// use fcgi_proto::{Role, wire::BeginRequest};
///
/// let body = BeginRequest::new(Role::Responder, true);
/// assert_eq!(body.encode(), [0, 1, 1, 0, 0, 0, 0, 0]);
/// assert!(BeginRequest::decode([0, 1, 0xff, 0, 0, 0, 0, 0]).keep_conn());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginRequest {
    /// What is asked of the application.
    pub role: Role,
    /// The flags as they stand on the wire; bits other than `FCGI_KEEP_CONN` have no meaning yet.
    pub flags: u8,
}

impl BeginRequest {
    /// A body with just the `FCGI_KEEP_CONN` flag set or not.
    #[must_use]
    pub const fn new(role: Role, keep_conn: bool) -> Self {
        Self { role, flags: if keep_conn { KEEP_CONN } else { 0 } }
    }

    /// `FCGI_KEEP_CONN`: the application leaves the connection open after this request.
    #[must_use]
    pub const fn keep_conn(self) -> bool {
        self.flags & KEEP_CONN != 0
    }

    /// The bytes of this body; the reserved ones are zero.
    #[must_use]
    pub const fn encode(self) -> [u8; BODY_LEN] {
        let [role1, role0] = self.role.to_u16().to_be_bytes();
        [role1, role0, self.flags, 0, 0, 0, 0, 0]
    }

    /// The body in these bytes; the reserved ones are ignored.
    #[must_use]
    pub const fn decode(bytes: [u8; BODY_LEN]) -> Self {
        let [role1, role0, flags, ..] = bytes;
        Self { role: Role::from_u16(u16::from_be_bytes([role1, role0])), flags }
    }
}

/// The body of `FCGI_END_REQUEST` (section 5.5).
///
/// ```
/// use fcgi_proto::{ProtocolStatus, wire::EndRequest};
///
/// let body = EndRequest { app_status: 0xffff_ffff, protocol_status: ProtocolStatus::Overloaded };
/// assert_eq!(body.encode(), [0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0]);
/// assert_eq!(EndRequest::decode(body.encode()), body);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndRequest {
    /// The exit status a CGI program would have returned; libfcgi sends `-1` as 4,294,967,295.
    pub app_status: u32,
    /// Whether the request was served or refused.
    pub protocol_status: ProtocolStatus,
}

impl EndRequest {
    /// The bytes of this body; the reserved ones are zero.
    #[must_use]
    pub const fn encode(self) -> [u8; BODY_LEN] {
        let [app3, app2, app1, app0] = self.app_status.to_be_bytes();
        [app3, app2, app1, app0, self.protocol_status.to_u8(), 0, 0, 0]
    }

    /// The body in these bytes; the reserved ones are ignored (php-fpm leaves garbage in them).
    #[must_use]
    pub const fn decode(bytes: [u8; BODY_LEN]) -> Self {
        let [app3, app2, app1, app0, status, ..] = bytes;
        Self {
            app_status: u32::from_be_bytes([app3, app2, app1, app0]),
            protocol_status: ProtocolStatus::from_u8(status),
        }
    }
}

/// The body of `FCGI_UNKNOWN_TYPE` (section 4.2).
///
/// ```
/// use fcgi_proto::wire::UnknownType;
///
/// assert_eq!(UnknownType { record_type: 99 }.encode(), [99, 0, 0, 0, 0, 0, 0, 0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownType {
    /// The octet of the record that was not understood.
    pub record_type: u8,
}

impl UnknownType {
    /// The bytes of this body; the reserved ones are zero.
    #[must_use]
    pub const fn encode(self) -> [u8; BODY_LEN] {
        [self.record_type, 0, 0, 0, 0, 0, 0, 0]
    }

    /// The body in these bytes; the reserved ones are ignored.
    #[must_use]
    pub const fn decode(bytes: [u8; BODY_LEN]) -> Self {
        let [record_type, ..] = bytes;
        Self { record_type }
    }
}
