//! Static files, and what is never one. No PHP is needed: nothing here may reach it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use fcgi_test_support::http::{Connection, Request};

use crate::support::Serve;

const SECRET: &str = "<?php $password = 'secret';";

struct Site {
    serve: Serve,
    folder: tempfile::TempDir,
}

impl Site {
    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Whatever is passed to PHP gives 502, as nothing listens there.
fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("unix:{}/nobody.sock", folder.path().display());
    let serve = Serve::with_fpm(folder.path(), &nobody);
    Site { serve, folder }
}

#[test]
fn types_and_validators() {
    let site = site();
    for (name, content_type) in [
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.html", "text/html"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.json", "application/json"),
        ("unknown", "application/octet-stream"),
        ("x y/ü.txt", "text/plain"),
    ] {
        site.write(name, "content");
        let target = format!("/{}", name.replace(' ', "%20").replace('ü', "%C3%BC"));
        let response = site.serve.get(&target);
        assert_eq!((response.status, response.text().as_str()), (200, "content"), "{name}");
        assert_eq!(response.header("content-type"), Some(content_type), "{name}");
        assert!(response.header("etag").is_some() && response.header("last-modified").is_some());
    }
    let etag = site.serve.get("/a.css").header("etag").unwrap().to_owned();
    let response = Request::get("/a.css").header("If-None-Match", &etag).send(site.serve.address());
    assert_eq!((response.status, response.body.len()), (304, 0));
    let response = Request::get("/a.css").header("Range", "bytes=1-3").send(site.serve.address());
    assert_eq!((response.status, response.text().as_str()), (206, "ont"));
    assert_eq!(response.header("content-range"), Some("bytes 1-3/7"));
}

#[test]
fn methods() {
    let site = site();
    site.write("a.txt", "content");
    let mut connection = Connection::open(site.serve.address());
    let response = connection.send(&Request::new("HEAD", "/a.txt"));
    assert_eq!((response.status, response.header("content-length")), (200, Some("7")));
    let response = connection.send(&Request::post("/a.txt"));
    assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")));
    assert!(response.text().starts_with("405 "), "{}", response.text());
    assert_eq!(connection.send(&Request::get("/a.txt")).text(), "content");
}

#[test]
fn sources_and_dotfiles_are_never_sent() {
    let site = site();
    let names = [
        ".env",
        ".htaccess",
        ".git/config",
        "sub/.hidden",
        ".well-known/.env",
        "a.php5",
        "a.php7",
        "a.phtml",
        "a.phar",
        "a.PHTML",
        "a.inc",
        "lib/db.INC",
        "a.php.bak",
        "a.php~",
        "a.php.save",
        "a.php.",
        "a.php ",
        "a.php.txt",
        "a.phps",
        "#a.php#",
        "notes~",
        "dump.bak",
        "composer.json",
        "composer.lock",
    ];
    for name in names {
        site.write(name, SECRET);
        let target = format!("/{}", name.replace(' ', "%20").replace('#', "%23"));
        let response = site.serve.get(&target);
        assert_eq!(response.status, 404, "{name}");
        assert!(!response.text().contains("secret"), "{name}");
    }
    // What is a script goes to PHP, in whatever spelling, and is never sent.
    for (name, target) in [
        ("x.php", "/x.php"),
        ("x.php", "/x.php/"),
        ("x.php", "/x%2ephp"),
        ("x.php", "//x.php"),
        ("x.php", "/./x.php"),
        ("UPPER.PHP", "/UPPER.PHP"),
        ("x.php", "/x.php/style.css"),
    ] {
        site.write(name, SECRET);
        let response = site.serve.get(target);
        assert_eq!(response.status, 502, "{target}");
        assert!(!response.text().contains("secret"), "{target}");
    }
    site.write(".well-known/security.txt", "Contact: x");
    assert_eq!(site.serve.get("/.well-known/security.txt").text(), "Contact: x");
}

#[test]
fn a_script_is_never_made_of_another_file() {
    let site = site();
    site.write("upload.jpg", SECRET);
    fs::create_dir(site.root().join("folder.php")).unwrap();
    site.write("folder.php/inner.txt", "inner");
    site.write("x.php", SECRET);
    for target in [
        "/x.php%2fstyle.css",
        "/x.php%5c",
        "/upload.jpg/x.php",
        "/upload.jpg/.php",
        "/upload.jpg%2fx.php",
        "/folder.php",
        "/folder.php/",
    ] {
        assert_eq!(site.serve.get(target).status, 404, "{target}");
    }
    assert_eq!(site.serve.get("/folder.php/inner.txt").text(), "inner");
    for target in [
        "/upload.jpg%00.php",
        "/upload.jpg%0a.php",
        "/x.php%0d%0a/y",
        "/%zz",
        "/%2e%2e/x",
        "/a/../../etc/passwd",
    ] {
        assert_eq!(site.serve.get(target).status, 400, "{target}");
    }
}

#[test]
fn nothing_outside_is_reached() {
    let site = site();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.txt"), "outside").unwrap();
    let name = site.root().file_name().unwrap().to_str().unwrap();
    // A neighbour whose name starts like the root's.
    let neighbour = site.root().with_file_name(format!("{name}-old"));
    fs::create_dir(&neighbour).unwrap();
    fs::write(neighbour.join("x.txt"), "outside").unwrap();
    for target in [
        "/../x.txt".to_owned(),
        format!("/..%2f{name}-old/x.txt"),
        format!("/%2e%2e/{name}-old/x.txt"),
        "/..%5cx.txt".to_owned(),
        "/%252e%252e/x.txt".to_owned(),
    ] {
        let response = site.serve.get(&target);
        assert!(matches!(response.status, 400 | 404), "{target}: {}", response.status);
    }
    fs::remove_dir_all(neighbour).unwrap();
    // A link is followed when its owner may have meant it.
    symlink(outside.path(), site.root().join("link")).unwrap();
    assert_eq!(site.serve.get("/link/x.txt").text(), "outside");
    if std::os::unix::fs::lchown(site.root().join("link"), Some(12345), None).is_ok() {
        assert_eq!(site.serve.get("/link/x.txt").status, 404);
        site.serve.wait_for_log("symbolic link refused");
    }
}

#[test]
fn links_are_followed_as_the_site_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.txt"), "linked").unwrap();
    symlink("x.txt", folder.path().join("link.txt")).unwrap();
    let is_foreign = std::os::unix::fs::lchown(folder.path().join("link.txt"), Some(12345), None);
    let of_owner = if is_foreign.is_ok() { 404 } else { 200 };
    for (which, status) in [("owner", of_owner), ("always", 200), ("never", 404)] {
        let args = ["--fpm", "unix:/nowhere.sock", "--symlinks", which];
        let serve = Serve::start(folder.path(), args);
        assert_eq!(serve.get("/link.txt").status, status, "{which}");
        assert_eq!(serve.get("/x.txt").text(), "linked", "{which}");
    }
}

#[test]
fn special_files_do_not_hang_it() {
    let site = site();
    let fifo = site.root().join("fifo.txt");
    let mode = rustix::fs::Mode::from_bits_retain(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(site.serve.get("/fifo.txt").status, 404);
    symlink(&fifo, site.root().join("fifo.php")).unwrap();
    assert_eq!(site.serve.get("/fifo.php").status, 404);
}

#[test]
fn redirects_stay_on_this_site() {
    let site = site();
    site.write("docs/index.html", "docs");
    for (target, location) in [
        ("/docs", "/docs/"),
        ("/docs?a=//b", "/docs/?a=//b"),
        ("//docs", "/docs/"),
        ("///docs?x", "/docs/?x"),
    ] {
        let response = site.serve.get(target);
        assert_eq!(
            (response.status, response.header("location")),
            (308, Some(location)),
            "{target}"
        );
    }
    assert_eq!(site.serve.get("/docs/").text(), "docs");
}

#[test]
fn hosts() {
    let site = site();
    site.write("a.txt", "content");
    let send = |request: &str| {
        let mut connection = Connection::open(site.serve.address());
        connection.send_raw(request.as_bytes()).unwrap();
        connection.response(false).status
    };
    for (request, status) in [
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
        ("GET /a.txt HTTP/1.0\r\n\r\n", 200),
        ("GET /a.txt HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        ("GET /a.txt HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", 400),
        ("GET /a.txt HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 204),
        ("GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
        ("TRACE /x.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n", 405),
    ] {
        assert_eq!(send(request), status, "{request}");
    }
}
