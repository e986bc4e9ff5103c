//! The gateway's own answers: one line a person can use, as text, HTML or JSON, whichever the client prefers.
//!
//! Nothing of the inside appears here: no path, no address, no output of the application. The log has those, and so has the
//! page in development mode.

use core::fmt::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::body::Body;
use crate::check::ALLOWED;
use crate::observe::RequestId;

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
    pub(crate) const NEEDS_TLS: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "this port speaks HTTPS; the address begins with https:",
    );
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
    pub(crate) const BAD_FORWARDING: Self =
        Self::new(StatusCode::BAD_REQUEST, "the request's fields about forwarding are malformed");
    pub(crate) const URI_TOO_LONG: Self =
        Self::new(StatusCode::URI_TOO_LONG, "the address in the request is too long");
    pub(crate) const TOO_MANY_FIELDS: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the request has too many header fields",
    );
    pub(crate) const TOO_MANY_BODIES: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many request bodies of unknown length are being received; try again in a moment",
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
    pub(crate) const REDIRECT_LOOP: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the application redirects this server in a circle",
    );
    pub(crate) const TIMEOUT: Self =
        Self::new(StatusCode::GATEWAY_TIMEOUT, "the application did not answer in time");

    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    /// The response, in the form that the client's `Accept` field asks for.
    pub(crate) fn response(self, request: &HeaderMap) -> Response<Body> {
        Failure::from(self).response(request, None, false)
    }

    fn reason(self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }
}

/// A page and what is behind it, which only developers get to see.
#[derive(Debug)]
pub(crate) struct Failure {
    page: Page,
    detail: Option<Box<Detail>>,
}

#[derive(Debug, Default)]
struct Detail {
    cause: String,
    remedy: Option<&'static str>,
    stderr: Vec<Arc<str>>,
}

impl From<Page> for Failure {
    fn from(page: Page) -> Self {
        Self { page, detail: None }
    }
}

impl Failure {
    pub(crate) fn new(page: Page, cause: impl Into<String>) -> Self {
        Self { page, detail: Some(Box::new(Detail { cause: cause.into(), ..Detail::default() })) }
    }

    /// What is behind it, if there is anything to say.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.detail.as_deref().map(|detail| detail.cause.as_str())
    }

    /// What usually helps.
    pub(crate) fn remedy(mut self, remedy: Option<&'static str>) -> Self {
        if let Some(detail) = &mut self.detail {
            detail.remedy = remedy;
        }
        self
    }

    /// The last lines of error output.
    pub(crate) fn stderr(mut self, lines: Vec<Arc<str>>) -> Self {
        if let Some(detail) = &mut self.detail {
            detail.stderr = lines;
        }
        self
    }

    /// The response, in the form that the client's `Accept` field asks for.
    pub(crate) fn response(
        self,
        request: &HeaderMap,
        id: Option<&RequestId>,
        is_development: bool,
    ) -> Response<Body> {
        let Self { page, detail } = self;
        let contents = Contents {
            page,
            id: id.map(RequestId::as_str),
            detail: detail.as_deref().filter(|_| is_development),
        };
        let (content_type, text) = match Form::wanted(request) {
            Form::Json => ("application/json", contents.json()),
            Form::Html => ("text/html; charset=utf-8", contents.html()),
            Form::Text => ("text/plain; charset=utf-8", contents.text()),
        };
        let mut response = Response::new(Body::full(Bytes::from(text)));
        *response.status_mut() = page.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // What is in it may come from a visitor, and is never a reason to run or load anything.
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
        );
        if page.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = if page == Page::REFUSED_METHOD { ALLOWED } else { "GET, HEAD" };
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        if page.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What a page says.
struct Contents<'a> {
    page: Page,
    id: Option<&'a str>,
    detail: Option<&'a Detail>,
}

impl Contents<'_> {
    fn text(&self) -> String {
        let page = self.page;
        let mut text = format!("{} {}: {}\n", page.status.as_u16(), page.reason(), page.message);
        // Writing to a string does not fail.
        if let Some(id) = self.id {
            let _ = writeln!(text, "request {id}");
        }
        if let Some(detail) = self.detail {
            let _ = writeln!(text, "\n{}", detail.cause);
            if let Some(remedy) = detail.remedy {
                let _ = writeln!(text, "what to do: {remedy}");
            }
            for line in &detail.stderr {
                let _ = writeln!(text, "stderr: {line}");
            }
        }
        text
    }

    fn json(&self) -> String {
        #[derive(Serialize)]
        struct Json<'a> {
            status: u16,
            error: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            request: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cause: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            remedy: Option<&'a str>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            stderr: Vec<&'a str>,
        }
        let detail = self.detail;
        let json = Json {
            status: self.page.status.as_u16(),
            error: self.page.reason(),
            message: self.page.message,
            request: self.id,
            cause: detail.map(|detail| detail.cause.as_str()),
            remedy: detail.and_then(|detail| detail.remedy),
            stderr: detail
                .iter()
                .flat_map(|detail| detail.stderr.iter().map(AsRef::as_ref))
                .collect(),
        };
        serde_json::to_string(&json).unwrap_or_default() + "\n"
    }

    fn html(&self) -> String {
        let (status, reason) = (self.page.status.as_u16(), self.page.reason());
        let mut html = format!(
            "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
             <meta name=viewport content=\"width=device-width\">\n\
             <title>{status} {reason}</title>\n<style>{STYLE}</style>\n\
             <h1>{status} {reason}</h1>\n<p>{}.\n",
            Sentence(self.page.message)
        );
        // Writing to a string does not fail.
        if let Some(detail) = self.detail {
            let _ = writeln!(html, "<h2>Cause</h2>\n<p>{}", Escaped(&detail.cause));
            if let Some(remedy) = detail.remedy {
                let _ = writeln!(html, "<h2>What to do</h2>\n<p>{}", Sentence(remedy));
            }
            if !detail.stderr.is_empty() {
                let _ = write!(html, "<h2>Error output of the application</h2>\n<pre>");
                for line in &detail.stderr {
                    let _ = writeln!(html, "{}", Escaped(line));
                }
                let _ = writeln!(html, "</pre>");
            }
            let _ = writeln!(html, "<p><small>Shown in development mode only.</small>");
        }
        if let Some(id) = self.id {
            let _ = writeln!(html, "<p><small>Request {}</small>", Escaped(id));
        }
        html
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:12vh auto;padding:0 1em;color:#222}\
    h1{font-size:1.6em}h2{font-size:1em;margin-bottom:0}p{margin-top:.3em}small{color:#666}\
    pre{background:#f3f3f0;padding:1em;overflow-x:auto;white-space:pre-wrap}\
    @media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}pre{background:#2a2a2a}small{color:#999}}";

/// Text in HTML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            letter => f.write_char(letter),
        })
    }
}

/// A message with a capital letter, in HTML.
struct Sentence<'a>(&'a str);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = self.0.chars();
        letters.next().map_or(Ok(()), |first| f.write_char(first.to_ascii_uppercase()))?;
        Escaped(letters.as_str()).fmt(f)
    }
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Html,
    Text,
}

impl Form {
    /// The first form that the client's `Accept` field names. Weights are not weighed: clients name first what they want.
    fn wanted(request: &HeaderMap) -> Self {
        let ranges = request
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for range in ranges {
            let media = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match media.as_str() {
                "application/json" => return Self::Json,
                json if json.starts_with("application/") && json.ends_with("+json") => {
                    return Self::Json;
                }
                "text/html" | "application/xhtml+xml" => return Self::Html,
                "*/*" | "text/*" | "text/plain" => return Self::Text,
                _ => {}
            }
        }
        Self::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn accept() {
        for (accept, form) in [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/plain", Form::Text),
            ("application/json", Form::Json),
            ("APPLICATION/JSON;q=0.9, */*", Form::Json),
            ("application/problem+json", Form::Json),
            ("image/png, application/json", Form::Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Html),
            ("*/*, application/json", Form::Text),
            ("application/json, text/html", Form::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Form::wanted(&headers), form, "{accept}");
        }
        assert_eq!(Form::wanted(&HeaderMap::new()), Form::Text);
    }

    async fn body(accept: &'static str, is_development: bool) -> String {
        let failure = Failure::new(Page::BAD_GATEWAY, "no <b>luck</b> at \"x\"")
            .remedy(Some("is it & running?"))
            .stderr(vec!["<script>".into()]);
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        let response = failure.response(&headers, None, is_development);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn details_are_for_developers() {
        for accept in ["text/plain", "text/html", "application/json"] {
            let page = body(accept, false).await;
            for detail in ["luck", "running", "script"] {
                assert!(!page.contains(detail), "{page}");
            }
            assert!(page.contains("502") && page.contains("usable answer"), "{page}");
            let page = body(accept, true).await;
            for detail in ["luck", "running", "script"] {
                assert!(page.contains(detail), "{page}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_shown_is_text() {
        let html = body("text/html", true).await;
        assert!(html.contains("no &lt;b&gt;luck&lt;/b&gt; at &quot;x&quot;"), "{html}");
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
        assert!(html.contains("Is it &amp; running?"), "{html}");
        let json: serde_json::Value =
            serde_json::from_str(&body("application/json", true).await).unwrap();
        assert_eq!(json["cause"], "no <b>luck</b> at \"x\"");
        assert_eq!(json["remedy"], "is it & running?");
        assert_eq!(json["stderr"][0], "<script>");
    }
}
