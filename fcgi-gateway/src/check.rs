//! What is wrong with a request before anybody looks at its path.
//!
//! An HTTP server in front may have refused the same already; a service cannot know, and an application behind a
//! gateway must not see what would mean one thing to us and another to it.

use bytes::Bytes;
use fcgi_proto::cgi::environment::host_name;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
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

/// Exactly one usable host, unless the request is of HTTP/1.0 (RFC 9112, section 3.2). Over HTTP/2 two that differ are
/// a mistake (RFC 9113, section 8.3.1); over HTTP/1.1 the one in the target counts.
fn host(parts: &Parts) -> Result<(), Page> {
    let named = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    // RFC 9112, section 3.2.2, leaves user and password to the client.
    let named = named.map(|named| named.rsplit(|&byte| byte == b'@').next().unwrap_or(named));
    let mut hosts = parts.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if named.is_some() || parts.version <= Version::HTTP_10 => None,
        (Some(host), None) => Some(host),
        _ => return Err(Page::BAD_HOST),
    };
    let is_usable = |host: &[u8]| host.is_empty() || host_name(host).is_some();
    let differ = match (named, host) {
        (Some(named), Some(host)) => !named.eq_ignore_ascii_case(host),
        _ => false,
    };
    if [named, host].into_iter().flatten().all(is_usable)
        && !(differ && parts.version == Version::HTTP_2)
    {
        Ok(())
    } else {
        Err(Page::BAD_HOST)
    }
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
    fn hosts() {
        let http2 = Version::HTTP_2;
        let http11 = Version::HTTP_11;
        for (version, target, fields, is_fine) in [
            (http11, "/", &["example.org"][..], true),
            (http11, "/", &["example.org:8080"], true),
            (http11, "/", &["[::1]:80"], true),
            (http11, "/", &[""], true),
            (http11, "/", &[], false),
            (Version::HTTP_10, "/", &[], true),
            (http11, "/", &["a", "a"], false),
            (http11, "/", &["a/b"], false),
            (http11, "/", &["user@a"], false),
            (http11, "/", &["a:99999"], false),
            (http11, "/", &["[::1"], false),
            (http11, "/", &["[1]"], false),
            (http11, "http://a/", &["b"], true),
            (http11, "http://a/", &["b/c"], false),
            (http11, "http://a:99999/", &["a"], false),
            (http11, "http://user:secret@a/", &["a"], true),
            (http2, "https://a/", &[], true),
            (http2, "https://a:8443/", &["A:8443"], true),
            (http2, "https://a/", &["b"], false),
        ] {
            let mut request = http::Request::builder().version(version).uri(target);
            for field in fields {
                request = request.header(header::HOST, *field);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let expected = if is_fine { Ok(()) } else { Err(Page::BAD_HOST) };
            assert_eq!(host(&parts), expected, "{version:?} {target} {fields:?}");
        }
    }

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
