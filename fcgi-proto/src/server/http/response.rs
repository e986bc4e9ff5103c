use alloc::vec::Vec;
use std::io::Write;

use http::StatusCode;
use http::header::{self, HeaderName};
use http::response::Parts;

use crate::cgi::is_about_connection;

/// Appends the head of a response as CGI has it: `Status`, the headers, an empty line.
///
/// `Status` is always there, so that a `Location` is never taken for a redirect inside the web server. `body_len` is the
/// length of the body, where it is known and no `Content-Length` among the headers says it; [`None`] leaves it to the web
/// server how the body ends. Left out are fields about a connection (RFC 9110 section 7.6.1), which are the web server's,
/// and a header that is itself called `Status`.
pub fn write_response_head(out: &mut Vec<u8>, parts: &Parts, body_len: Option<u64>) {
    let status = parts.status;
    // Writing to a `Vec` does not fail.
    let _ = match status.canonical_reason() {
        Some(reason) => write!(out, "Status: {} {reason}\r\n", status.as_str()),
        None => write!(out, "Status: {}\r\n", status.as_str()),
    };
    let connection = parts.headers.get_all(header::CONNECTION);
    for (name, value) in &parts.headers {
        let is_dropped = name == "status"
            || (name == header::CONTENT_LENGTH && status == StatusCode::NO_CONTENT)
            || is_about_connection(name.as_str(), b"")
            || connection.iter().any(|names| is_about_connection(name.as_str(), names.as_bytes()));
        if !is_dropped {
            push(out, name, value.as_bytes());
        }
    }
    let is_told = parts.headers.contains_key(header::CONTENT_LENGTH);
    if let Some(length) = body_len.filter(|_| !is_told && has_body(status)) {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a response of this status has a body at all, if the request was not HEAD.
#[must_use]
pub fn has_body(status: StatusCode) -> bool {
    !(status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
}

fn push(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
