//! Parameters as HTTP requests, and HTTP responses as CGI heads.
#![cfg(feature = "http")]

use fcgi_proto::Params;
use fcgi_proto::server::http::{
    RequestHeadError, content_length, remote_addr, request_head, write_response_head,
};
use http::{Response, Version};

fn params(pairs: &[(&str, &str)]) -> Params {
    [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/")].iter().chain(pairs).copied().collect()
}

fn target(pairs: &[(&str, &str)]) -> Result<String, RequestHeadError> {
    let mut params = params(&[]);
    for (name, value) in pairs {
        params.set(name, value);
    }
    request_head(&params).map(|parts| parts.uri.to_string())
}

#[test]
fn targets() {
    for (uri, expected) in [
        ("/a/b%20c?d=e&f", "/a/b%20c?d=e&f"),
        ("//x/../y?", "//x/../y?"),
        ("*", "*"),
        ("http://example.org/x?y", "http://example.org/x?y"),
        ("/a b?<\u{e9}>^|", "/a%20b?%3C%C3%A9%3E%5E%7C"),
    ] {
        assert_eq!(target(&[("REQUEST_URI", uri)]).as_deref(), Ok(expected), "{uri}");
    }
    for uri in ["word", "example.org:80", "http://", " "] {
        assert_eq!(target(&[("REQUEST_URI", uri)]), Err(RequestHeadError::Target), "{uri}");
    }
    let connect = [("REQUEST_METHOD", "CONNECT"), ("REQUEST_URI", "example.org:80")];
    assert_eq!(target(&connect).as_deref(), Ok("example.org:80"));
}

#[test]
fn targets_without_request_uri() {
    let parts = [("REQUEST_URI", ""), ("SCRIPT_NAME", "/app"), ("PATH_INFO", "/100% \u{e9}?")];
    assert_eq!(target(&parts).as_deref(), Ok("/app/100%25%20%C3%A9%3F"));
    let parts = [("REQUEST_URI", ""), ("QUERY_STRING", "a=%20")];
    assert_eq!(target(&parts).as_deref(), Ok("/?a=%20"));
}

#[test]
fn what_is_no_request() {
    assert_eq!(request_head(&Params::new()).unwrap_err(), RequestHeadError::NoMethod);
    assert_eq!(target(&[("REQUEST_METHOD", "G T")]), Err(RequestHeadError::Method));
}

#[test]
fn versions() {
    for (protocol, version) in [
        ("HTTP/1.0", Version::HTTP_10),
        ("HTTP/2.0", Version::HTTP_2),
        ("HTTP/3.0", Version::HTTP_3),
        ("INCLUDED", Version::HTTP_11),
    ] {
        let parts = request_head(&params(&[("SERVER_PROTOCOL", protocol)])).expect("a request");
        assert_eq!(parts.version, version, "{protocol}");
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let parts = request_head(&params(pairs)).expect("a request");
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<_> =
        parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    headers.sort();
    headers
}

#[test]
fn request_headers() {
    let found = headers(&[
        ("HTTP_HOST", "example.org:8080"),
        ("HTTP_COOKIE", "a=1"),
        ("HTTP_COOKIE", "b=2"),
        ("HTTP_X_FORWARDED_FOR", "10.0.0.1"),
        ("CONTENT_TYPE", "a/b"),
        ("HTTP_CONTENT_TYPE", "evil/type"),
        ("HTTP_CONTENT_LENGTH", "7"),
        ("CONTENT_LENGTH", "5"),
        ("HTTP_CONNECTION", "X-Private, upgrade, X-Forwarded-For"),
        ("HTTP_X_PRIVATE", "1"),
        ("HTTP_UPGRADE", "h2c"),
        ("HTTP_TRANSFER_ENCODING", "chunked"),
        ("HTTP_TE", "trailers"),
        ("HTTP_PROXY", "http://evil"),
        ("HTTP_", "empty"),
        ("HTTP_SP ACE", "no token"),
        ("HTTP_X_BREAK", "a\r\nb: c"),
        ("REMOTE_USER", "joe"),
    ]);
    let expected = [
        ("content-length", "5"),
        ("content-type", "a/b"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("host", "example.org:8080"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(headers(&[("CONTENT_TYPE", ""), ("CONTENT_LENGTH", "")]), []);
    let only = [("content-type".to_owned(), "a/b".to_owned())];
    assert_eq!(headers(&[("CONTENT_TYPE", ""), ("HTTP_CONTENT_TYPE", "a/b")]), only);
}

#[test]
fn lengths_and_addresses() {
    for (text, length) in [("12", Some(12)), ("", None), ("-1", None), ("+1", None), ("1, 1", None)]
    {
        assert_eq!(content_length(&params(&[("CONTENT_LENGTH", text)])), length, "{text}");
    }
    let address = |pairs: &[_]| remote_addr(&params(pairs)).map(|address| address.0.to_string());
    let v6 = [("REMOTE_ADDR", "::1"), ("REMOTE_PORT", "80")];
    assert_eq!(address(&v6).as_deref(), Some("[::1]:80"));
    assert_eq!(address(&[("REMOTE_ADDR", "10.0.0.1")]).as_deref(), Some("10.0.0.1:0"));
    assert_eq!(address(&[("REMOTE_ADDR", "unix:")]), None);
}

fn head(response: Response<()>, body_len: Option<u64>) -> String {
    let mut out = Vec::new();
    write_response_head(&mut out, &response.into_parts().0, body_len);
    String::from_utf8(out).expect("text")
}

#[test]
fn response_heads() {
    let response = Response::builder()
        .status(404)
        .header("Content-Type", "text/plain")
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2")
        .header("Connection", "x-private, close")
        .header("X-Private", "1")
        .header("Keep-Alive", "5")
        .header("Transfer-Encoding", "chunked")
        .header("Upgrade", "h2c")
        .header("Status", "200 OK")
        .body(())
        .expect("a response");
    let expected = "Status: 404 Not Found\r\ncontent-type: text/plain\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
                    Content-Length: 9\r\n\r\n";
    assert_eq!(head(response, Some(9)), expected);
}

#[test]
fn response_lengths() {
    let build = |status: u16, length: Option<&str>| {
        let mut response = Response::builder().status(status);
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        response.body(()).expect("a response")
    };
    for (status, told, known, expected) in [
        (200, None, Some(0), "Status: 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (200, None, None, "Status: 200 OK\r\n\r\n"),
        (200, Some("7"), Some(0), "Status: 200 OK\r\ncontent-length: 7\r\n\r\n"),
        (204, Some("7"), Some(0), "Status: 204 No Content\r\n\r\n"),
        (304, Some("7"), Some(0), "Status: 304 Not Modified\r\ncontent-length: 7\r\n\r\n"),
        (304, None, Some(0), "Status: 304 Not Modified\r\n\r\n"),
        (599, None, None, "Status: 599\r\n\r\n"),
    ] {
        assert_eq!(head(build(status, told), known), expected);
    }
}
