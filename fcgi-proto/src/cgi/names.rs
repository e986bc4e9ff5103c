//! Bytes of header names and forms, shared by both directions.

use alloc::vec::Vec;

use memchr::memchr;

/// A token (RFC 9110 section 5.6.2): what the name of a header may be.
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && token_len(name) == name.len()
}

/// How many bytes at the front may be in a token.
pub(super) fn token_len(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| VARIABLE_BYTES[usize::from(byte)] != NO_TOKEN).count()
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Without blanks and tabs at either end; unlike `trim_ascii`, nothing else.
pub(super) const fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Appends pairs as `application/x-www-form-urlencoded`, behind those that are there.
pub(crate) fn form_encode<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    pairs: impl IntoIterator<Item = (K, V)>,
) {
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push(b'&');
        }
        form_encode_text(out, name.as_ref());
        out.push(b'=');
        form_encode_text(out, value.as_ref());
    }
}

fn form_encode_text(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => percent_encode(out, byte),
        }
    }
}

pub(crate) fn percent_encode(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

/// Appends the variable that a request header becomes: `X-Foo` is `HTTP_X_FOO` (RFC 3875 section 4.1.18).
///
/// False, and nothing appended, when `header` is no token.
pub(crate) fn header_variable(out: &mut Vec<u8>, header: &[u8]) -> bool {
    let before = out.len();
    let is_content = [&b"Content-Type"[..], b"Content-Length"]
        .iter()
        .any(|name| header.eq_ignore_ascii_case(name));
    out.reserve(HTTP.len() + header.len());
    if !is_content {
        out.extend_from_slice(HTTP);
    }
    out.extend(header.iter().map(|&byte| VARIABLE_BYTES[usize::from(byte)]));
    let is_token =
        !header.is_empty() && memchr(NO_TOKEN, out.get(before..).unwrap_or(&[])).is_none();
    if !is_token {
        out.truncate(before);
    }
    is_token
}

/// What becomes of a byte of a token; one that can be in none becomes [`NO_TOKEN`].
const VARIABLE_BYTES: [u8; 256] = {
    let mut table = [NO_TOKEN; 256];
    let mut byte = 0;
    while byte < 128 {
        if is_token_byte(byte) {
            table[byte as usize] = if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
        }
        byte += 1;
    }
    table
};

const NO_TOKEN: u8 = 0;

const HTTP: &[u8] = b"HTTP_";

/// Whether a request has one such header at most, so that joining repeats would break it.
pub(crate) fn is_single_valued(header: &[u8]) -> bool {
    const SINGLE: [&[u8]; 10] = [
        b"Authorization",
        b"Content-Length",
        b"Content-Type",
        b"Host",
        b"If-Modified-Since",
        b"If-Range",
        b"If-Unmodified-Since",
        b"Range",
        b"Referer",
        b"User-Agent",
    ];
    SINGLE.iter().any(|name| header.eq_ignore_ascii_case(name))
}
