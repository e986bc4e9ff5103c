//! What is wrong with a request before anybody looks at its path.
//!
//! An HTTP server in front may have refused the same already; a service cannot know, and an application behind a
//! gateway must not see what would mean one thing to us and another to it.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Response, StatusCode, Version};

use crate::Body;
use crate::pages::Page;

/// Refuses requests that no part of the gateway may answer.
pub(crate) fn request(parts: &Parts) -> Result<(), Page> {
    method(&parts.method)?;
    transfer_coding(&parts.headers)?;
    host(parts)
}

/// TRACE would show a script's reader the cookies that browsers hide from scripts, and CONNECT is for proxies.
fn method(method: &Method) -> Result<(), Page> {
    match *method {
        Method::TRACE | Method::CONNECT => Err(Page::REFUSED_METHOD),
        _ => Ok(()),
    }
}

/// Only `chunked`, which the server has taken off already (RFC 9112, section 6.1: 501 for what is not understood).
fn transfer_coding(headers: &HeaderMap) -> Result<(), Page> {
    let codings = headers.get_all(header::TRANSFER_ENCODING);
    let mut codings = codings
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    match (codings.next(), codings.next()) {
        (None, None) => Ok(()),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Page::UNKNOWN_CODING),
    }
}

/// Exactly one usable host, unless the request is of HTTP/1.0 (RFC 9112, section 3.2).
fn host(parts: &Parts) -> Result<(), Page> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let is_named = parts.uri.authority().is_some();
    match (hosts.next(), hosts.next()) {
        (None, _) if is_named || parts.version <= Version::HTTP_10 => Ok(()),
        (Some(host), None) if host.is_empty() || is_authority(host) => Ok(()),
        _ => Err(Page::BAD_HOST),
    }
}

fn is_authority(host: &HeaderValue) -> bool {
    !host.as_bytes().contains(&b'@') && Authority::try_from(host.as_bytes()).is_ok()
}

/// Whether a request asks about the server as a whole (RFC 9110, section 9.3.7).
pub(crate) fn is_about_server(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.uri.path() == "*"
}

/// The answer to such a request.
pub(crate) fn about_server() -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
    response
}

/// What a script may be asked with, besides methods of its own.
pub(crate) const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_codings() {
        for (fields, is_fine) in [
            (&[][..], true),
            (&["chunked"], true),
            (&["Chunked "], true),
            (&["gzip, chunked"], false),
            (&["gzip", "chunked"], false),
            (&["chunked, chunked"], false),
            (&["identity"], false),
            (&["x"], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::TRANSFER_ENCODING, field.parse().unwrap());
            }
            let expected = if is_fine { Ok(()) } else { Err(Page::UNKNOWN_CODING) };
            assert_eq!(transfer_coding(&headers), expected, "{fields:?}");
        }
    }
}
