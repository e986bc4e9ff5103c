//! WordPress is ready for its installer.

use crate::support::{body, exchange, request};
use fcgi_test_support::{PhpCgi, PhpFpm, Socket, WordPress};

fn page(socket: Socket, root: &str, script: &str) -> String {
    let (stdout, ended) = exchange(
        socket,
        &request(&[
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_FILENAME", &format!("{root}{script}")),
            ("SCRIPT_NAME", script),
            ("REQUEST_URI", script),
            ("DOCUMENT_ROOT", root),
            ("HTTP_HOST", "127.0.0.1:8080"),
            ("SERVER_NAME", "127.0.0.1"),
            ("SERVER_PORT", "8080"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REMOTE_ADDR", "127.0.0.1"),
        ]),
    );
    assert!(ended);
    String::from_utf8_lossy(&stdout).into_owned()
}

#[test]
fn the_installer_renders() {
    let wordpress = WordPress::install();
    let root = wordpress.root();
    let root = root.to_str().expect("a path in UTF-8");
    let cgi = PhpCgi::start();
    let fpm = PhpFpm::start();
    for connect in [&(|| cgi.connect()) as &dyn Fn() -> std::io::Result<Socket>, &|| fpm.connect()]
    {
        let installer = page(connect().expect("PHP listens"), root, "/wp-admin/install.php");
        let html = body(installer.as_bytes());
        assert!(html.starts_with(b"<!DOCTYPE html>"), "{installer}");
        assert!(
            installer.contains(r#"<form id="setup" method="post" action="install.php?step=2""#),
            "{installer}"
        );
        let front = page(connect().expect("PHP listens"), root, "/index.php");
        let location = "Location: http://127.0.0.1:8080/wp-admin/install.php\r\n";
        assert!(front.starts_with("Status: 302") && front.contains(location), "{front}");
    }
}
