//! The request that a client builds.

use bytes::Bytes;
use fcgi_proto::{Params, Request, RequestError, Role, Timeouts};

type Plain = Request<Bytes>;

fn params(request: Plain) -> Params {
    request.into_parts().expect("a good request").0.params
}

fn value<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.get_str(name)
}

fn pairs(params: &Params) -> Vec<(&str, &str)> {
    params
        .iter()
        .map(|(name, value)| {
            (
                core::str::from_utf8(name).expect("ASCII"),
                core::str::from_utf8(value).expect("ASCII"),
            )
        })
        .collect()
}

// spec: S67
#[test]
fn defaults() {
    let request = Plain::get("/srv/app/hello.php?who=Swoole");
    let expected = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REDIRECT_STATUS", "200"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_FILENAME", "/srv/app/hello.php"),
        ("SCRIPT_NAME", "/hello.php"),
        ("DOCUMENT_ROOT", "/srv/app"),
        ("DOCUMENT_URI", "/hello.php"),
        ("REQUEST_URI", "/hello.php?who=Swoole"),
        ("QUERY_STRING", "who=Swoole"),
        ("REQUEST_SCHEME", "http"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", concat!("fcgi-rs/", env!("CARGO_PKG_VERSION"))),
        ("SERVER_NAME", "localhost"),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "0"),
    ];
    assert_eq!(pairs(request.params()), expected);
    let (parts, body) = request.into_parts().expect("a good request");
    assert_eq!(pairs(&parts.params), expected, "nothing is added without a body");
    assert_eq!(
        (parts.role, parts.content_length, parts.timeouts, parts.keep_conn),
        (Role::Responder, Some(0), None, None)
    );
    assert_eq!(body, Bytes::new());
}

#[test]
fn scripts() {
    for (script, filename, name, root, uri) in [
        ("/tmp/a.php", "/tmp/a.php", "/a.php", "/tmp", "/a.php"),
        ("/a.php", "/a.php", "/a.php", "/", "/a.php"),
        ("a.php", "a.php", "/a.php", ".", "/a.php"),
        ("/x/a.php?", "/x/a.php", "/a.php", "/x", "/a.php"),
        ("/x/a.php?b=/c?d", "/x/a.php", "/a.php", "/x", "/a.php?b=/c?d"),
        ("/x y/a b%.php", "/x y/a b%.php", "/a b%.php", "/x y", "/a%20b%25.php"),
        ("/x/\u{e9}.php", "/x/\u{e9}.php", "/\u{e9}.php", "/x", "/%C3%A9.php"),
    ] {
        let params = params(Plain::get(script));
        assert_eq!(value(&params, "SCRIPT_FILENAME"), Some(filename), "{script}");
        assert_eq!(value(&params, "SCRIPT_NAME"), Some(name), "{script}");
        assert_eq!(value(&params, "DOCUMENT_ROOT"), Some(root), "{script}");
        assert_eq!(value(&params, "REQUEST_URI"), Some(uri), "{script}");
        assert_eq!(value(&params, "DOCUMENT_URI"), Some(name), "{script}");
    }
}

#[test]
fn uri_and_query() {
    let request = Plain::get("/srv/index.php").uri("/v%61r?foo=bar#part");
    let params = request.params();
    assert_eq!(value(params, "REQUEST_URI"), Some("/v%61r?foo=bar"));
    assert_eq!(value(params, "DOCUMENT_URI"), Some("/var"));
    assert_eq!(value(params, "QUERY_STRING"), Some("foo=bar"));
    assert_eq!(value(params, "SCRIPT_NAME"), Some("/index.php"));

    let request = request.query([("a b", "c&d"), ("\u{e9}", "")]);
    let params = request.params();
    assert_eq!(value(params, "QUERY_STRING"), Some("foo=bar&a+b=c%26d&%C3%A9="));
    assert_eq!(value(params, "REQUEST_URI"), Some("/v%61r?foo=bar&a+b=c%26d&%C3%A9="));
    assert_eq!(value(params, "DOCUMENT_URI"), Some("/var"));

    let request = Plain::get("/srv/index.php?old").query_string("raw=%zz");
    assert_eq!(value(request.params(), "REQUEST_URI"), Some("/index.php?raw=%zz"));
    let request = request.query_string("");
    assert_eq!(value(request.params(), "REQUEST_URI"), Some("/index.php"));
    assert_eq!(
        value(request.uri("/%zz").params(), "DOCUMENT_URI"),
        Some("/%zz"),
        "kept when it does not decode"
    );
}

#[test]
fn script_name_and_path_info() {
    for request in [
        Plain::get("/srv/www/app/index.php?q")
            .document_root("/srv/www")
            .script_name("/app/index.php")
            .path_info("/a b"),
        Plain::get("/srv/www/app/index.php?q")
            .path_info("/a b")
            .script_name("/app/index.php")
            .document_root("/srv/www"),
    ] {
        let params = request.params();
        assert_eq!(value(params, "DOCUMENT_URI"), Some("/app/index.php/a b"));
        assert_eq!(value(params, "REQUEST_URI"), Some("/app/index.php/a%20b?q"));
        assert_eq!(value(params, "PATH_INFO"), Some("/a b"));
        // PHP may take it for the script.
        assert_eq!(value(params, "PATH_TRANSLATED"), None);
    }
}

#[test]
fn headers() {
    let request = Plain::get("/a.php")
        .header("X-Foo", "1")
        .header("x-foo", "2")
        .header("Cookie", "a=1")
        .header("Cookie", "b=2")
        .header("Host", "a")
        .header("Host", "b:8080")
        .header("Content-Type", "text/x")
        .header("Proxy", "evil");
    assert_eq!(request.header_value("X-FOO"), Some(&b"1, 2"[..]));
    assert_eq!(request.header_value("content-type"), Some(&b"text/x"[..]));
    assert_eq!(request.header_value("X-Bar"), None);
    assert_eq!(request.header_value("no name"), None);
    let params = params(request);
    assert_eq!(value(&params, "HTTP_X_FOO"), Some("1, 2"));
    assert_eq!(value(&params, "HTTP_COOKIE"), Some("a=1; b=2"));
    assert_eq!(value(&params, "HTTP_HOST"), Some("b:8080"));
    assert_eq!(value(&params, "CONTENT_TYPE"), Some("text/x"));
    assert_eq!(value(&params, "HTTP_CONTENT_TYPE"), None);
    assert_eq!(value(&params, "HTTP_PROXY"), None);
}

// spec: S47
#[test]
fn mistakes_are_told_before_anything_is_sent() {
    let error = |request: Plain| request.into_parts().map(|_| ()).unwrap_err();
    assert!(matches!(
        error(Plain::get("/a.php").header("X Y", "1")),
        RequestError::HeaderName { .. }
    ));
    assert!(matches!(error(Plain::get("/a.php").header("", "1")), RequestError::HeaderName { .. }));
    assert!(matches!(
        error(Plain::get("/a.php").header("X", "1\r\nY: 2")),
        RequestError::HeaderValue { .. }
    ));
    let first = Plain::get("/a.php").header("X", "\0").header("X Y", "1");
    assert!(matches!(error(first), RequestError::HeaderValue { .. }), "the first one counts");
    assert_eq!(error(Plain::get("/a.php\0.jpg")), RequestError::ScriptName);
    assert_eq!(
        error(Plain::post("/a.php").body("four").content_length(5)),
        RequestError::ContentLength { announced: 5, found: 4 }
    );
}

// spec: S65
#[test]
fn bodies() {
    for (request, length, content_type) in [
        (Plain::get("/a.php"), None, None),
        (Plain::post("/a.php"), Some("0"), None),
        (Plain::new("PUT", "/a.php"), Some("0"), None),
        (Plain::new("DELETE", "/a.php"), None, None),
        (Plain::get("/a.php").content_length(0), Some("0"), None),
        (Plain::post("/a.php").body("0"), Some("1"), None),
        (Plain::get("/a.php").body("text"), Some("4"), None),
        (
            Plain::post("/a.php").body("text").content_type("text/plain"),
            Some("4"),
            Some("text/plain"),
        ),
        (
            Plain::post("/a.php").form([("a", "1 2"), ("b", "&=")]),
            Some("14"),
            Some("application/x-www-form-urlencoded"),
        ),
        (Plain::post("/a.php").body("text").param("CONTENT_LENGTH", "99"), Some("4"), None),
    ] {
        let params = params(request);
        assert_eq!(value(&params, "CONTENT_LENGTH"), length);
        assert_eq!(value(&params, "CONTENT_TYPE"), content_type);
    }
    let (_, body) = Plain::post("/a.php").body("0").into_parts().expect("a good request");
    assert_eq!(body, "0");
}

/// A stream of which the length is not known.
#[derive(Clone, Debug, Default)]
struct Stream;

impl fcgi_proto::BodyLen for Stream {
    fn content_length(&self) -> Option<u64> {
        None
    }
}

#[test]
fn streams() {
    let (parts, _) = Request::<Stream>::post("/a.php").into_parts().expect("a good request");
    assert_eq!((parts.content_length, parts.params.get("CONTENT_LENGTH")), (None, None));
    let (parts, _) =
        Request::<Stream>::post("/a.php").content_length(7).into_parts().expect("a good request");
    assert_eq!(
        (parts.content_length, parts.params.get_str("CONTENT_LENGTH")),
        (Some(7), Some("7"))
    );
}

#[test]
fn form_encoding() {
    let request =
        Request::<String>::post("/a.php").form([("a b", "\u{20ac}"), ("*-._", "~"), ("", "")]);
    assert_eq!(request.body_ref(), "a+b=%E2%82%AC&*-._=%7E&=");
}

#[test]
fn https_and_back() {
    let request = Plain::get("/a.php").https(true);
    let params = request.params();
    assert_eq!(value(params, "HTTPS"), Some("on"));
    assert_eq!(value(params, "REQUEST_SCHEME"), Some("https"));
    assert_eq!(value(params, "SERVER_PORT"), Some("443"));
    let request = request.https(false);
    assert_eq!(value(request.params(), "HTTPS"), None, "absent, not off");
    assert_eq!(value(request.params(), "SERVER_PORT"), Some("80"));
    assert_eq!(
        value(Plain::get("/a.php").server_port(8443).https(true).params(), "SERVER_PORT"),
        Some("8443")
    );
}

#[test]
fn every_variable_can_be_set_and_removed() {
    let request = Plain::get("/a.php")
        .method("PURGE")
        .protocol("HTTP/2.0")
        .server_name("n")
        .server_addr("::1")
        .server_port(1)
        .server_software("s")
        .remote_addr("192.0.2.1")
        .remote_port(2)
        .param("GATEWAY_INTERFACE", "FastCGI/1.0")
        .param("PHP_VALUE", b"memory_limit=1G\n\xff")
        .remove_param("REDIRECT_STATUS")
        .role(Role::Authorizer)
        .keep_conn(true)
        .timeouts(Timeouts::NONE);
    let (parts, _) = request.into_parts().expect("a good request");
    for (name, expected) in [
        ("REQUEST_METHOD", "PURGE"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("SERVER_NAME", "n"),
        ("SERVER_ADDR", "::1"),
        ("SERVER_PORT", "1"),
        ("SERVER_SOFTWARE", "s"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("REMOTE_PORT", "2"),
        ("GATEWAY_INTERFACE", "FastCGI/1.0"),
    ] {
        assert_eq!(value(&parts.params, name), Some(expected));
    }
    assert_eq!(parts.params.get("PHP_VALUE"), Some(&b"memory_limit=1G\n\xff"[..]));
    assert_eq!(parts.params.get("REDIRECT_STATUS"), None);
    assert_eq!(
        (parts.role, parts.keep_conn, parts.timeouts),
        (Role::Authorizer, Some(true), Some(Timeouts::NONE))
    );
}

#[test]
fn given_variables_are_taken_as_they_are() {
    let given: Params = [("REQUEST_METHOD", "POST"), ("X", "1"), ("X", "2")].into_iter().collect();
    let (parts, _) = Plain::from_params(given.clone()).into_parts().expect("a good request");
    assert_eq!(pairs(&parts.params)[..3], pairs(&given));
    assert_eq!(pairs(&parts.params)[3..], [("CONTENT_LENGTH", "0")]);
}

#[test]
fn every_variable_has_a_setter_and_can_be_read_and_removed() {
    let request = Plain::get("/srv/x.php")
        .method("PUT")
        .script_filename("/srv/y.php")
        .script_name("/y.php")
        .document_root("/srv")
        .document_uri("/doc")
        .request_uri("/raw%20uri?q")
        .query_string("q=1")
        .content_type("text/plain")
        .content_length(0)
        .gateway_interface("CGI/1.2")
        .protocol("HTTP/2.0")
        .server_software("test")
        .server_name("example.org")
        .server_addr("10.0.0.1")
        .server_port(8080)
        .remote_addr("10.0.0.2")
        .remote_port(4000)
        .scheme("https")
        .redirect_status(404)
        .param(b"RAW\xff", b"\0\xfe");
    let expected: [(&str, &[u8]); 19] = [
        ("REQUEST_METHOD", b"PUT"),
        ("SCRIPT_FILENAME", b"/srv/y.php"),
        ("SCRIPT_NAME", b"/y.php"),
        ("DOCUMENT_ROOT", b"/srv"),
        ("DOCUMENT_URI", b"/doc"),
        ("REQUEST_URI", b"/raw%20uri?q=1"),
        ("QUERY_STRING", b"q=1"),
        ("CONTENT_TYPE", b"text/plain"),
        ("CONTENT_LENGTH", b"0"),
        ("GATEWAY_INTERFACE", b"CGI/1.2"),
        ("SERVER_PROTOCOL", b"HTTP/2.0"),
        ("SERVER_SOFTWARE", b"test"),
        ("SERVER_NAME", b"example.org"),
        ("SERVER_ADDR", b"10.0.0.1"),
        ("SERVER_PORT", b"8080"),
        ("REMOTE_ADDR", b"10.0.0.2"),
        ("REMOTE_PORT", b"4000"),
        ("REQUEST_SCHEME", b"https"),
        ("REDIRECT_STATUS", b"404"),
    ];
    let params = params(request.clone());
    for (name, value) in expected {
        assert_eq!(params.get(name), Some(value), "{name}");
        if name != "CONTENT_LENGTH" {
            assert_eq!(request.param_value(name), Some(value), "{name}");
            assert_eq!(request.clone().remove_param(name).param_value(name), None, "{name}");
        }
    }
    assert_eq!(params.get(b"RAW\xff"), Some(&b"\0\xfe"[..]));
}

#[test]
fn headers_can_be_read_back_and_removed() {
    let request = Plain::get("/x.php")
        .headers([("X-Foo", "1"), ("Accept", "a")])
        .header("x-foo", "2")
        .header("Content-Type", "text/plain");
    let mut headers: Vec<_> = request.header_values().collect();
    headers.sort();
    let expected: [(String, &[u8]); 3] = [
        ("accept".into(), b"a"),
        ("content-type".into(), b"text/plain"),
        ("x-foo".into(), b"1, 2"),
    ];
    assert_eq!(headers, expected);
    let request =
        request.remove_header("X-Foo").remove_header("content-type").remove_header("no token");
    assert_eq!(request.header_value("x-foo"), None);
    assert_eq!(request.header_values().count(), 1);
}

#[test]
fn a_one_line_call_is_a_get_without_fields_and_a_post_with_them() {
    let none: [(&str, &str); 0] = [];
    let request = Request::<String>::get_or_post("/x.php", none);
    assert_eq!(request.param_value("REQUEST_METHOD"), Some(&b"GET"[..]));
    let request = Request::<String>::get_or_post("/x.php", [("a", "b c")]);
    assert_eq!(request.param_value("REQUEST_METHOD"), Some(&b"POST"[..]));
    assert_eq!(request.body_ref(), "a=b+c");
}

#[cfg(feature = "json")]
#[test]
fn json_from_a_value() {
    let request = Request::<Vec<u8>>::post("/x.php").json(&[Some(1), None]).expect("it has a form");
    assert_eq!(request.body_ref(), b"[1,null]");
    assert_eq!(request.header_value("content-type"), Some(&b"application/json"[..]));
    let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(Request::<Vec<u8>>::post("/x.php").json(&keys).is_err(), "a key that is no string");
}
