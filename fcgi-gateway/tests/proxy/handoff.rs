//! Files that scripts name, and redirects within the server.

use std::path::Path;

use fcgi_gateway::{Builder, Gateway};
use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::{PhpFpm, Scripts};

use crate::support::{Application, Running};

struct Site {
    running: Running,
    scripts: Scripts,
    files: tempfile::TempDir,
    _fpm: PhpFpm,
}

fn site(set: impl FnOnce(Builder, &Path) -> Builder) -> Site {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("report 1.txt"), "0123456789").unwrap();
    std::fs::write(files.path().join(".hidden.php"), "<?php secret").unwrap();
    scripts.add(
        "send.php",
        "<?php header('Content-Type: application/x-report'); header('Cache-Control: private');
        header('Set-Cookie: a=1', false); header('Set-Cookie: b=2', false); header('Content-Disposition: attachment');
        header('X-Accel-Expires: 60'); header('X-Accel-Limit-Rate: 1'); header('X-Accel-Charset: x'); header('X-Accel-Buffering: no');
        header('ETag: \"of-the-script\"');
        header($_GET['name'] . ': ' . str_replace('$', $_GET['folder'] ?? '', $_GET['to'])); echo 'never sent';",
    );
    let running =
        Running::start(set(Gateway::builder(scripts.root()).fpm(fpm.address()), files.path()));
    Site { running, scripts, files, _fpm: fpm }
}

fn accel(to: &str) -> String {
    format!("/send.php?name=X-Accel-Redirect&to={to}")
}

#[test]
fn accel_redirect_sends_the_file_with_the_headers_of_the_script() {
    let site = site(|gateway, files| gateway.accel_redirect("/protected", files));
    let response = site.running.get(&accel("/protected/report%25201.txt"));
    assert_eq!((response.status, response.text().as_str()), (200, "0123456789"));
    assert!(response.is_complete());
    assert_eq!(response.header("content-type"), Some("application/x-report"));
    assert_eq!(response.header("cache-control"), Some("private"));
    assert_eq!(response.header("content-disposition"), Some("attachment"));
    assert_eq!(response.header("content-length"), Some("10"));
    assert_eq!(response.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_ne!(response.header("etag"), Some("\"of-the-script\""));
    let for_server =
        response.headers.iter().find(|(name, _)| name.to_lowercase().starts_with("x-accel"));
    assert_eq!(for_server, None);

    // It is a file like any other.
    let part = Request::get(&accel("/protected/report%25201.txt")).header("Range", "bytes=2-4");
    let part = part.send(site.running.address);
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    let etag = response.header("etag").unwrap().to_owned();
    let same = Request::get(&accel("/protected/report%25201.txt")).header("If-None-Match", &etag);
    assert_eq!(same.send(site.running.address).status, 304);
    // Whatever the request was, the file is fetched.
    let posted =
        Request::post(&accel("/protected/report%25201.txt")).body("x").send(site.running.address);
    assert_eq!((posted.status, posted.text().as_str()), (200, "0123456789"));
    let head =
        Request::new("HEAD", &accel("/protected/report%25201.txt")).send(site.running.address);
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
    // What a site never shows, a script may.
    assert_eq!(site.running.get(&accel("/protected/.hidden.php")).text(), "<?php secret");
    // Nobody else gets there.
    assert_eq!(site.running.get("/protected/report%201.txt").status, 404);
}

#[test]
fn accel_redirect_leads_nowhere_else() {
    let site = site(|gateway, files| gateway.accel_redirect("/protected", files));
    assert_eq!(site.running.get(&accel("/protected/none.txt")).status, 404);
    for to in
        ["/greeter.php", "/protected/../send.php", "/protected/%252e%252e/x", "x", "/etc/passwd"]
    {
        let response = site.running.get(&accel(to));
        assert_eq!(response.status, 500, "{to}");
        assert!(
            !response.text().contains("never sent") && !response.text().contains("passwd"),
            "{}",
            response.text()
        );
        assert_eq!(response.header("x-accel-redirect"), None);
    }
    // X-Sendfile is off all the same: an ordinary answer, without the header.
    let response = site.running.get("/send.php?name=X-Sendfile&to=/etc/passwd");
    assert_eq!((response.status, response.text().as_str()), (200, "never sent"));
    assert_eq!(response.header("x-sendfile"), None);
}

#[test]
fn sendfile_from_its_folders_alone() {
    let site = site(|gateway, files| gateway.sendfile(files));
    let folder = site.files.path().to_str().unwrap();
    let get =
        |to: &str| site.running.get(&format!("/send.php?name=X-Sendfile&folder={folder}&to={to}"));
    let response = get("$/report%201.txt");
    assert_eq!((response.status, response.text().as_str()), (200, "0123456789"));
    assert_eq!(response.header("content-type"), Some("application/x-report"));
    assert_eq!(response.header("x-sendfile"), None);
    assert_eq!(get("$/none").status, 404);
    let script = site.scripts.path("send.php");
    for to in ["/etc/passwd", "$/../x", "report%201.txt", &script] {
        assert_eq!(get(to).status, 500, "{to}");
    }
}

#[test]
fn the_connection_is_kept_by_either_side() {
    let site = site(|gateway, files| gateway.accel_redirect("/protected", files));
    let mut client = Connection::open(site.running.address);
    for _ in 0..20 {
        let response = client.send(&Request::get(&accel("/protected/report%25201.txt")));
        assert_eq!(response.text(), "0123456789");
    }
    for target in ["/big.php?size=300000&length=1", "/greeter.php"] {
        for _ in 0..5 {
            assert!(client.send(&Request::get(target)).is_complete());
        }
    }
    let metrics = site.running.gateway.pool_metrics();
    assert!(metrics.pool.dials <= 5, "{metrics:?}");
    assert!(metrics.pool.reuses >= 25, "{metrics:?}");
}

#[test]
fn folders_that_are_not_there_are_found_at_once() {
    let scripts = Scripts::new();
    for gateway in [
        Gateway::builder(scripts.root()).accel_redirect("/x", "/nowhere"),
        Gateway::builder(scripts.root()).sendfile("/nowhere"),
    ] {
        let error = gateway.fpm("127.0.0.1:9").build().unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}

/// An application that is no PHP, since that cannot send `Location` alone.
#[test]
fn redirects_within_the_server_are_followed() {
    let application = Application::start(async |mut request: fcgi_tokio::server::Request| {
        let param = |name| request.param(name).unwrap_or("-").to_owned();
        let answer = match param("PATH_INFO").as_str() {
            "/old" => "Location: /new?from=old\r\n\r\n".to_owned(),
            "/circle" => "Location: /circle\r\n\r\n".to_owned(),
            "/outside" => "Location: //example.org/\r\n\r\n".to_owned(),
            "/with-status" => "Status: 303\r\nLocation: /new\r\n\r\n".to_owned(),
            path => format!(
                "Content-Type: text/plain\r\n\r\n{} {path} {} {} {}",
                param("REQUEST_METHOD"),
                param("QUERY_STRING"),
                param("CONTENT_LENGTH"),
                param("HTTP_HOST"),
            ),
        };
        request.stdout.write(answer).await?;
        Ok::<_, std::io::Error>(0)
    });
    let running = Running::start(Gateway::to_application(application.address()));
    let host = running.address.to_string();
    let seen = format!("GET /new from=old - {host}");
    assert_eq!(running.get("/old").text(), seen);
    assert_eq!(Request::post("/old").body("abc").send(running.address).text(), seen);
    assert_eq!(Request::new("HEAD", "/old").send(running.address).status, 200);
    assert_eq!(running.get("/circle").status, 500);
    for (target, status, location) in
        [("/outside", 302, "//example.org/"), ("/with-status", 303, "/new")]
    {
        let response = running.get(target);
        assert_eq!((response.status, response.header("location")), (status, Some(location)));
    }
}
