//! What can go wrong, sorted by whose fault it is.
//!
//! [`ProtocolError`] is the peer's and fatal to the connection. [`BeginError`] and [`SendError`] are about a call of
//! our own side, which then did nothing.

use core::fmt;

use crate::wire::RecordType;

/// The peer broke the protocol. Fatal to the connection, and repeated by every later call.
///
/// ```
/// use fcgi_proto::{ProtocolError, RecordType};
///
/// let error = ProtocolError::BodyLength { record_type: RecordType::EndRequest, found: 4 };
/// assert_eq!(error.to_string(), "END_REQUEST record has a body of 4 bytes, expected 8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The very first byte was not that of a record: the peer speaks another protocol.
    ///
    /// Said at once, with as many of the bytes as have come: to wait for more would be to wait for a peer that may itself
    /// wait for a greeting. So two reads that are cut differently can give different bytes; one read nearly always has
    /// enough to tell what the peer is.
    NotFastCgi(FirstBytes),
    /// The version octet of a later record was not 1, so its length cannot be trusted (section 3.3).
    UnsupportedVersion(u8),
    /// A body of fixed size had another size (sections 4.2, 5.1 and 5.5).
    BodyLength {
        /// The record's type.
        record_type: RecordType,
        /// Its content length in bytes.
        found: u16,
    },
    /// A record that only the other side may send, such as STDIN from an application.
    WrongDirection {
        /// The record's type.
        record_type: RecordType,
    },
    /// A record that belongs to a request had the id 0 of management records (section 3.3).
    NullRequestId {
        /// The record's type.
        record_type: RecordType,
    },
    /// A record for a request that was never begun on this connection.
    UnknownRequestId {
        /// The record's type.
        record_type: RecordType,
        /// The id it carried.
        request_id: u16,
    },
    /// BEGIN_REQUEST for an id that is still in use (section 3.3).
    RequestIdInUse {
        /// The id it carried.
        request_id: u16,
    },
    /// Stream data before the end of the stream that comes first, such as STDIN amid PARAMS (section 6.1).
    ///
    /// It ends the connection, as with php-fpm and libfcgi: no web server sends it, and a peer that has lost the order of
    /// one request cannot be trusted with the others.
    OutOfOrder {
        /// The record's type.
        record_type: RecordType,
        /// The id it carried.
        request_id: u16,
    },
    /// More records in a row than allowed were empty, unknown or for nobody.
    TooManyFreeRecords {
        /// The limit that was passed.
        limit: u32,
    },
    /// GET_VALUES or GET_VALUES_RESULT was larger than allowed.
    ValuesTooLarge {
        /// The limit in bytes.
        limit: u16,
    },
    /// The name-value pairs of GET_VALUES or GET_VALUES_RESULT run past their end (section 3.4).
    MalformedValues,
    /// The peer closed the connection in the middle of something.
    UnexpectedEof {
        /// How many requests had not ended.
        open_requests: usize,
        /// Whether a record was cut off.
        in_record: bool,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotFastCgi(first) => match first.looks_like() {
                Some(name) => write!(f, "peer speaks {name}, not FastCGI: it sent {first}"),
                None => write!(f, "peer does not speak FastCGI: it sent {first}"),
            },
            Self::UnsupportedVersion(version) => {
                write!(f, "record has version {version}, expected 1")
            }
            Self::BodyLength { record_type, found } => {
                write!(f, "{record_type} record has a body of {found} bytes, expected 8")
            }
            Self::WrongDirection { record_type } => {
                write!(f, "{record_type} record came from the wrong side")
            }
            Self::NullRequestId { record_type } => {
                write!(f, "{record_type} record has request id 0")
            }
            Self::UnknownRequestId { record_type, request_id } => {
                write!(f, "{record_type} record is for request {request_id}, which was never begun")
            }
            Self::RequestIdInUse { request_id } => {
                write!(f, "BEGIN_REQUEST for request {request_id}, which is open")
            }
            Self::OutOfOrder { record_type, request_id } => {
                write!(f, "{record_type} record for request {request_id} came before its turn")
            }
            Self::TooManyFreeRecords { limit } => {
                write!(f, "more than {limit} empty, unknown or stray records in a row")
            }
            Self::ValuesTooLarge { limit } => {
                write!(f, "values record is larger than {limit} bytes")
            }
            Self::MalformedValues => f.write_str("name-value pairs run past the end of the record"),
            Self::UnexpectedEof { open_requests, in_record } => {
                let place = if in_record { " inside a record" } else { "" };
                write!(f, "connection closed{place} with {open_requests} requests unanswered")
            }
        }
    }
}

impl core::error::Error for ProtocolError {}

/// The first bytes that a peer sent, when they are not FastCGI: enough to say what it is.
///
/// ```
/// use fcgi_proto::FirstBytes;
///
/// let first = FirstBytes::new(b"HTTP/1.1 400 Bad Request\r\n");
/// assert_eq!(first.looks_like(), Some("HTTP"));
/// assert_eq!(first.to_string(), r#""HTTP/1.1 400 Bad Request""#);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FirstBytes {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl FirstBytes {
    /// How many bytes are kept at most.
    pub const MAX: usize = 24;

    /// Keeps the front of `input`.
    #[must_use]
    pub fn new(input: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        let mut len = 0;
        for (to, from) in bytes.iter_mut().zip(input) {
            *to = *from;
            len += 1;
        }
        Self { bytes, len }
    }

    /// The bytes kept.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.split_at(usize::from(self.len)).0
    }

    /// The protocol that these bytes look like, where they are known: HTTP, HTML, TLS, SSH, Redis, MySQL, PostgreSQL,
    /// memcached, SMTP or FTP, POP3, IMAP, XML or JSON.
    #[must_use]
    pub fn looks_like(&self) -> Option<&'static str> {
        const KNOWN: [(&[u8], &str); 23] = [
            // An answer, and a request where somebody connects to an application.
            (b"HTTP/", "HTTP"),
            (b"GET ", "HTTP"),
            (b"POST ", "HTTP"),
            (b"HEAD ", "HTTP"),
            (b"PUT ", "HTTP"),
            (b"DELETE ", "HTTP"),
            (b"OPTIONS ", "HTTP"),
            (b"CONNECT ", "HTTP"),
            (b"PRI * HTTP/2", "HTTP/2"),
            (b"<?xml", "XML"),
            (b"<", "HTML"),
            (b"{", "JSON"),
            // Alert and handshake.
            (b"\x15\x03", "TLS"),
            (b"\x16\x03", "TLS"),
            (b"SSH-", "SSH"),
            // POP3 greets with the word that Redis says for yes.
            (b"-ERR", "Redis"),
            (b"-NOAUTH", "Redis"),
            (b"-DENIED", "Redis"),
            (b"+OK", "Redis or POP3"),
            (b"+PONG", "Redis"),
            (b"* OK", "IMAP"),
            (b"ERROR\r", "memcached"),
            (b"220", "SMTP or FTP"),
        ];
        match self.as_slice() {
            // A packet length of 3 bytes, packet 0, then protocol version 10 or an error such as "too many connections".
            [_, _, 0, 0, 10 | 0xff, ..] => return Some("MySQL"),
            // An error, with a length of 4 bytes and a severity behind it; or a message of old versions.
            [b'E', 0, 0, _, _, b'S', ..] | [b'E', b'F', b'A', b'T', b'A', b'L', ..] => {
                return Some("PostgreSQL");
            }
            // SETTINGS of HTTP/2 with content: a length in steps of 6, type 4, no flags, stream 0.
            [0, 0, len, 4, 0, 0, 0, 0, 0, ..] if len % 6 == 0 => return Some("HTTP/2"),
            _ => {}
        }
        KNOWN.iter().find(|(start, _)| self.as_slice().starts_with(start)).map(|(_, name)| *name)
    }
}

impl fmt::Display for FirstBytes {
    /// The bytes as a quoted string with the unprintable ones escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_slice().escape_ascii())
    }
}

impl fmt::Debug for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request could not begin. Nothing was sent.
///
/// ```
/// use fcgi_proto::{BeginError, Role, client};
///
/// let mut conn = client::Connection::new(client::Config::default().keep_conn(true));
/// conn.begin(Role::Responder, [("SCRIPT_NAME", "/a")])?;
/// let error = conn.begin(Role::Responder, [("SCRIPT_NAME", "/b")]).unwrap_err();
/// assert_eq!(error, BeginError::TooManyRequests { limit: 1 });
/// # Ok::<(), BeginError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeginError {
    /// As many requests as allowed are open on this connection.
    TooManyRequests {
        /// How many are allowed.
        limit: u16,
    },
    /// The connection takes no further requests: an earlier one asked to close it, or it failed.
    Closing,
    /// The output held is at its cap: write some of it first.
    Blocked,
    /// A name-value pair does not fit one record, and peers such as php-fpm refuse a pair that is cut in two.
    PairTooLarge {
        /// Bytes in the name.
        name_len: usize,
        /// Bytes in the value.
        value_len: usize,
    },
    /// A name or value is longer than the 2^31 - 1 bytes that its length can say (section 3.4).
    LengthTooLarge {
        /// The length in bytes.
        found: usize,
    },
    /// The names that GET_VALUES is to ask for are longer than allowed.
    ValuesTooLarge {
        /// Their length in bytes, as pairs.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for BeginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooManyRequests { limit } => {
                write!(f, "{limit} requests are open on this connection already")
            }
            Self::Closing => f.write_str("connection takes no further requests"),
            Self::Blocked => f.write_str("output is at its cap"),
            Self::PairTooLarge { name_len, value_len } => write!(
                f,
                "parameter with a name of {name_len} and a value of {value_len} bytes does not fit one record of 65535 bytes"
            ),
            Self::LengthTooLarge { found } => {
                write!(f, "name or value of {found} bytes is longer than 2147483647")
            }
            Self::ValuesTooLarge { found, limit } => {
                write!(f, "names to ask for take {found} bytes, more than {limit}")
            }
        }
    }
}

impl core::error::Error for BeginError {}

/// Data was not taken, all of it.
///
/// ```
/// use fcgi_proto::{BeginError, Role, SendError, client};
///
/// let mut conn = client::Connection::new(client::Config::default());
/// let key = conn.begin(Role::Responder, [("SCRIPT_NAME", "/a")])?;
/// let mut request = conn.request(key).expect("it is open");
/// assert_eq!(request.finish(), Ok(()));
/// assert_eq!(request.stdin("late"), Err(SendError::Finished));
/// # Ok::<(), BeginError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The output held is at its cap: write some of it, then offer the same data again.
    Blocked,
    /// The stream was ended before.
    Finished,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "output is at its cap",
            Self::Finished => "stream was ended before",
        })
    }
}

impl core::error::Error for SendError {}
