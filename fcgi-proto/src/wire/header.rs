use core::fmt;

use super::RecordType;

/// `FCGI_VERSION_1`, the only version there is.
pub const VERSION: u8 = 1;
/// `FCGI_HEADER_LEN`: the size of a record's header in bytes.
pub const HEADER_LEN: usize = 8;
/// `FCGI_MAX_LENGTH`: the largest content of one record in bytes.
pub const MAX_CONTENT: u16 = u16::MAX;
/// `FCGI_NULL_REQUEST_ID`: the id of management records (section 3.3).
pub const NULL_REQUEST_ID: u16 = 0;

/// The eight bytes before a record's content (section 3.3).
///
/// The reserved octet is written as zero and ignored on input.
///
/// ```
/// use fcgi_proto::wire::{Header, RecordType};
///
/// let header = Header::decode([1, 3, 0xff, 0xff, 0, 8, 0, 0])?;
/// assert_eq!(header.record_type, RecordType::EndRequest);
/// assert_eq!(header.request_id, 65_535);
/// # Ok::<(), fcgi_proto::wire::UnsupportedVersion>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the record is.
    pub record_type: RecordType,
    /// Which request it belongs to; 0 for management records.
    pub request_id: u16,
    /// Bytes of content that follow.
    pub content_len: u16,
    /// Bytes of padding after the content, to be skipped.
    pub padding_len: u8,
}

impl Header {
    /// A header without padding.
    #[must_use]
    pub const fn new(record_type: RecordType, request_id: u16, content_len: u16) -> Self {
        Self { record_type, request_id, content_len, padding_len: 0 }
    }

    /// The bytes of this header.
    #[must_use]
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [id1, id0] = self.request_id.to_be_bytes();
        let [len1, len0] = self.content_len.to_be_bytes();
        [VERSION, self.record_type.to_u8(), id1, id0, len1, len0, self.padding_len, 0]
    }

    /// The header in these bytes.
    ///
    /// # Errors
    /// [`UnsupportedVersion`] when the first octet is not 1: nothing after it can be trusted then, not even the
    /// length.
    pub const fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, UnsupportedVersion> {
        let [version, record_type, id1, id0, len1, len0, padding_len, _reserved] = bytes;
        if version != VERSION {
            return Err(UnsupportedVersion(version));
        }
        Ok(Self {
            record_type: RecordType::from_u8(record_type),
            request_id: u16::from_be_bytes([id1, id0]),
            content_len: u16::from_be_bytes([len1, len0]),
            padding_len,
        })
    }

    /// Whether this is a management record, which speaks for the connection and not for a request (section 3.3).
    #[must_use]
    pub const fn is_management(self) -> bool {
        self.request_id == NULL_REQUEST_ID
    }
}

/// The version octet of a header was this and not 1.
///
/// ```
/// use fcgi_proto::wire::{Header, UnsupportedVersion};
///
/// assert_eq!(Header::decode(*b"HTTP/1.1"), Err(UnsupportedVersion(b'H')));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedVersion(pub u8);

impl fmt::Display for UnsupportedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record has version {}, expected {VERSION}", self.0)
    }
}

impl core::error::Error for UnsupportedVersion {}
