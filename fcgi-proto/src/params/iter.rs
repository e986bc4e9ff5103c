use core::fmt;
use core::iter::FusedIterator;

use crate::wire::decode_length;

/// The pairs of a [`Params`](super::Params), in order.
///
/// ```
/// use fcgi_proto::Params;
///
/// let params: Params = [("A", "1"), ("B", "2")].into_iter().collect();
/// let mut pairs = params.iter();
/// assert_eq!((pairs.len(), pairs.next()), (2, Some((&b"A"[..], &b"1"[..]))));
/// ```
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iter<'a> {
    pub(super) const fn new(encoded: &'a [u8], len: usize) -> Self {
        Self { rest: encoded, left: len }
    }

    /// How many bytes the pairs still to come take.
    pub(super) const fn rest_len(&self) -> usize {
        self.rest.len()
    }

    /// Walks the whole block and counts its pairs.
    pub(super) fn count_pairs(encoded: &[u8]) -> Result<usize, ParamsError> {
        let mut rest = encoded;
        let mut count = 0;
        while !rest.is_empty() {
            let offset = encoded.len() - rest.len();
            rest = skip_pair(rest).ok_or(ParamsError { offset })?;
            count += 1;
        }
        Ok(count)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let pair = take_pair(&mut self.rest)?;
        self.left -= 1;
        Some(pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

#[inline]
fn take_pair<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (name_len, value_len, input) = take_lengths(rest)?;
    let (name, input) = input.split_at_checked(name_len)?;
    let (value, input) = input.split_at_checked(value_len)?;
    *rest = input;
    Some((name, value))
}

/// What follows the pair at the front.
#[inline]
fn skip_pair(input: &[u8]) -> Option<&[u8]> {
    let (name_len, value_len, input) = take_lengths(input)?;
    input.get(name_len.checked_add(value_len)?..)
}

/// The lengths of the name and the value at the front, and what follows.
#[inline]
fn take_lengths(input: &[u8]) -> Option<(usize, usize, &[u8])> {
    match input {
        // Most are short.
        &[name_len @ ..0x80, value_len @ ..0x80, ref rest @ ..] => {
            Some((usize::from(name_len), usize::from(value_len), rest))
        }
        _ => take_long_lengths(input),
    }
}

fn take_long_lengths(mut input: &[u8]) -> Option<(usize, usize, &[u8])> {
    let name_len = take_length(&mut input)?;
    let value_len = take_length(&mut input)?;
    Some((name_len, value_len, input))
}

fn take_length(input: &mut &[u8]) -> Option<usize> {
    let (length, size) = decode_length(input)?;
    *input = input.get(size..)?;
    // On a 16-bit target a larger length cannot be in the buffer either.
    usize::try_from(length).ok()
}

/// A block of name-value pairs ends in the middle of one (section 3.4).
///
/// ```
/// use fcgi_proto::Params;
///
/// let error = Params::parse(*b"\x01\x01AxB").unwrap_err();
/// assert_eq!(error.to_string(), "name-value pair at byte 4 runs past the end");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamsError {
    /// Where in the block the pair begins that does not end.
    pub offset: usize,
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name-value pair at byte {} runs past the end", self.offset)
    }
}

impl core::error::Error for ParamsError {}
