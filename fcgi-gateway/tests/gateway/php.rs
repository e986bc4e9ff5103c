//! A site on a real PHP-FPM, over HTTP.

use core::time::Duration;
use std::time::Instant;

use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::{PhpFpm, Scripts, pattern, wait_until};

use crate::support::{LIMIT, Serve, json};

/// A site with all test scripts, its PHP-FPM, and the gateway in front.
struct Site {
    serve: Serve,
    fpm: PhpFpm,
    scripts: Scripts,
}

fn site() -> Site {
    site_on(PhpFpm::builder().workers(4))
}

fn site_on(fpm: fcgi_test_support::PhpFpmBuilder) -> Site {
    let scripts = Scripts::new();
    let fpm = fpm.start();
    let serve = Serve::with_fpm(scripts.root(), fpm.address());
    Site { serve, fpm, scripts }
}

#[test]
fn greeter() {
    let site = site_on(PhpFpm::builder().listen_tcp());
    let response = site.serve.get("/greeter.php");
    assert_eq!((response.status, response.text().as_str()), (200, "Hello World"));
    assert_eq!(site.serve.get("/greeter.php?who=Swoole").text(), "Hello Swoole");
    let form = Request::post("/greeter.php").form("who=Form").send(site.serve.address());
    assert_eq!(form.text(), "Hello Form");
    assert_eq!(site.serve.get("/zero.php").text(), "0");
    assert_eq!(Request::post("/echo.php").body("0").send(site.serve.address()).text(), "0");
}

#[test]
fn what_is_missing_is_not_found() {
    let site = site();
    for target in ["/missing", "/missing.php", "/missing.php/info", "/greeter.phpx", "/"] {
        let response = site.serve.get(target);
        assert_eq!(response.status, 404, "{target}");
        assert!(response.text().starts_with("404 Not Found: "), "{}", response.text());
    }
    let response =
        Request::get("/missing").header("Accept", "application/json").send(site.serve.address());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let value: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(value["status"], 404);
    // None of these reached PHP.
    assert_eq!(site.fpm.access_log(), "");
}

#[test]
fn what_the_script_sees() {
    let site = site();
    let root = site.scripts.root().canonicalize().unwrap();
    let root = root.to_str().unwrap();
    let address = site.serve.address();
    let response = Request::get("/env.php/a%20b/c?x=1&y=%20")
        .header("Host", "example.org:81")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Forwarded-Proto", "https")
        .header("Proxy", "http://evil.example/")
        .header("X-Test", "one")
        .header("X-Test", "two")
        .header("Cookie", "a=1")
        .header("Cookie", "b=2")
        .header("X_Underscore", "spoofed")
        .header("Authorization", "Basic dXNlcjpwYXNz")
        .send(address);
    let env = json(&response);
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/env.php"),
        ("SCRIPT_FILENAME", &format!("{root}/env.php")),
        ("DOCUMENT_ROOT", root),
        ("PATH_INFO", "/a b/c"),
        ("REQUEST_URI", "/env.php/a%20b/c?x=1&y=%20"),
        ("QUERY_STRING", "x=1&y=%20"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("SERVER_NAME", "example.org"),
        ("HTTP_HOST", "example.org:81"),
        ("SERVER_PORT", &address.port().to_string()),
        ("SERVER_ADDR", "127.0.0.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_X_TEST", "one, two"),
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_X_FORWARDED_FOR", "203.0.113.9"),
        ("PHP_AUTH_USER", "user"),
    ] {
        assert_eq!(env[name], value, "{name} in {env:#}");
    }
    assert!(env["SERVER_SOFTWARE"].as_str().unwrap().contains("nginx"), "{env:#}");
    for absent in ["HTTP_PROXY", "HTTP_X_UNDERSCORE", "HTTPS", "CONTENT_TYPE"] {
        assert_eq!(env[absent], serde_json::Value::Null, "{absent} in {env:#}");
    }
    let port = env["REMOTE_PORT"].as_str().unwrap().parse::<u16>();
    assert!(port.is_ok(), "{env:#}");
}

#[test]
fn an_absolute_target_wins_over_host() {
    let site = site();
    let response = Request::get("http://absolute.example/env.php")
        .header("Host", "other.example")
        .send(site.serve.address());
    let env = json(&response);
    assert_eq!(env["HTTP_HOST"], "absolute.example");
    assert_eq!(env["REQUEST_URI"], "/env.php");
}

#[test]
fn bodies_of_known_length() {
    let site = site();
    for size in [1, 1000, 65_535, 65_536, 1 << 20, 5 << 20] {
        let body = pattern(size);
        let response = Request::post("/echo.php").body(body.clone()).send(site.serve.address());
        assert_eq!(response.status, 200, "{size}");
        assert!(response.body == body, "{size}: {} bytes came back", response.body.len());
    }
    let env = json(
        &Request::post("/env.php")
            .header("Content-Type", "a/b")
            .body("12345")
            .send(site.serve.address()),
    );
    assert_eq!((&env["CONTENT_LENGTH"], &env["CONTENT_TYPE"]), (&"5".into(), &"a/b".into()));
}

#[test]
fn chunked_bodies_get_a_length() {
    let site = site();
    for size in [0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 3 << 20] {
        let body = pattern(size);
        let response = Request::post("/echo.php")
            .body(body.clone())
            .chunked(10_000)
            .send(site.serve.address());
        assert_eq!(response.status, 200, "{size}: {}", response.text());
        assert!(response.body == body, "{size}: {} bytes came back", response.body.len());
    }
    let env = json(&Request::post("/env.php").body("12345").chunked(2).send(site.serve.address()));
    assert_eq!(env["CONTENT_LENGTH"], "5");
    assert_eq!(env["HTTP_TRANSFER_ENCODING"], serde_json::Value::Null);
}

#[test]
fn uploads() {
    let site = site();
    let file = pattern(5 << 20);
    let mut body = b"--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA cat\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cat.bin\"\r\n\r\n"
        .to_vec();
    body.extend_from_slice(&file);
    body.extend_from_slice(b"\r\n--x--\r\n");
    let response = Request::post("/upload.php")
        .header("Content-Type", "multipart/form-data; boundary=x")
        .body(body)
        .send(site.serve.address());
    let seen = json(&response);
    assert_eq!(seen["fields"]["title"], "A cat");
    assert_eq!(
        (&seen["files"][0]["name"], &seen["files"][0]["size"]),
        (&"cat.bin".into(), &file.len().into())
    );
}

#[test]
fn long_queries_and_many_fields() {
    let site = site();
    let query = "q".repeat(16_000);
    let mut request = Request::get(&format!("/env.php?{query}"));
    for index in 0..40 {
        request = request.header(&format!("X-Field-{index}"), &"v".repeat(1000));
    }
    let env = json(&request.send(site.serve.address()));
    assert_eq!(env["QUERY_STRING"], query);
    assert_eq!(env["HTTP_X_FIELD_39"], "v".repeat(1000));
}

#[test]
fn large_responses() {
    let site = site();
    for target in ["/big.php?size=10485760", "/big.php?size=10485760&length=1"] {
        let response = site.serve.get(target);
        assert!(
            response.is_complete() && response.body == pattern(10 << 20),
            "{target}: {:?}",
            response.cut
        );
        assert_eq!(response.header("content-length").is_some(), target.ends_with("length=1"));
    }
    let response = site.serve.get("/bighead.php?size=100000");
    assert_eq!((response.status, response.text().as_str()), (200, "big head"));
    assert_eq!(response.headers.iter().filter(|(name, _)| name.starts_with("x-big-")).count(), 98);
}

#[test]
fn answers_before_the_body_is_read() {
    let site = site();
    let body = pattern(8 << 20);
    let response = Request::post("/noread.php").body(body.clone()).send(site.serve.address());
    assert_eq!(response.text(), "not read");
    let response = Request::post("/answer-first.php?mib=8")
        .header("Content-Type", "application/octet-stream")
        .body(body.clone())
        .send(site.serve.address());
    assert!(response.is_complete());
    let (answer, told) = response.body.split_at(8 << 20);
    assert!(answer.iter().all(|&byte| byte == b'a'));
    let told = String::from_utf8_lossy(told);
    assert!(told.starts_with(&format!("\nread {} ", body.len())), "{told}");
}

#[test]
fn responses_stream() {
    let site = site();
    let mut exchange = Request::get("/stream.php?lines=2&gap=600000").start(site.serve.address());
    // The second line is ten minutes away.
    assert_eq!(exchange.more(), b"line 1\n");
    assert_eq!(exchange.response().status, 200);
}

#[test]
fn two_slow_scripts_run_at_once() {
    let site = site();
    let address = site.serve.address();
    let both = || {
        let start = Instant::now();
        let other = std::thread::spawn(move || Request::get("/sleep.php?ms=1000").send(address));
        assert_eq!(Request::get("/sleep.php?ms=1000").send(address).text(), "slept 1000");
        assert_eq!(other.join().unwrap().text(), "slept 1000");
        start.elapsed()
    };
    // In turn they take two seconds at least; a busy machine may make one attempt as slow.
    assert!((0..5).any(|_| both() < Duration::from_millis(1900)));
}

/// A connection that is kept idle holds the only worker, but not for long.
#[test]
fn two_gateways_do_not_starve_each_other() {
    let site = site_on(PhpFpm::builder().workers(1));
    let other = Serve::with_fpm(site.scripts.root(), site.fpm.address());
    for serve in [&site.serve, &other, &site.serve] {
        assert_eq!(serve.get("/greeter.php").text(), "Hello World");
    }
}

#[test]
fn heads() {
    let site = site();
    let response = site.serve.get("/cookies.php");
    assert_eq!(
        response.all("set-cookie").collect::<Vec<_>>(),
        ["first=1; Path=/", "second=2; HttpOnly"]
    );
    assert_eq!(response.header("status"), None);
    // A small page's length is said by the gateway.
    assert_eq!(response.header("content-length"), Some("11"));
    let response = site.serve.get("/redirect.php?to=/x");
    assert_eq!((response.status, response.header("location")), (302, Some("/x")));
    for code in [201, 404, 418, 500, 503] {
        let response = site.serve.get(&format!("/status.php?code={code}"));
        assert_eq!((response.status, response.text()), (code, format!("status {code}")));
    }
    assert_eq!(site.serve.get("/status.php?code=404&reason=Gone+Fishing").status, 404);
}

#[test]
fn answers_without_a_body() {
    let site = site();
    let mut connection = Connection::open(site.serve.address());
    for code in [204, 304] {
        let response = connection.send(&Request::get(&format!("/status.php?code={code}")));
        assert_eq!((response.status, response.header("transfer-encoding")), (code, None));
    }
    let response = connection.send(&Request::new("HEAD", "/big.php?size=100000&length=1"));
    assert_eq!((response.status, response.header("content-length")), (200, Some("100000")));
    let response = connection.send(&Request::new("HEAD", "/greeter.php"));
    assert_eq!((response.status, response.header("content-length")), (200, None));
    // The connection is in step all the while.
    assert_eq!(connection.send(&Request::get("/greeter.php?who=again")).text(), "Hello again");
}

#[test]
fn a_front_controller_gets_what_does_not_exist() {
    let site = site();
    site.scripts.add("index.php", "<?php echo json_encode([$_SERVER['SCRIPT_NAME'], $_SERVER['REQUEST_URI'], $_SERVER['PATH_INFO'] ?? '']);");
    for target in ["/", "/hello-world/?p=1", "/missing.php/info", "/%C3%BC/%2e%2f"] {
        let seen = json(&site.serve.get(target));
        assert_eq!(seen, serde_json::json!(["/index.php", target, ""]), "{target}");
    }
    assert_eq!(
        json(&site.serve.get("/index.php/x")),
        serde_json::json!(["/index.php", "/index.php/x", "/x"])
    );
}

#[test]
fn the_root_is_resolved() {
    let (scripts, fpm, releases) = (Scripts::new(), PhpFpm::start(), tempfile::tempdir().unwrap());
    // Deployments swap such a link.
    let current = releases.path().join("current");
    std::os::unix::fs::symlink(scripts.root(), &current).unwrap();
    let serve = Serve::with_fpm(&current, fpm.address());
    let root = scripts.root().canonicalize().unwrap();
    let env = json(&serve.get("/env.php"));
    assert_eq!(env["DOCUMENT_ROOT"], root.to_str().unwrap());
    assert_eq!(env["SCRIPT_FILENAME"], root.join("env.php").to_str().unwrap());
}

#[test]
fn folders() {
    let site = site();
    site.scripts.add("shop/index.php", "<?php echo $_SERVER['SCRIPT_NAME'];");
    let response = site.serve.get("/shop?a=1&b");
    assert_eq!((response.status, response.header("location")), (308, Some("/shop/?a=1&b")));
    let response = site.serve.get("//shop");
    assert_eq!((response.status, response.header("location")), (308, Some("/shop/")));
    assert_eq!(site.serve.get("/shop/").text(), "/shop/index.php");
}

#[test]
fn stderr_is_logged_and_not_sent() {
    let site = site();
    let response = site.serve.get("/stderr.php?more=20");
    assert_eq!(response.text(), "said on stdout");
    site.serve.wait_for_log("said through error_log");
    site.serve.wait_for_log(&"e".repeat(1000));
}

#[test]
fn words_for_a_server_do_not_reach_the_client() {
    let site = site();
    let script = "<?php header('X-Accel-Redirect: /private/x'); header('x-sendfile: /etc/passwd'); header('X-Ok: 1');";
    site.scripts.add("accel.php", script);
    let response = site.serve.get("/accel.php");
    assert_eq!(response.header("x-ok"), Some("1"));
    for name in ["x-accel-redirect", "x-sendfile"] {
        assert_eq!(response.header(name), None, "{name}");
    }
}

#[test]
fn a_script_that_dies() {
    let site = site();
    let before = site.serve.get("/die.php?head=0");
    assert_eq!(before.status, 502);
    assert!(
        !before.text().contains("die.php") && !before.text().contains("fpm"),
        "{}",
        before.text()
    );
    for target in ["/die.php", "/die.php?length=0"] {
        let after = site.serve.get(target);
        assert_eq!(after.status, 200, "{target}");
        assert!(!after.is_complete(), "{target}: a cut response passed as complete");
    }
    let alive = wait_until(LIMIT, || site.serve.get("/greeter.php").status == 200);
    assert!(alive);
}

#[test]
fn a_client_that_leaves_has_handed_over_its_request() {
    let site = site_on(PhpFpm::builder().workers(1));
    site.scripts.add(
        "later.php",
        "<?php ignore_user_abort(true); touch(__DIR__ . '/ran-' . strlen(file_get_contents('php://input')));",
    );
    // The only worker is busy, so the others wait in the queue when their clients leave.
    let busy = Request::get("/sleep.php?first=1&ms=700").start(site.serve.address());
    assert_eq!(busy.response().status, 200);
    drop_after_sending(&site, b"GET /later.php HTTP/1.1\r\nHost: x\r\n\r\n");
    drop_after_sending(
        &site,
        b"POST /later.php HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345",
    );
    drop_after_sending(&site, b"POST /later.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n");
    drop(busy);
    for length in [0, 5, 3] {
        let mark = site.scripts.path(&format!("ran-{length}"));
        assert!(
            wait_until(LIMIT, || std::path::Path::new(&mark).exists()),
            "the body of {length} bytes was lost"
        );
    }
}

/// Sends a request, waits until the gateway has it, and leaves without the answer.
fn drop_after_sending(site: &Site, request: &[u8]) {
    let before = site.serve.log().matches("passed to the application").count();
    let mut connection = Connection::open(site.serve.address());
    connection.send_raw(request).unwrap();
    let passed = wait_until(LIMIT, || {
        site.serve.log().matches("passed to the application").count() > before
    });
    assert!(passed, "{}", site.serve.log());
}

#[test]
fn a_cut_upload_is_not_taken_for_a_whole_one() {
    let site = site();
    site.scripts.add(
        "count.php",
        "<?php touch(__DIR__ . '/got-' . strlen(file_get_contents('php://input')));",
    );
    let mut connection = Connection::open(site.serve.address());
    connection
        .send_raw(b"POST /count.php HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
        .unwrap();
    connection.send_raw(&[b'x'; 100_000]).unwrap();
    drop(connection);
    // A later request proves that the worker was freed; with one more than there are workers, all were.
    for _ in 0..5 {
        assert_eq!(site.serve.get("/greeter.php").status, 200);
    }
    assert!(!std::path::Path::new(&site.scripts.path("got-200000")).exists());
}

#[test]
fn other_methods_and_expectations() {
    let site = site();
    for method in ["PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let env = json(&Request::new(method, "/env.php").send(site.serve.address()));
        assert_eq!(env["REQUEST_METHOD"], method);
    }
    let response = Request::post("/echo.php")
        .header("Expect", "100-continue")
        .body("body")
        .send(site.serve.address());
    assert_eq!(response.text(), "body");
}
