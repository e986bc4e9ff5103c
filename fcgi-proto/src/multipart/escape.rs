//! The head of one entry, with names that cannot break out of it.

use alloc::vec::Vec;

use super::bad_name;
use crate::error::FirstBytes;
use crate::request::RequestError;

/// Appends what stands between the boundary of an entry and its content.
pub(super) fn part_head(
    out: &mut Vec<u8>,
    name: &[u8],
    file_name: Option<&[u8]>,
    content_type: Option<&[u8]>,
) -> Result<(), RequestError> {
    out.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
    push_quoted(out, &with_crlf(name))?;
    if let Some(file_name) = file_name {
        out.extend_from_slice(b"; filename=\"");
        push_quoted(out, file_name)?;
    }
    let default: Option<&[u8]> = file_name.map(|_| b"application/octet-stream".as_slice());
    if let Some(content_type) = content_type.or(default) {
        if content_type.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
            return Err(RequestError::HeaderValue { name: FirstBytes::new(b"Content-Type") });
        }
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(content_type);
    }
    out.extend_from_slice(b"\r\n\r\n");
    Ok(())
}

/// Of a field's name, unlike that of a file, browsers make every line break CR LF first.
fn with_crlf(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for (at, &byte) in name.iter().enumerate() {
        match byte {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' if name.get(at + 1) == Some(&b'\n') => {}
            b'\r' => out.extend_from_slice(b"\r\n"),
            byte => out.push(byte),
        }
    }
    out
}

fn push_quoted(out: &mut Vec<u8>, name: &[u8]) -> Result<(), RequestError> {
    if name.contains(&0) || name.last() == Some(&b'\\') {
        return Err(bad_name(name));
    }
    for &byte in name {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'\r' => out.extend_from_slice(b"%0D"),
            b'\n' => out.extend_from_slice(b"%0A"),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
    Ok(())
}

/// What a boundary may be (RFC 2046 section 5.1.1), but for the blank, which no parser likes.
pub(super) fn is_boundary(boundary: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(byte);
    (1..=70).contains(&boundary.len()) && boundary.iter().all(is_allowed)
}
