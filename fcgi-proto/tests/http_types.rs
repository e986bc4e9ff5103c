//! Between CGI and the types of the `http` crate.
#![cfg(feature = "http")]

use bytes::Bytes;
use fcgi_proto::cgi::{Environment, EnvironmentError, FullResponse, ResponseDecoder, ResponseHead};
use http::{Request, Version};

fn variables(request: &http::request::Parts, names: [&str; 6]) -> [String; 6] {
    let params = Environment::from_http(request).unwrap().params().unwrap();
    names.map(|name| params.get_str(name).unwrap_or("-").to_owned())
}

#[test]
fn a_request_becomes_variables() {
    let names = [
        "REQUEST_METHOD",
        "REQUEST_URI",
        "QUERY_STRING",
        "SERVER_PROTOCOL",
        "HTTP_HOST",
        "HTTP_X_A",
    ];
    for (uri, version, seen) in [
        ("/a%20b?x=1", Version::HTTP_11, ["PUT", "/a%20b?x=1", "x=1", "HTTP/1.1", "h", "1, 2"]),
        ("http://u:p@g:81/a", Version::HTTP_10, ["PUT", "/a", "", "HTTP/1.0", "g:81", "1, 2"]),
        ("https://g?x=1", Version::HTTP_2, ["PUT", "/?x=1", "x=1", "HTTP/2.0", "g", "1, 2"]),
        ("https://g", Version::HTTP_3, ["PUT", "/", "", "HTTP/3.0", "g", "1, 2"]),
        ("*", Version::HTTP_09, ["PUT", "*", "", "HTTP/0.9", "h", "1, 2"]),
    ] {
        let request = Request::put(uri).version(version).header("Host", "h");
        let request = request.header("X-A", "1").header("X-A", "2").body(()).unwrap();
        assert_eq!(variables(&request.into_parts().0, names), seen, "{uri}");
    }
    let (parts, ()) = Request::connect("h:443").body(()).unwrap().into_parts();
    assert_eq!(Environment::from_http(&parts).unwrap_err(), EnvironmentError::Target);
}

/// The same rules as for a head that is built by hand: nothing of the connection, no httpoxy.
#[test]
fn headers_that_no_application_may_see_stay_behind() {
    let request = Request::get("/").header("Proxy", "evil").header("Connection", "X-B");
    let request = request.header("X-B", "1").header("Transfer-Encoding", "chunked");
    let (parts, ()) = request.header("Content-Length", "5").body(()).unwrap().into_parts();
    let params = Environment::from_http(&parts).unwrap().params().unwrap();
    for name in
        ["HTTP_PROXY", "HTTP_CONNECTION", "HTTP_X_B", "HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH"]
    {
        assert_eq!(params.get(name), None, "{name}");
    }
}

#[test]
fn a_script_can_be_asked_as_http_would_ask() {
    for (script, root, name) in [
        ("/srv/www/a.php", "/srv/www", "/a.php"),
        ("/a.php", "/", "/a.php"),
        ("a.php", ".", "/a.php"),
    ] {
        let request = Request::post("/x").header("Cookie", "a=1").body(&b"body"[..]).unwrap();
        let request = fcgi_proto::Request::<Vec<u8>>::from_http(script, request).unwrap();
        let (parts, body) = request.into_parts().unwrap();
        let get = |name| parts.params.get_str(name).unwrap_or("-");
        assert_eq!(
            (get("SCRIPT_FILENAME"), get("DOCUMENT_ROOT"), get("SCRIPT_NAME")),
            (script, root, name)
        );
        assert_eq!(
            (get("CONTENT_LENGTH"), get("HTTP_COOKIE"), &body[..]),
            ("4", "a=1", &b"body"[..])
        );
    }
}

fn headers(head: &str) -> Vec<(String, String)> {
    let parts = ResponseHead::parse(head.as_bytes()).unwrap().to_http().unwrap();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[test]
fn a_head_becomes_a_response_without_what_is_about_the_connection() {
    let seen = headers(
        "Status: 201 Made\r\nConnection: X-Private, close\r\nKeep-Alive: 5\r\nX-Private: 1\r\n\
         Transfer-Encoding: chunked\r\nUpgrade: h2c\r\n\
         Content-Length: 3\r\nContent-Length: 3\r\nSet-Cookie: a=\u{e4}\r\nSet-Cookie: b=2\r\nX-Public: 2\r\n\r\n",
    );
    let expected = [
        ("content-length", "3"),
        ("set-cookie", "a=\u{e4}"),
        ("set-cookie", "b=2"),
        ("x-public", "2"),
    ];
    assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (head, status) in [
        ("Location: /x\n\n", 302),
        ("X: 1\n\n", 200),
        ("Status: 599\n\n", 599),
        ("Status: 204 No Content\n\n", 204),
    ] {
        assert_eq!(ResponseHead::parse(head.as_bytes()).unwrap().to_http().unwrap().status, status);
    }
    let head = ResponseHead::parse(b"Status: 404\n\n").unwrap();
    let full =
        FullResponse::new(head, Bytes::from("x"), Bytes::from("log"), 1).into_http().unwrap();
    assert_eq!((full.status().as_u16(), &full.body()[..]), (404, &b"x"[..]));
}

#[test]
fn a_head_that_http_cannot_say_is_none_and_no_panic() {
    let parse = |head: &[u8]| {
        let mut decoder = ResponseDecoder::new().head_limit(10 << 20).max_fields(usize::MAX);
        decoder.poll(&mut &head[..]).unwrap();
        decoder.take_head().unwrap()
    };
    let many: String = (0..30_000).map(|at| format!("X-{at}: 1\n")).collect();
    assert!(parse(&[many.as_bytes(), b"\n"].concat()).to_http().is_none());
    assert!(parse(b"Status: 999\n\n").to_http().is_none());
}
