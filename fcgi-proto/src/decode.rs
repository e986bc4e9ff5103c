//! From bytes to pieces of records, for both sides.
//!
//! A [`Decoder`] looks at headers only. Content is lent from the caller's buffer as it arrives: a record of 64 KiB that
//! comes in nine reads is delivered in nine pieces and never collected. What the decoder keeps of its own is at most a
//! header that was split between two reads, or one fixed body of 8 bytes.
//!
//! It does not know which side it serves, and passes no judgement on record types and ids; that is the business of
//! [`client::Connection`](crate::client::Connection) and [`server::Connection`](crate::server::Connection).
//!
//! ```
//! use fcgi_proto::{RecordType, decode::{Decoder, Piece}};
//!
//! let mut decoder = Decoder::new();
//! let mut input: &[u8] = b"\x01\x06\x00\x01\x00\x05\x00\x00hel";
//! let Some(Piece::Content { header, data, .. }) = decoder.poll(&mut input)? else { panic!() };
//! assert_eq!((header.record_type, header.content_len, data), (RecordType::Stdout, 5, &b"hel"[..]));
//! assert!(input.is_empty()); // the read buffer may be used again
//! # Ok::<(), fcgi_proto::ProtocolError>(())
//! ```

use crate::error::{FirstBytes, ProtocolError};
use crate::wire::{BODY_LEN, HEADER_LEN, Header, UnsupportedVersion, VERSION};

/// Cuts a byte stream into pieces of records (section 3.3); see the [module](self).
///
/// ```
/// use fcgi_proto::decode::Decoder;
///
/// let mut decoder = Decoder::new();
/// let mut input: &[u8] = b"\x01\x06\x00"; // a header that is cut is kept inside
/// assert_eq!(decoder.poll(&mut input)?, None);
/// assert!(input.is_empty() && !decoder.is_between_records());
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// No header was complete yet, so a wrong version means that the peer speaks something else.
    is_fresh: bool,
}

/// A part of a record, as far as it has arrived.
///
/// ```
/// use fcgi_proto::decode::{Decoder, Piece};
///
/// let mut decoder = Decoder::new();
/// for read in [&b"\x01\x06\x00\x01\x00\x05\x00\x00hel"[..], b"lo"] {
///     let mut input = read;
///     while let Some(piece) = decoder.poll(&mut input)? {
///         assert_eq!((piece.is_first(), piece.is_last()), (read.len() > 2, read.len() == 2));
///         let Piece::Content { offset, data, .. } = piece else { panic!("STDOUT has no fixed body") };
///         assert_eq!(&b"hello"[usize::from(offset)..][..data.len()], data);
///     }
/// }
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece<'b> {
    /// A whole record with a fixed body: BEGIN_REQUEST, END_REQUEST or UNKNOWN_TYPE.
    Body {
        /// The record's header.
        header: Header,
        /// Its eight bytes.
        body: [u8; BODY_LEN],
    },
    /// The next bytes of any other record. A record without content yields one piece with empty `data`.
    Content {
        /// The record's header.
        header: Header,
        /// How many bytes of this record's content were delivered before.
        offset: u16,
        /// The bytes, lent from the input.
        data: &'b [u8],
    },
}

/// Where a record stands.
///
/// ```text
///                     ┌─ 8 bytes ─> Body ────8 bytes────┐
/// Start ──> Header ───┤                                 ├──> Padding ──padding_len──> Start
///             │       └─ 8 bytes ─> Content ─content_len┘
///             └─ version is not 1, or a fixed body has another size ──> Failed (for good)
/// ```
/// A record that is there as a whole goes from Start to Start.
#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Header { buf: [u8; HEADER_LEN], filled: u8 },
    Body { header: Header, buf: [u8; BODY_LEN], filled: u8 },
    Content { header: Header, offset: u16 },
    Padding { left: u8 },
    Failed(ProtocolError),
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Start, is_fresh: true }
    }

    /// Takes the next piece from the front of `input`; `None` means that `input` is used up.
    ///
    /// # Errors
    /// [`NotFastCgi`](ProtocolError::NotFastCgi), [`UnsupportedVersion`](ProtocolError::UnsupportedVersion) or
    /// [`BodyLength`](ProtocolError::BodyLength). Framing is lost then, and every later call returns the same error.
    pub fn poll<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, ProtocolError> {
        loop {
            match self.state {
                State::Start if input.is_empty() => return Ok(None),
                State::Start => self.state = State::Header { buf: [0; HEADER_LEN], filled: 0 },
                State::Header { buf, filled } => {
                    let Some(header) = self.header(buf, filled, input)? else {
                        return Ok(None);
                    };
                    self.is_fresh = false;
                    if header.record_type.has_fixed_body() {
                        self.begin_body(header)?;
                    } else if header.content_len == 0 {
                        self.state = State::after_content(header);
                        return Ok(Some(Piece::Content { header, offset: 0, data: &[] }));
                    } else {
                        self.state = State::Content { header, offset: 0 };
                    }
                }
                State::Content { header, offset } => {
                    return Ok(self.content(header, offset, input));
                }
                State::Body { header, mut buf, mut filled } => {
                    if !fill(&mut buf, &mut filled, input) {
                        self.state = State::Body { header, buf, filled };
                        return Ok(None);
                    }
                    self.state = State::after_content(header);
                    return Ok(Some(Piece::Body { header, body: buf }));
                }
                State::Padding { left } => {
                    let skipped = input.len().min(usize::from(left));
                    *input = input.split_at(skipped).1;
                    let left = left - u8::try_from(skipped).unwrap_or(left);
                    if left > 0 {
                        self.state = State::Padding { left };
                        return Ok(None);
                    }
                    self.state = State::Start;
                }
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// The next record, if it is here as a whole: header, content, and what follows its padding. To take it, go on with
    /// what follows and call [`skip_whole`](Self::skip_whole).
    ///
    /// The short way for most records, which need no state. [`poll`](Self::poll) is the way for all.
    #[inline]
    pub(crate) fn peek_whole<'b>(&self, input: &'b [u8]) -> Option<(Header, &'b [u8], &'b [u8])> {
        if !self.is_between_records() {
            return None;
        }
        let (bytes, rest) = input.split_first_chunk()?;
        let header = Header::decode(*bytes).ok()?;
        let (data, rest) = rest.split_at_checked(usize::from(header.content_len))?;
        Some((header, data, rest.get(usize::from(header.padding_len)..)?))
    }

    /// Takes the record that [`peek_whole`](Self::peek_whole) shows, unless it is one with a fixed body of another size.
    #[inline]
    pub(crate) fn take_whole<'b>(&mut self, input: &mut &'b [u8]) -> Option<(Header, &'b [u8])> {
        let (header, data, rest) = self.peek_whole(input)?;
        if header.record_type.has_fixed_body() && data.len() != BODY_LEN {
            return None;
        }
        *input = rest;
        self.skip_whole();
        Some((header, data))
    }

    /// The record that [`peek_whole`](Self::peek_whole) showed is taken.
    #[inline]
    pub(crate) fn skip_whole(&mut self) {
        self.is_fresh = false;
    }

    /// Whether the stream stands between two records, the only place where it may end.
    #[must_use]
    pub const fn is_between_records(&self) -> bool {
        matches!(self.state, State::Start)
    }

    #[inline]
    fn header(
        &mut self,
        mut buf: [u8; HEADER_LEN],
        mut filled: u8,
        input: &mut &[u8],
    ) -> Result<Option<Header>, ProtocolError> {
        let bytes = match input.split_first_chunk() {
            Some((bytes, rest)) if filled == 0 && bytes[0] == VERSION => {
                *input = rest;
                *bytes
            }
            _ => {
                // The version is the first octet, so a stranger is known by its first byte.
                let first = if filled == 0 { input.first() } else { None };
                if let Some(&version) = first.filter(|&&version| version != VERSION) {
                    return Err(self.fail_version(version, input));
                }
                if !fill(&mut buf, &mut filled, input) {
                    self.state = State::Header { buf, filled };
                    return Ok(None);
                }
                buf
            }
        };
        match Header::decode(bytes) {
            Ok(header) => Ok(Some(header)),
            Err(UnsupportedVersion(version)) => Err(self.fail_version(version, &bytes)),
        }
    }

    #[inline]
    fn content<'b>(
        &mut self,
        header: Header,
        offset: u16,
        input: &mut &'b [u8],
    ) -> Option<Piece<'b>> {
        if input.is_empty() {
            return None;
        }
        let left = header.content_len - offset;
        // More than the record still holds means: all that it still holds.
        let taken = u16::try_from(input.len()).map_or(left, |len| len.min(left));
        let (data, rest) = input.split_at(usize::from(taken));
        *input = rest;
        self.state = if taken == left {
            State::after_content(header)
        } else {
            State::Content { header, offset: offset + taken }
        };
        Some(Piece::Content { header, offset, data })
    }

    fn begin_body(&mut self, header: Header) -> Result<(), ProtocolError> {
        if usize::from(header.content_len) != BODY_LEN {
            return Err(self.fail(ProtocolError::BodyLength {
                record_type: header.record_type,
                found: header.content_len,
            }));
        }
        self.state = State::Body { header, buf: [0; BODY_LEN], filled: 0 };
        Ok(())
    }

    #[cold]
    fn fail_version(&mut self, version: u8, input: &[u8]) -> ProtocolError {
        self.fail(if self.is_fresh {
            ProtocolError::NotFastCgi(FirstBytes::new(input))
        } else {
            ProtocolError::UnsupportedVersion(version)
        })
    }

    /// Gives the stream up, for an error here or one that the caller found.
    pub(crate) fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error);
        error
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Piece<'_> {
    /// The header of the record that this is a part of.
    #[must_use]
    pub const fn header(&self) -> Header {
        match *self {
            Self::Body { header, .. } | Self::Content { header, .. } => header,
        }
    }

    /// Whether no piece of the same record came before.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        matches!(self, Self::Body { .. } | Self::Content { offset: 0, .. })
    }

    /// Whether no piece of the same record follows.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        match *self {
            Self::Body { .. } => true,
            Self::Content { header, offset, data } => {
                offset as usize + data.len() == header.content_len as usize
            }
        }
    }
}

impl State {
    const fn after_content(header: Header) -> Self {
        match header.padding_len {
            0 => Self::Start,
            left => Self::Padding { left },
        }
    }
}

/// Moves bytes from `input` to `buf` behind the `filled` ones; true once all eight are there.
fn fill(buf: &mut [u8; 8], filled: &mut u8, input: &mut &[u8]) -> bool {
    let Some(room) = buf.get_mut(usize::from(*filled)..) else {
        return true;
    };
    let taken = room.len().min(input.len());
    let (data, rest) = input.split_at(taken);
    room.split_at_mut(taken).0.copy_from_slice(data);
    *input = rest;
    *filled += u8::try_from(taken).unwrap_or(0);
    usize::from(*filled) == buf.len()
}
