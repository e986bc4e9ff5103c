//! Answers compressed on their way to clients that ask for it.
//!
//! tower-http compresses, and flushes whatever it holds as soon as the application pauses: what a script has flushed
//! reaches the client at once. Here is decided which answers are fit for it, and what else about them changes.

use core::convert::Infallible;
use core::future::{Ready, ready};
use core::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tower_http::compression::Compression;
use tower_http::compression::predicate::SizeAbove;
use tower_service::Service;

use crate::Body;

/// Among a response's extensions: the application wants it passed on as it comes (`X-Accel-Buffering: no`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unbuffered;

/// The response to a request, compressed if both are fit for it.
pub(crate) async fn compress(parts: &Parts, mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        confirm(&parts.headers, response.headers_mut());
        return response;
    }
    let length = length(&response);
    if !is_fit(&response) || length.is_some_and(|length| length < SHORTEST) {
        return response;
    }
    vary(response.headers_mut());
    let is_head = parts.method == Method::HEAD;
    // Whether a GET would be compressed may then depend on what only a GET brings.
    if is_head && length.is_none() {
        return response;
    }
    let status = response.status();
    let mut response = encode(&parts.headers, response).await;
    // tower-http makes it a 406 for a client that wants no encoding at all, not even none. It gets what there is.
    *response.status_mut() = status;
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        let weak = response.headers().get(header::ETAG).and_then(weakened);
        if let Some(weak) = weak {
            response.headers_mut().insert(header::ETAG, weak);
        }
        if is_head {
            *response.body_mut() = Body::absent();
        }
    }
    response
}

/// Shorter ones hardly shrink, in bytes.
const SHORTEST: u64 = 256;

async fn encode(asked: &HeaderMap, response: Response<Body>) -> Response<Body> {
    let mut request = Request::new(());
    for value in asked.get_all(header::ACCEPT_ENCODING) {
        request.headers_mut().append(header::ACCEPT_ENCODING, value.clone());
    }
    // What is fit has been decided.
    let mut service = Compression::new(Once(Some(response))).compress_when(SizeAbove::new(0));
    let Ok(response) = service.call(request).await;
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        response.map(Body::compressed)
    } else {
        response.map(tower_http::compression::CompressionBody::into_inner)
    }
}

/// A service with one answer, which it has already.
struct Once(Option<Response<Body>>);

impl Service<Request<()>> for Once {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        ready(Ok(self.0.take().unwrap_or_else(|| Response::new(Body::absent()))))
    }
}

fn is_fit(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let has_other_form = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
    );
    !has_other_form
        && response.extensions().get::<Unbuffered>().is_none()
        && !ABOUT_BYTES.iter().any(|name| headers.contains_key(name))
        && !is_final(headers)
        && headers.get(header::CONTENT_TYPE).is_some_and(is_compressible)
}

/// Fields that describe the very bytes of the body: it is compressed already, part of something, or has a checksum.
const ABOUT_BYTES: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
];

/// Whether nobody on the way may change it (RFC 9111, section 5.2.2.6).
fn is_final(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// Whether bodies of this type shrink. Events are left out, as each is too short and must not wait for the next.
fn is_compressible(content_type: &HeaderValue) -> bool {
    let name = content_type.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    let Ok(name) = core::str::from_utf8(name.trim_ascii()) else { return false };
    let name = name.to_ascii_lowercase();
    match name.split_once('/') {
        Some(("text", kind)) => kind != "event-stream",
        Some((_, kind)) => {
            COMPRESSIBLE.contains(&name.as_str())
                || kind.ends_with("+json")
                || kind.ends_with("+xml")
        }
        None => false,
    }
}

const COMPRESSIBLE: [&str; 9] = [
    "application/javascript",
    "application/json",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "font/otf",
    "font/ttf",
];

/// How long the body is, when that is known. That of HEAD has only what is said of it.
fn length(response: &Response<Body>) -> Option<u64> {
    let said = response.headers().get(header::CONTENT_LENGTH);
    said.and_then(|said| said.to_str().ok()?.parse().ok())
        .or_else(|| response.body().size_hint().exact())
}

/// Tells caches that clients get different answers.
fn vary(headers: &mut HeaderMap) {
    let is_told = headers
        .get_all(header::VARY)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(header::ACCEPT_ENCODING.as_str().as_bytes())
        });
    if !is_told {
        headers.append(header::VARY, header::ACCEPT_ENCODING.into());
    }
}

/// What was compressed is the same as before in meaning, and no longer byte for byte (RFC 9110, section 8.8.1).
fn weakened(etag: &HeaderValue) -> Option<HeaderValue> {
    let strong = etag.as_bytes();
    if strong.starts_with(b"W/") {
        return None;
    }
    HeaderValue::from_bytes(&[b"W/", strong].concat()).ok()
}

/// A client that holds a compressed answer is told that this one is still good, by the name it has.
fn confirm(asked: &HeaderMap, headers: &mut HeaderMap) {
    let Some(weak) = headers.get(header::ETAG).and_then(weakened) else { return };
    let is_held = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|held| held.as_bytes().windows(weak.len()).any(|part| part == weak.as_bytes()));
    if is_held {
        headers.insert(header::ETAG, weak);
        vary(headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn request(method: Method, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::builder().method(method);
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn response(status: u16, length: usize, headers: &[(&str, &str)]) -> Response<Body> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::full(vec![b'x'; length].into())).unwrap()
    }

    const GZIP: (&str, &str) = ("accept-encoding", "gzip");
    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    fn get<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn what_is_compressed() {
        for (status, length, headers, is_compressed) in [
            (200, 1000, &[HTML][..], true),
            (404, 1000, &[HTML], true),
            (200, 255, &[HTML], false),
            (200, 1000, &[], false),
            (200, 1000, &[("content-type", "image/png")], false),
            (200, 1000, &[("content-type", "image/svg+xml")], true),
            (200, 1000, &[("content-type", "Application/LD+JSON")], true),
            (200, 1000, &[("content-type", "text/event-stream;charset=utf-8")], false),
            (200, 1000, &[("content-type", "application/zip")], false),
            (200, 1000, &[HTML, ("content-encoding", "identity")], false),
            (200, 1000, &[HTML, ("content-digest", "sha-256=:x:")], false),
            (200, 1000, &[HTML, ("cache-control", "public, No-Transform")], false),
            (200, 1000, &[HTML, ("content-range", "bytes 0-999/2000")], false),
            (206, 1000, &[HTML], false),
            (205, 0, &[HTML], false),
            (204, 0, &[HTML], false),
        ] {
            let parts = request(Method::GET, &[GZIP]);
            let compressed = compress(&parts, response(status, length, headers)).await;
            let encoding = get(&compressed, "content-encoding");
            assert_eq!(encoding == Some("gzip"), is_compressed, "{headers:?}");
            assert_eq!(get(&compressed, "vary").is_some(), is_compressed, "{headers:?}");
            assert_eq!(compressed.status(), status);
            let body = compressed.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body == vec![b'x'; length], !is_compressed, "{headers:?}");
        }
        let mut unbuffered = response(200, 1000, &[HTML]);
        unbuffered.extensions_mut().insert(Unbuffered);
        let unbuffered = compress(&request(Method::GET, &[GZIP]), unbuffered).await;
        assert_eq!(get(&unbuffered, "content-encoding"), None);
    }

    #[tokio::test]
    async fn what_clients_ask_for() {
        for (asked, encoding) in [
            (None, None),
            (Some("identity"), None),
            (Some("deflate"), None),
            (Some("gzip;q=0, br;q=0.5"), Some("br")),
            (Some("br;q=0.1, zstd;q=0.5, gzip;q=0.2"), Some("zstd")),
            // Nothing at all is not to be had.
            (Some("*;q=0"), None),
        ] {
            let mut parts = request(Method::GET, &[]);
            if let Some(asked) = asked {
                parts.headers.insert("accept-encoding", HeaderValue::from_static(asked));
            }
            let answer = response(200, 1000, &[HTML, ("vary", "Cookie"), ("etag", "\"1\"")]);
            let compressed = compress(&parts, answer).await;
            assert_eq!(
                (compressed.status(), get(&compressed, "content-encoding")),
                (StatusCode::OK, encoding),
                "{asked:?}"
            );
            let vary = compressed.headers().get_all("vary").iter().collect::<Vec<_>>();
            assert_eq!(vary, ["Cookie", "accept-encoding"]);
            let etag = if encoding.is_some() { "W/\"1\"" } else { "\"1\"" };
            assert_eq!(get(&compressed, "etag"), Some(etag));
        }
    }

    #[tokio::test]
    async fn head_has_the_fields_of_get_as_far_as_they_are_known() {
        let head = request(Method::HEAD, &[GZIP]);
        let mut known =
            response(200, 0, &[HTML, ("content-length", "1000"), ("accept-ranges", "bytes")]);
        *known.body_mut() = Body::absent();
        let known = compress(&head, known).await;
        assert_eq!(get(&known, "content-encoding"), Some("gzip"));
        assert_eq!((get(&known, "content-length"), get(&known, "accept-ranges")), (None, None));
        assert!(known.into_body().collect().await.unwrap().to_bytes().is_empty());
        let mut unknown = response(200, 0, &[HTML]);
        *unknown.body_mut() = Body::absent();
        let unknown = compress(&head, unknown).await;
        assert_eq!(get(&unknown, "content-encoding"), None);
        assert_eq!(get(&unknown, "vary"), Some("accept-encoding"));
    }

    #[tokio::test]
    async fn a_copy_is_confirmed_by_the_name_it_has() {
        for (held, etag) in [("\"1\"", "\"1\""), ("W/\"0\", W/\"1\"", "W/\"1\"")] {
            let mut parts = request(Method::GET, &[GZIP]);
            parts.headers.insert("if-none-match", held.parse().unwrap());
            let confirmed = compress(&parts, response(304, 0, &[("etag", "\"1\"")])).await;
            assert_eq!(get(&confirmed, "etag"), Some(etag));
            assert_eq!(get(&confirmed, "content-encoding"), None);
        }
    }
}
