//! The bytes of a record: header, fixed bodies and name-value lengths (specification sections 3.3, 3.4 and 8).
//!
//! Arrays in, arrays out, all of it `const`. Nothing here knows which side it serves, and nothing here loses an
//! octet: an unknown record type, role or status keeps its number, so that it can be answered, logged or passed on.
//!
//! ```
//! use fcgi_proto::wire::{Header, RecordType};
//!
//! let header = Header { record_type: RecordType::Stdin, request_id: 1, content_len: 5, padding_len: 3 };
//! assert_eq!(header.encode(), [1, 5, 0, 1, 0, 5, 3, 0]);
//! assert_eq!(Header::decode(header.encode()), Ok(header));
//! ```

mod body;
mod header;
mod length;
mod record_type;

pub use body::{BODY_LEN, BeginRequest, EndRequest, UnknownType};
pub use header::{HEADER_LEN, Header, MAX_CONTENT, NULL_REQUEST_ID, UnsupportedVersion, VERSION};
pub use length::{EncodedLength, MAX_LENGTH, decode_length, encode_length};
pub use record_type::{ProtocolStatus, RecordType, Role};
