//! Minimal loops over the bytes: no state from one call to the next, no limits, and checks only where a slice needs one.

/// A record as far as the floor looks at it.
pub(crate) struct Record<'b> {
    pub(crate) record_type: u8,
    pub(crate) request_id: u16,
    pub(crate) content: &'b [u8],
}

pub(crate) const END_REQUEST: u8 = 3;
pub(crate) const PARAMS: u8 = 4;
pub(crate) const STDIN: u8 = 5;
pub(crate) const STDOUT: u8 = 6;

/// The record at the front, which must be whole.
#[inline]
pub(crate) fn take_record<'b>(input: &mut &'b [u8]) -> Option<Record<'b>> {
    let (&[version, record_type, id1, id0, len1, len0, padding, _], rest) =
        input.split_first_chunk()?;
    if version != 1 {
        return None;
    }
    let len = u16::from_be_bytes([len1, len0]);
    let (content, rest) = rest.split_at_checked(usize::from(len))?;
    *input = rest.get(usize::from(padding)..)?;
    Some(Record { record_type, request_id: u16::from_be_bytes([id1, id0]), content })
}

#[inline]
pub(crate) fn header(record_type: u8, len: usize) -> [u8; 8] {
    let [.., len1, len0] = len.to_be_bytes();
    [1, record_type, 0, 1, len1, len0, 0, 0]
}

/// BEGIN_REQUEST, and the pairs in one record with the empty one behind it. Short lengths take one byte.
#[inline]
pub(crate) fn push_request<S: AsRef<str>>(out: &mut Vec<u8>, pairs: &[(S, S)]) {
    out.extend_from_slice(&header(1, 8));
    out.extend_from_slice(&[0, 1, 1, 0, 0, 0, 0, 0]);
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    for (name, value) in pairs {
        let (name, value) = (name.as_ref(), value.as_ref());
        push_len(out, name.len());
        push_len(out, value.len());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let len = out.len() - start - 8;
    out[start..start + 8].copy_from_slice(&header(PARAMS, len));
    out.extend_from_slice(&header(PARAMS, 0));
}

#[inline]
fn push_len(out: &mut Vec<u8>, len: usize) {
    if len < 128 {
        out.push(len.to_be_bytes()[7]);
    } else {
        let [.., b3, b2, b1, b0] = len.to_be_bytes();
        out.extend_from_slice(&[b3 | 0x80, b2, b1, b0]);
    }
}

#[inline]
pub(crate) fn take_pair<'b>(input: &mut &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
    let name_len = take_len(input)?;
    let value_len = take_len(input)?;
    let (name, rest) = input.split_at_checked(name_len)?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    *input = rest;
    Some((name, value))
}

#[inline]
fn take_len(input: &mut &[u8]) -> Option<usize> {
    let (&first, rest) = input.split_first()?;
    *input = rest;
    if first < 128 {
        return Some(usize::from(first));
    }
    let (&[b2, b1, b0], rest) = input.split_first_chunk()?;
    *input = rest;
    usize::try_from(u32::from_be_bytes([first & 0x7f, b2, b1, b0])).ok()
}
