//! From the application's answer to an HTTP response.

use core::task::Context as TaskContext;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::{Redirect, ResponseHead};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::app_body::AppBody;
use super::read_ahead::Streamed;
use crate::Body;
use crate::compress::Unbuffered;
use crate::gateway::Inner;
use crate::handoff::{Found, NotSent};
use crate::observe::Context;
use crate::pages::Page;

/// What comes of an application's answer.
pub(crate) enum Answer<'h> {
    /// The response to the client.
    Response(Response<Body>),
    /// What the gateway has at this path and query is to be sent instead (RFC 3875, section 6.2.2).
    Redirect(String),
    /// This file is to be sent instead, with these headers.
    File(Found<'h>, HeaderMap),
}

/// From the answer to what is to be sent. Takes what has come of the body, and waits for nothing.
pub(super) fn to_http<'h>(
    answer: fcgi_tokio::Response,
    cx: &mut TaskContext<'_>,
    parts: &Parts,
    context: &Arc<Context>,
    gateway: &'h Inner,
) -> Result<Answer<'h>, Page> {
    context.set_upstream(answer.address(), answer.timings());
    let (head, body) = answer.into_parts();
    let Some(status) = valid_status(head.status()) else {
        tracing::error!(
            path = context.path(),
            request = %context.id(),
            status = head.status(),
            "the script answered with a status that does not exist"
        );
        return Err(Page::BAD_GATEWAY);
    };
    let mut app = AppBody::new(body, &head, status, context);
    if let Some(found) = gateway.handoff.find(&head) {
        tokio::spawn(app.drain());
        return send_instead(found, &head, context);
    }
    if let Some(Redirect::Local(target)) = head.redirect() {
        tokio::spawn(app.drain());
        let target = String::from_utf8(target.to_vec()).map_err(|_| Page::BAD_GATEWAY)?;
        return Ok(Answer::Redirect(target));
    }
    let is_unbuffered = is_unbuffered(&head);
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_reset = status == StatusCode::RESET_CONTENT;
    let body = if is_reset {
        tokio::spawn(app.drain());
        Body::full(Bytes::new())
    } else if has_no_body || parts.method == Method::HEAD {
        tokio::spawn(app.drain());
        Body::absent()
    } else if let Some(whole) = app.take_whole(cx) {
        // The server then says how long it is, and needs no chunks.
        Body::pieces(whole)
    } else {
        // A script that says so wants to know how far its client is.
        let ahead = &gateway.read_ahead;
        let ahead = (ahead.limit > 0 && !is_unbuffered).then(|| ahead.clone());
        Body::app(Streamed::new(Box::new(app), ahead))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(reason) = reason(&head, status) {
        response.extensions_mut().insert(reason);
    }
    if is_unbuffered {
        response.extensions_mut().insert(Unbuffered);
    }
    copy_headers(&head, response.headers_mut());
    // The one has no length, the other always that of nothing (RFC 9110, sections 8.6 and 15.3.6).
    if status == StatusCode::NO_CONTENT || is_reset {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(Answer::Response(response))
}

/// The file that a script named, with its headers but for those about the body it did not send.
fn send_instead<'h>(
    found: Result<Found<'h>, NotSent>,
    head: &ResponseHead,
    context: &Context,
) -> Result<Answer<'h>, Page> {
    let (path, request) = (context.path(), context.id());
    match found {
        Ok(found) => {
            let mut headers = HeaderMap::new();
            copy_headers(head, &mut headers);
            for name in ABOUT_BODY {
                headers.remove(name);
            }
            Ok(Answer::File(found, headers))
        }
        Err(NotSent::Missing) => {
            tracing::warn!(path, %request, "the file that the script named is not there");
            Err(Page::NOT_FOUND)
        }
        Err(NotSent::Refused) => {
            tracing::error!(
                path, %request,
                "the script named a file that is not below any folder set for that; nothing was sent"
            );
            Err(Page::INTERNAL)
        }
    }
}

/// Fields that describe what a script would have sent itself.
const ABOUT_BODY: [HeaderName; 6] = [
    header::ACCEPT_RANGES,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Informational codes would be taken for something before the response, and those from 600 mean nothing.
fn valid_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok().filter(|_| matches!(status, 200..=599))
}

/// The script's own words, when they are not the usual ones.
fn reason(head: &ResponseHead, status: StatusCode) -> Option<ReasonPhrase> {
    let words = head.reason();
    if words.is_empty() || status.canonical_reason().is_some_and(|usual| usual.as_bytes() == words)
    {
        return None;
    }
    ReasonPhrase::try_from(words).ok()
}

/// Copies what is for the client. How the message is framed is the server's business alone.
fn copy_headers(head: &ResponseHead, to: &mut HeaderMap) {
    to.reserve(head.headers().len());
    let named = named_by_connection(head);
    for (name, value) in head.headers() {
        let is_named = named.iter().any(|other| other.eq_ignore_ascii_case(name.as_bytes()));
        if is_named || is_about_connection(name) || is_for_server(name) {
            continue;
        }
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) if name == header::CONTENT_LENGTH => {
                to.insert(name, value);
            }
            (Ok(name), Ok(value)) => {
                to.append(name, value);
            }
            _ => tracing::warn!(
                name,
                "a header of the script cannot be sent over HTTP and is left out"
            ),
        }
    }
}

/// Fields between two neighbours (RFC 9110, section 7.6.1), and the one of CGI.
fn is_about_connection(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "status",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Words of a script to its web server (nginx, Apache, lighttpd), which hold paths of the machine: never for a client.
fn is_for_server(name: &str) -> bool {
    let starts = |start: &str| {
        name.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    starts("x-accel-") || starts("x-sendfile") || starts("x-lighttpd-send-")
}

fn is_unbuffered(head: &ResponseHead) -> bool {
    head.get_all("x-accel-buffering").any(|value| value.trim_ascii().eq_ignore_ascii_case(b"no"))
}

/// What `Connection` says is between two neighbours; mostly nothing.
fn named_by_connection(head: &ResponseHead) -> Vec<&[u8]> {
    let values = head.get_all("connection").flat_map(|value| value.split(|&byte| byte == b','));
    values.map(<[u8]>::trim_ascii).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(head: &str) -> Vec<(String, String)> {
        let head = ResponseHead::parse(head.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        copy_headers(&head, &mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let headers = copied(
            "Status: 201 Created\r\nConnection: X-Private, close\r\nKeep-Alive: 5\r\nX-Private: 1\r\n\
             Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Public: 2\r\n\r\n",
        );
        let expected = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-public", "2")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn statuses() {
        for (status, is_valid) in [
            (200, true),
            (418, true),
            (599, true),
            (100, false),
            (199, false),
            (600, false),
            (999, false),
        ] {
            assert_eq!(valid_status(status).is_some(), is_valid, "{status}");
        }
    }

    #[test]
    fn reasons() {
        for (head, words) in [
            ("Status: 404 Not Found\r\n\r\n", None),
            ("Status: 404 Gone Fishing\r\n\r\n", Some("Gone Fishing")),
            ("Status: 404\r\n\r\n", None),
        ] {
            let head = ResponseHead::parse(head.as_bytes()).unwrap();
            let found = reason(&head, StatusCode::NOT_FOUND);
            assert_eq!(found.as_ref().map(AsRef::as_ref), words.map(str::as_bytes));
        }
    }
}
