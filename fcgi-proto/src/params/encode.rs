use alloc::vec::Vec;
use core::fmt;

use super::Params;
use crate::wire::{HEADER_LEN, Header, MAX_CONTENT, RecordType, encode_length};

/// Appends `pairs` to `out` as a whole stream of PARAMS records, the empty one at its end included (section 5.2).
///
/// A record is filled with whole pairs, and the next one begins where a pair no longer fits: php-fpm, flup, uWSGI,
/// ruby and node read each record by itself and lose or refuse a pair that is cut in two. No record has padding.
///
/// # Errors
/// [`PairError`]; `out` is as it was before then.
///
/// ```
/// use fcgi_proto::params;
///
/// let mut out = Vec::new();
/// params::encode(&mut out, 1, [("A", "yz")])?;
/// assert_eq!(out, b"\x01\x04\x00\x01\x00\x05\x00\x00\x01\x02Ayz\x01\x04\x00\x01\x00\x00\x00\x00");
/// # Ok::<(), params::PairError>(())
/// ```
pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    request_id: u16,
    pairs: impl IntoIterator<Item = (N, V)>,
) -> Result<(), PairError> {
    encode_pairs(out, request_id, pairs, OversizedPair::Refuse)
}

/// A pair cannot be sent.
///
/// ```
/// use fcgi_proto::params::{self, PairError};
///
/// let error = params::encode(&mut Vec::new(), 1, [("A", "x".repeat(70_000))]);
/// assert_eq!(error, Err(PairError::TooLarge { name_len: 1, value_len: 70_000 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PairError {
    /// The pair takes more than the 65,535 bytes of one record, and must not be cut.
    TooLarge {
        /// Bytes in the name.
        name_len: usize,
        /// Bytes in the value.
        value_len: usize,
    },
    /// The name or the value is longer than 2,147,483,647 bytes, the most that the encoding can say.
    LengthTooLarge {
        /// The length in bytes.
        found: usize,
    },
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLarge { name_len, value_len } => write!(
                f,
                "pair of {name_len} and {value_len} bytes does not fit one record of {MAX_CONTENT} bytes"
            ),
            Self::LengthTooLarge { found } => {
                write!(f, "name or value of {found} bytes is longer than 2147483647")
            }
        }
    }
}

impl core::error::Error for PairError {}

/// What to do with a pair that alone exceeds one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OversizedPair {
    Refuse,
    /// Legal, but only libfcgi, Go, gevent, Net::Async::FastCGI and AnyEvent::FCGI are known to take it.
    Split,
}

pub(crate) fn encode_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    request_id: u16,
    pairs: impl IntoIterator<Item = (N, V)>,
    oversized: OversizedPair,
) -> Result<(), PairError> {
    let start = out.len();
    let mut record = OpenRecord::begin(out, request_id);
    for (name, value) in pairs {
        if let Err(error) = record.pair(name.as_ref(), value.as_ref(), oversized) {
            out.truncate(start);
            return Err(error);
        }
    }
    record.end();
    Ok(())
}

/// [`encode_pairs`] for pairs that are encoded already: those that fit one record, as nearly all requests' do, go there as
/// they are.
pub(crate) fn encode_params(
    out: &mut Vec<u8>,
    request_id: u16,
    params: &Params,
    oversized: OversizedPair,
) -> Result<(), PairError> {
    let encoded = params.as_encoded();
    if encoded.len() > usize::from(MAX_CONTENT) {
        return encode_pairs(out, request_id, params, oversized);
    }
    // With the header of the record before it and that of the end after it.
    out.reserve(encoded.len() + 2 * HEADER_LEN);
    let record = OpenRecord::begin(out, request_id);
    record.out.extend_from_slice(encoded);
    record.end();
    Ok(())
}

/// Appends one pair without a record around it.
#[inline(always)]
pub(crate) fn push_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), PairError> {
    if name.len() < 0x80 && value.len() < 0x80 {
        // Nearly all pairs: each length is its lowest byte.
        let ([name_len, ..], [value_len, ..]) =
            (name.len().to_le_bytes(), value.len().to_le_bytes());
        out.extend_from_slice(&[name_len, value_len]);
    } else {
        push_lengths(out, name.len(), value.len())?;
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    Ok(())
}

#[inline(never)]
fn push_lengths(out: &mut Vec<u8>, name_len: usize, value_len: usize) -> Result<(), PairError> {
    let encode = |len| encode_length(len).ok_or(PairError::LengthTooLarge { found: len });
    let (name_len, value_len) = (encode(name_len)?, encode(value_len)?);
    out.extend_from_slice(name_len.as_slice());
    out.extend_from_slice(value_len.as_slice());
    Ok(())
}

/// A PARAMS record whose header is written once its length is known.
struct OpenRecord<'o> {
    out: &'o mut Vec<u8>,
    request_id: u16,
    /// Where its content begins.
    start: usize,
}

impl<'o> OpenRecord<'o> {
    fn begin(out: &'o mut Vec<u8>, request_id: u16) -> Self {
        out.extend_from_slice(&[0; HEADER_LEN]);
        let start = out.len();
        Self { out, request_id, start }
    }

    #[inline(always)]
    fn pair(
        &mut self,
        name: &[u8],
        value: &[u8],
        oversized: OversizedPair,
    ) -> Result<(), PairError> {
        if name.len().saturating_add(value.len()) > usize::from(MAX_CONTENT) {
            Self::check_oversized(name, value, oversized)?;
        }
        // Written behind what is there and judged by the result: pairs nearly always fit.
        let before = self.out.len();
        push_pair(self.out, name, value)?;
        if self.fits_one(self.start) {
            return Ok(());
        }
        if !self.fits_one(before) && oversized == OversizedPair::Refuse {
            return Err(too_large(name, value));
        }
        self.move_to_next(before);
        Ok(())
    }

    /// Judges a pair that fits no record before it is copied: it may have gigabytes.
    #[cold]
    fn check_oversized(
        name: &[u8],
        value: &[u8],
        oversized: OversizedPair,
    ) -> Result<(), PairError> {
        for len in [name.len(), value.len()] {
            encode_length(len).ok_or(PairError::LengthTooLarge { found: len })?;
        }
        match oversized {
            OversizedPair::Refuse => Err(too_large(name, value)),
            OversizedPair::Split => Ok(()),
        }
    }

    /// Moves the pair that begins at `from`, and does not fit any more, to the next record, or to several.
    #[cold]
    fn move_to_next(&mut self, from: usize) {
        let pair = self.out.split_off(from);
        self.close();
        for part in pair.chunks(usize::from(MAX_CONTENT)) {
            if self.out.len() > self.start {
                self.close();
            }
            self.out.extend_from_slice(part);
        }
    }

    /// Whether what was written from `from` on fits one record.
    fn fits_one(&self, from: usize) -> bool {
        self.out.len() - from <= usize::from(MAX_CONTENT)
    }

    /// Writes the header of this record and begins the next; does nothing on an empty one.
    fn close(&mut self) {
        if self.out.len() == self.start {
            return;
        }
        self.write_header();
        self.out.extend_from_slice(&[0; HEADER_LEN]);
        self.start = self.out.len();
    }

    /// Closes the record and leaves the empty one that ends the stream.
    fn end(mut self) {
        self.close();
        self.write_header();
    }

    fn write_header(&mut self) {
        let len = u16::try_from(self.out.len() - self.start)
            .expect("a record is closed before it exceeds 65,535 bytes");
        let header = Header::new(RecordType::Params, self.request_id, len).encode();
        let at = self.start - HEADER_LEN;
        if let Some(place) = self.out.get_mut(at..self.start) {
            place.copy_from_slice(&header);
        }
    }
}

#[cold]
fn too_large(name: &[u8], value: &[u8]) -> PairError {
    PairError::TooLarge { name_len: name.len(), value_len: value.len() }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn encoded_pairs_go_as_others_do() {
        let max = usize::from(MAX_CONTENT);
        // The second pair has 2 bytes of lengths, or 5, a name of 1 and this value.
        for (pairs, value_len) in
            [(0, 0), (1, 0), (2, 1), (2, max - 13), (2, max - 12), (2, 60_000)]
        {
            let value = vec![b'x'; value_len];
            let pairs = [(b"A", &b"1234"[..]), (b"B", &value)].into_iter().take(pairs);
            let params: Params = pairs.clone().collect();
            let (mut one, mut other) = (vec![7], vec![7]);
            encode_pairs(&mut one, 3, pairs, OversizedPair::Refuse).unwrap();
            encode_params(&mut other, 3, &params, OversizedPair::Refuse).unwrap();
            assert_eq!(one, other, "{} bytes", params.encoded_len());
        }
        let large: Params = [("A", vec![b'x'; max])].into_iter().collect();
        let mut out = vec![7];
        assert!(encode_params(&mut out, 3, &large, OversizedPair::Refuse).is_err());
        assert_eq!(out, [7]);
        assert!(encode_params(&mut out, 3, &large, OversizedPair::Split).is_ok());
    }
}
