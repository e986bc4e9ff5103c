//! The gateway's own answers: one line a person can use, as text or, when the client prefers it, JSON.
//!
//! Nothing of the inside appears here: no path, no address, no output of the application. The log
//! has those.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::check::ALLOWED;

/// An answer that the gateway gives by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    message: &'static str,
}

impl Page {
    pub(crate) const BAD_PATH: Self =
        Self::new(StatusCode::BAD_REQUEST, "the address in the request is malformed");
    pub(crate) const BAD_HOST: Self =
        Self::new(StatusCode::BAD_REQUEST, "the request has no Host field, or an unusable one");
    pub(crate) const MISDIRECTED: Self =
        Self::new(StatusCode::MISDIRECTED_REQUEST, "this server has no site of this name");
    pub(crate) const BAD_BODY: Self =
        Self::new(StatusCode::BAD_REQUEST, "the request body ended early or could not be read");
    pub(crate) const STALLED: Self =
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request body did not come in time");
    pub(crate) const NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this address");
    pub(crate) const BAD_METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "a file can only be fetched, with GET or HEAD");
    pub(crate) const REFUSED_METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this server does not do that for anybody");
    pub(crate) const UNKNOWN_CODING: Self = Self::new(
        StatusCode::NOT_IMPLEMENTED,
        "the request body has a transfer coding other than chunked",
    );
    pub(crate) const TOO_LARGE: Self = Self::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the request body is larger than this server accepts",
    );
    pub(crate) const FIELDS_TOO_LARGE: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "a header field or the address is too large for the application",
    );
    pub(crate) const INTERNAL: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this server could not handle the request; its log says why",
    );
    pub(crate) const BAD_GATEWAY: Self = Self::new(
        StatusCode::BAD_GATEWAY,
        "the application did not give a usable answer; the server's log says why",
    );
    pub(crate) const OVERLOADED: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the application is busy; try again in a moment",
    );
    pub(crate) const TIMEOUT: Self =
        Self::new(StatusCode::GATEWAY_TIMEOUT, "the application did not answer in time");

    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    /// The response, in the form that the client's `Accept` field asks for.
    pub(crate) fn response(self, request: &HeaderMap) -> Response<Body> {
        let (content_type, text) = if prefers_json(request) {
            ("application/json", self.json())
        } else {
            ("text/plain; charset=utf-8", self.text())
        };
        let mut response = Response::new(Body::full(Bytes::from(text)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = if self == Self::REFUSED_METHOD { ALLOWED } else { "GET, HEAD" };
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn reason(self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    fn text(self) -> String {
        format!("{} {}: {}\n", self.status.as_u16(), self.reason(), self.message)
    }

    /// The messages hold nothing that JSON would have to escape.
    fn json(self) -> String {
        format!(
            "{{\"status\":{},\"error\":\"{}\",\"message\":\"{}\"}}\n",
            self.status.as_u16(),
            self.reason(),
            self.message
        )
    }
}

/// Whether JSON comes before everything readable in the client's `Accept` field. Weights are not
/// weighed: clients that want JSON name it first or alone.
fn prefers_json(request: &HeaderMap) -> bool {
    let ranges = request
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for range in ranges {
        let media = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.as_str() {
            "application/json" => return true,
            json if json.starts_with("application/") && json.ends_with("+json") => return true,
            "*/*" | "text/*" | "text/html" | "text/plain" | "application/xhtml+xml" => {
                return false;
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            ("application/json", true),
            ("APPLICATION/JSON;q=0.9, */*", true),
            ("application/problem+json", true),
            ("image/png, application/json", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("*/*, application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_json(&headers), json, "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }

    #[test]
    fn pages_are_valid_json() {
        for page in [
            Page::BAD_PATH,
            Page::BAD_HOST,
            Page::BAD_BODY,
            Page::STALLED,
            Page::NOT_FOUND,
            Page::BAD_METHOD,
            Page::REFUSED_METHOD,
            Page::UNKNOWN_CODING,
            Page::TOO_LARGE,
            Page::FIELDS_TOO_LARGE,
            Page::INTERNAL,
            Page::BAD_GATEWAY,
            Page::OVERLOADED,
            Page::TIMEOUT,
        ] {
            let value: serde_json::Value = serde_json::from_str(&page.json()).unwrap();
            assert_eq!(value["status"], page.status.as_u16());
            assert!(page.text().ends_with('\n'));
        }
    }
}
