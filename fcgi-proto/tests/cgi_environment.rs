//! The variables that become of an HTTP request.

use std::net::SocketAddr;

use fcgi_proto::Params;
use fcgi_proto::cgi::{Environment, EnvironmentError};
use proptest::prelude::*;

fn get(target: &str) -> Environment<'_> {
    Environment::new("GET", target).expect("a good request line")
}

fn params(environment: &Environment<'_>) -> Params {
    let params = environment.params().expect("a good request");
    for (name, _) in &params {
        assert_eq!(
            params.iter().filter(|(other, _)| *other == name).count(),
            1,
            "{}",
            name.escape_ascii()
        );
    }
    params
}

fn with_headers(headers: &[(&str, &str)]) -> Params {
    params(&get("/").headers(headers.iter().copied()))
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

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

// spec: S49, S64, S66, S72, S77, S102, S103
#[test]
fn a_whole_request() {
    let params = params(
        &Environment::new("POST", "/app/index.php/a%20b?x=1&y=%41")
            .expect("a good request line")
            .headers([
                ("Host", "example.org:8443"),
                ("content-type", "application/json"),
                ("CONTENT-LENGTH", "12"),
                ("User-Agent", "curl/8"),
                ("Authorization", "Basic YTpi"),
            ])
            .protocol("HTTP/2.0")
            .https(true)
            .remote_addr(address("192.0.2.7:40000"))
            .server_addr(address("[2001:db8::1]:8443"))
            .server_software("gateway/1 (like nginx)")
            .user("Basic", "a")
            .document_root("/srv/www/")
            .script_name("/app/index.php")
            .path_info("/a b"),
    );
    let expected = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/app/index.php/a%20b?x=1&y=%41"),
        ("QUERY_STRING", "x=1&y=%41"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("REQUEST_SCHEME", "https"),
        ("HTTPS", "on"),
        ("REDIRECT_STATUS", "200"),
        ("SCRIPT_NAME", "/app/index.php"),
        ("SCRIPT_FILENAME", "/srv/www/app/index.php"),
        ("DOCUMENT_URI", "/app/index.php/a b"),
        ("DOCUMENT_ROOT", "/srv/www"),
        ("PATH_INFO", "/a b"),
        ("CONTENT_LENGTH", "12"),
        ("CONTENT_TYPE", "application/json"),
        ("SERVER_SOFTWARE", "gateway/1 (like nginx)"),
        ("SERVER_NAME", "example.org"),
        ("SERVER_PORT", "8443"),
        ("SERVER_ADDR", "2001:db8::1"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_PORT", "40000"),
        ("AUTH_TYPE", "Basic"),
        ("REMOTE_USER", "a"),
        ("HTTP_HOST", "example.org:8443"),
        ("HTTP_USER_AGENT", "curl/8"),
        ("HTTP_AUTHORIZATION", "Basic YTpi"),
    ];
    assert_eq!(pairs(&params), expected);
}

// spec: S67, S70, S71, S73, S74, S76, S78
#[test]
fn the_least_request() {
    let expected = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/"),
        ("QUERY_STRING", ""),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("REDIRECT_STATUS", "200"),
        ("SCRIPT_NAME", ""),
        ("DOCUMENT_URI", ""),
        ("SERVER_SOFTWARE", concat!("fcgi-rs/", env!("CARGO_PKG_VERSION"))),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    assert_eq!(pairs(&params(&get("/"))), expected);
}

// spec: S70, S73
#[test]
fn targets() {
    for (target, uri, query, host) in [
        ("/", "/", "", None),
        ("/a?b?c", "/a?b?c", "b?c", None),
        ("/a?", "/a?", "", None),
        ("//x/../y", "//x/../y", "", None),
        ("/http://x/", "/http://x/", "", None),
        ("*", "*", "", None),
        ("http://example.org", "/", "", Some("example.org")),
        ("http://example.org/", "/", "", Some("example.org")),
        ("HTTPS://Example.org:81/a?b", "/a?b", "b", Some("Example.org:81")),
        ("http://example.org?b", "/?b", "b", Some("example.org")),
        ("http://user:secret@example.org/a@b", "/a@b", "", Some("example.org")),
        ("http://[::1]:8080/", "/", "", Some("[::1]:8080")),
    ] {
        let params = params(&get(target));
        assert_eq!(params.get_str("REQUEST_URI"), Some(uri), "{target}");
        assert_eq!(params.get_str("QUERY_STRING"), Some(query), "{target}");
        assert_eq!(params.get_str("HTTP_HOST"), host, "{target}");
    }
    for target in [
        "",
        "a",
        "example.org:443",
        "ftp://example.org/",
        "http:/x",
        "http:///x",
        "http://user@/x",
        "/a b",
        "/a\tb",
        "/a\r\nX: y",
        "/a\0",
        "/a#b",
        "?a",
        "**",
    ] {
        assert_eq!(
            Environment::new("GET", target).map(|_| ()),
            Err(EnvironmentError::Target),
            "{target:?}"
        );
    }
    for method in ["", "GET ", "G\nT", "G/T"] {
        assert_eq!(
            Environment::new(method, "/").map(|_| ()),
            Err(EnvironmentError::Method),
            "{method:?}"
        );
    }
    assert_eq!(
        Environment::new("GET", b"/\xe9?\xff")
            .expect("bytes are kept")
            .params()
            .expect("good")
            .get("QUERY_STRING"),
        Some(&b"\xff"[..])
    );
}

// spec: S75
#[test]
fn who_names_the_host() {
    let headers = [("Host", "header.example:1")];
    let absolute =
        params(&get("http://target.example:3/").authority("authority.example:2").headers(headers));
    assert_eq!(absolute.get_str("HTTP_HOST"), Some("target.example:3"));
    let authority = params(&get("/").authority("authority.example:2").headers(headers));
    assert_eq!(authority.get_str("HTTP_HOST"), Some("authority.example:2"));
    assert_eq!(with_headers(&headers).get_str("HTTP_HOST"), Some("header.example:1"));

    for (host, name) in [
        ("example.org", "example.org"),
        ("example.org:", "example.org"),
        ("EXAMPLE.org:80", "EXAMPLE.org"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("a_b.example", "a_b.example"),
        ("127.0.0.1:9", "127.0.0.1"),
        ("a:65535", "a"),
        ("[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]"),
        ("[v1.a:b]", "[v1.a:b]"),
        ("%41%2f.example", "%41%2f.example"),
        ("", "localhost"),
    ] {
        let params = with_headers(&[("Host", host)]);
        assert_eq!(params.get_str("SERVER_NAME"), Some(name), "{host}");
        assert_eq!(params.get_str("HTTP_HOST"), Some(host));
    }
    for host in [
        "a/b",
        "a b",
        "a\\b",
        "user@host",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:99999999999999999999",
        "a:+80",
        "%",
        "a%4",
        "a%4g",
        "%41%",
        "[1]",
        "[127.0.0.1]",
        "[::1%eth0]",
        "[v1]",
        "[v.a]",
        "[v1.]",
        "[vg.a]",
        "[v1.a/b]",
        "[v1.%41]",
        "[::1",
        "[]",
        "[::1]x",
        "<script>",
        "\u{e9}.example",
        "a\"b",
        "a,b/c",
    ] {
        let environment = get("/");
        let headers = [("Host", host)];
        assert_eq!(environment.headers(headers).params(), Err(EnvironmentError::Host), "{host}");
    }
    let twice = get("/").headers([("Host", "a"), ("host", "a")]);
    assert_eq!(twice.params(), Err(EnvironmentError::Host));
}

// spec: S75, S76
#[test]
fn server_name_and_port() {
    let v4 = params(&get("/").server_addr(address("192.0.2.1:8080")));
    assert_eq!(v4.get_str("SERVER_NAME"), Some("192.0.2.1"));
    assert_eq!(v4.get_str("SERVER_PORT"), Some("8080"));
    let v6 = params(&get("/").server_addr(address("[::1]:8080")));
    assert_eq!(v6.get_str("SERVER_NAME"), Some("[::1]"));
    assert_eq!(v6.get_str("SERVER_ADDR"), Some("::1"));
    let fixed = get("/")
        .headers([("Host", "other.example:1")])
        .server_name("www.example.org")
        .server_port(443);
    let fixed = params(&fixed.server_addr(address("10.0.0.1:8080")));
    assert_eq!(fixed.get_str("SERVER_NAME"), Some("www.example.org"));
    assert_eq!(fixed.get_str("SERVER_PORT"), Some("443"));
    assert_eq!(fixed.get_str("HTTP_HOST"), Some("other.example:1"));
    assert_eq!(params(&get("/").https(true)).get_str("SERVER_PORT"), Some("443"));
}

// spec: S71
#[test]
fn mapped_addresses_are_ipv4() {
    let params = params(
        &get("/")
            .remote_addr(address("[::ffff:192.0.2.7]:0"))
            .server_addr(address("[::ffff:192.0.2.1]:80")),
    );
    assert_eq!(params.get_str("REMOTE_ADDR"), Some("192.0.2.7"));
    assert_eq!(params.get("REMOTE_PORT"), None, "not known");
    assert_eq!(params.get_str("SERVER_ADDR"), Some("192.0.2.1"));
    assert_eq!(params.get_str("SERVER_NAME"), Some("192.0.2.1"));
}

// spec: S79, S80
#[test]
fn headers_become_variables() {
    let params = with_headers(&[
        ("X-Foo-Bar", "1"),
        ("accept", "a"),
        ("X.Y", "dot"),
        ("Empty", ""),
        ("Padded", "\t x \t"),
        ("Accept", "b"),
        ("Cookie", "a=1"),
        ("ACCEPT", "c"),
        ("cookie", "b=2"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Expect", "100-continue"),
    ]);
    let http: Vec<_> =
        pairs(&params).into_iter().filter(|(name, _)| name.starts_with("HTTP_")).collect();
    assert_eq!(
        http,
        [
            ("HTTP_X_FOO_BAR", "1"),
            ("HTTP_ACCEPT", "a, b, c"),
            ("HTTP_X.Y", "dot"),
            ("HTTP_EMPTY", ""),
            ("HTTP_PADDED", "x"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
            ("HTTP_EXPECT", "100-continue"),
        ]
    );
}

// spec: S47, S81, S104
#[test]
fn headers_that_are_left_out() {
    for name in [
        "Proxy",
        "PROXY",
        "X_Forwarded_For",
        "Content_Length",
        "X-Foo_Bar",
        "",
        "X Y",
        "X:Y",
        "X\u{e9}",
        "X\nY",
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "upgrade",
    ] {
        let params = with_headers(&[(name, "x")]);
        let found = pairs(&params).into_iter().find(|(name, _)| name.starts_with("HTTP_"));
        assert_eq!(found, None, "{name:?}");
        assert_eq!(params.get("CONTENT_LENGTH"), None);
    }
    for value in ["a\0b", "a\rb", "a\nHTTP_X: b"] {
        assert_eq!(with_headers(&[("X", value)]).get("HTTP_X"), None, "{value:?}");
        assert_eq!(
            with_headers(&[("X", "a"), ("X", value)]).get_str("HTTP_X"),
            Some("a"),
            "{value:?}"
        );
        assert_eq!(
            with_headers(&[("X", value), ("X", "a")]).get_str("HTTP_X"),
            Some("a"),
            "{value:?}"
        );
    }
}

// spec: S81
#[test]
fn connection_names_hop_by_hop_headers() {
    let params = with_headers(&[
        ("Connection", "close, X-Hop ,x-other"),
        (
            "connection",
            "Host, Cookie, authorization, X-Forwarded-For, X-Real-IP, Forwarded, Content-Type",
        ),
        ("X-Hop", "1"),
        ("X-Other", "1"),
        ("X-Kept", "1"),
        ("Close", "1"),
        ("Host", "example.org"),
        ("Cookie", "a=1"),
        ("Authorization", "Basic x"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("Content-Type", "text/plain"),
    ]);
    for name in ["HTTP_X_HOP", "HTTP_X_OTHER", "HTTP_CLOSE", "HTTP_CONNECTION"] {
        assert_eq!(params.get(name), None, "{name}");
    }
    for name in [
        "HTTP_X_KEPT",
        "HTTP_HOST",
        "HTTP_COOKIE",
        "HTTP_AUTHORIZATION",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_REAL_IP",
        "HTTP_FORWARDED",
        "CONTENT_TYPE",
    ] {
        assert!(params.get(name).is_some(), "{name}");
    }
}

// spec: S80
#[test]
fn single_values_are_not_joined() {
    let params = with_headers(&[
        ("Authorization", "Basic a"),
        ("authorization", "Basic b"),
        ("User-Agent", "a"),
        ("User-Agent", "b"),
        ("Content-Type", "a/b"),
        ("Content-Type", "c/d"),
    ]);
    assert_eq!(params.get_str("HTTP_AUTHORIZATION"), Some("Basic a"));
    assert_eq!(params.get_str("HTTP_USER_AGENT"), Some("a"));
    assert_eq!(params.get_str("CONTENT_TYPE"), Some("a/b"));
    assert_eq!(params.get("HTTP_CONTENT_TYPE"), None);
}

// spec: S65
#[test]
fn content_length() {
    let length = |headers: &[(&str, &str)]| {
        let params = get("/").headers(headers.iter().copied()).params()?;
        Ok(params.get_str("CONTENT_LENGTH").map(str::to_owned))
    };
    let bad = Err(EnvironmentError::ContentLength);
    assert_eq!(length(&[]), Ok(None));
    assert_eq!(length(&[("Content-Length", "0")]), Ok(Some("0".to_owned())));
    assert_eq!(length(&[("Content-Length", "007")]), Ok(Some("7".to_owned())));
    assert_eq!(
        length(&[("Content-Length", "5"), ("content-length", "5")]),
        Ok(Some("5".to_owned()))
    );
    assert_eq!(length(&[("Content-Length", "5"), ("Content-Length", "6")]), bad);
    for value in ["", "-1", "+1", "5, 5", "0x5", "5 5", "99999999999999999999"] {
        assert_eq!(length(&[("Content-Length", value)]), bad, "{value}");
    }
    assert_eq!(length(&[("Transfer-Encoding", "chunked"), ("Content-Length", "5")]), Ok(None));

    let spooled = get("/").headers([("Transfer-Encoding", "chunked")]).content_length(9);
    assert_eq!(params(&spooled).get_str("CONTENT_LENGTH"), Some("9"));
    let unknown = get("/").headers([("Content-Length", "5")]).content_length(None);
    assert_eq!(params(&unknown).get("CONTENT_LENGTH"), None);
}

// spec: S68, S69, S74
#[test]
fn scripts() {
    for (root, name, filename, document_root) in [
        ("/srv", "/a.php", "/srv/a.php", "/srv"),
        ("/srv//", "/a.php", "/srv/a.php", "/srv"),
        ("/", "/a.php", "/a.php", "/"),
        ("C:/www", "/a.php", "C:/www/a.php", "C:/www"),
    ] {
        let params = params(&get("/").document_root(root).script_name(name));
        assert_eq!(params.get_str("SCRIPT_FILENAME"), Some(filename), "{root}");
        assert_eq!(params.get_str("DOCUMENT_ROOT"), Some(document_root), "{root}");
        assert_eq!(params.get("PATH_INFO"), None);
    }
    // PHP may take it for the script, so that only who knows better sends it.
    let environment = get("/").document_root("/srv").script_name("/a.php").path_info("/b.php");
    assert_eq!(params(&environment).get_str("PATH_INFO"), Some("/b.php"));
    assert_eq!(params(&environment).get("PATH_TRANSLATED"), None);
    let told = params(&environment.param("PATH_TRANSLATED", "/srv/b.php"));
    assert_eq!(told.get_str("PATH_TRANSLATED"), Some("/srv/b.php"));
    // Ping and status pages of php-fpm have no root.
    let ping = params(&get("/ping").script_name("/ping"));
    assert_eq!(ping.get_str("SCRIPT_FILENAME"), Some("/ping"));
    assert_eq!(ping.get("DOCUMENT_ROOT"), None);
    let elsewhere =
        params(&get("/").document_root("/srv").script_name("/a.php").script_filename("/opt/b.php"));
    assert_eq!(elsewhere.get_str("SCRIPT_FILENAME"), Some("/opt/b.php"));
}

#[test]
fn the_site_has_the_last_word() {
    let params = params(
        &get("/a?b")
            .headers([("X-Foo", "client"), ("Cookie", "a=1")])
            .param("APP_ENV", "dev")
            .param("APP_ENV", "prod")
            .param("SERVER_NAME", "site")
            .param("HTTP_X_FOO", "site")
            .param("QUERY_STRING", "gone")
            .remove("QUERY_STRING")
            .remove("HTTP_COOKIE")
            .remove("NEVER_THERE")
            .remove("BACK")
            .param("BACK", "again"),
    );
    assert_eq!(params.get_str("APP_ENV"), Some("prod"));
    assert_eq!(params.get_str("SERVER_NAME"), Some("site"));
    assert_eq!(params.get_str("HTTP_X_FOO"), Some("site"));
    assert_eq!(params.get("QUERY_STRING"), None);
    assert_eq!(params.get("HTTP_COOKIE"), None);
    assert_eq!(params.get_str("BACK"), Some("again"));
}

#[test]
fn params_are_reused() {
    let mut params = Params::new();
    params.push("OLD", "x");
    get("/").write_to(&mut params).expect("a good request");
    assert_eq!(params.get("OLD"), None);
    assert_eq!(params, get("/").params().expect("a good request"));
}

proptest! {
    // spec: S98
    #[test]
    fn no_header_reaches_a_variable_of_the_server(
        headers in proptest::collection::vec(("[ -~\\t\\r\\n\\x00-]{0,12}|Proxy|PROXY|Content-Length|X_Y", "[ -~\\n\\x00]{0,8}"), 0..6),
    ) {
        let environment = get("/").headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let Ok(params) = environment.params() else { return Ok(()) };
        let bare = get("/").params().expect("a good request");
        for (name, value) in &params {
            if name.starts_with(b"HTTP_") {
                prop_assert!(name != b"HTTP_PROXY");
                prop_assert!(name.iter().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_lowercase()));
                prop_assert!(!value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
            } else if name != b"CONTENT_LENGTH" && name != b"CONTENT_TYPE" && name != b"SERVER_NAME" {
                prop_assert_eq!(bare.get(name), Some(value));
            }
        }
    }
}
