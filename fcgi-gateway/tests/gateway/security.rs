//! Attacks, by name, as raw bytes. What each would do elsewhere stands with it.
//!
//! No PHP is needed: what would be passed on gives 502, as nothing listens there. Others are where their subject is: httpoxy,
//! underscores, response splitting, a script's `Transfer-Encoding` and false lengths in `failures`; paths, scripts made of
//! other files, links and special files in `files`; slow and large heads, floods of resets in the server's own tests.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use fcgi_test_support::http::Request;

use crate::support::{LIMIT, Serve};

const SECRET: &str = "<?php $password = 'secret';";

struct Site {
    serve: Serve,
    _folder: tempfile::TempDir,
}

fn site(args: &[&str]) -> Site {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.php"), SECRET).unwrap();
    fs::write(folder.path().join("a.txt"), "content").unwrap();
    fs::write(folder.path().join("upload.jpg"), SECRET).unwrap();
    let nobody = format!("unix:{}/nobody.sock", folder.path().display());
    let args = ["--fpm", &nobody].into_iter().chain(args.iter().copied()).collect::<Vec<_>>();
    let serve = Serve::start(folder.path(), args);
    Site { serve, _folder: folder }
}

impl Site {
    fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.serve.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // The server may have seen enough before the end.
        let _ = stream.write_all(bytes.as_ref());
        stream
    }

    /// Everything that comes back until the server closes.
    fn answers(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut all = Vec::new();
        let mut stream = self.send(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The status of the first answer; 0 when the connection is closed without one.
    fn status(&self, bytes: impl AsRef<[u8]>) -> u16 {
        let mut head = [0; 12];
        match self.send(bytes).read_exact(&mut head) {
            Ok(()) => String::from_utf8_lossy(&head[9..]).parse().unwrap(),
            Err(_) => 0,
        }
    }
}

/// Two servers that disagree about the end of a request let the second request of one client be another's.
#[test]
fn request_smuggling() {
    let site = site(&[]);
    let second = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    for (fields, expected) in [
        ("Content-Length: 5\r\nContent-Length: 6", &[400][..]),
        ("Content-Length: 5, 6", &[400]),
        ("Content-Length: +5", &[400]),
        ("Content-Length: -1", &[400]),
        ("Content-Length: 0x5", &[400]),
        ("Content-Length: 5 5", &[400]),
        ("Content-Length: 99999999999999999999", &[400]),
        ("Content-Length : 5", &[400]),
        ("Transfer-Encoding : chunked", &[400]),
        ("Transfer-Encoding: chunked, gzip", &[400]),
        ("Transfer-Encoding: gzip, chunked", &[501]),
        ("Transfer-Encoding: xchunked", &[400, 501]),
        ("Transfer-Encoding: \u{b}chunked", &[400, 501]),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &[400, 501]),
        ("Transfer-Encoding: identity", &[400, 501]),
    ] {
        let request = format!("POST /x.php HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{second}");
        let status = site.status(request);
        assert!(expected.contains(&status), "{fields}: {status}");
    }
    // Both at once: whatever counts, nothing behind it is taken for a request of its own.
    let both = format!(
        "POST /x.php HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"
    );
    let answer = site.answers(&both);
    assert!(answer.matches("HTTP/1.1 ").count() <= 1 || !answer.contains("content"), "{answer}");
}

/// Sizes that one parser takes and another does not.
#[test]
fn bad_chunks() {
    let site = site(&[]);
    for chunk in [
        "g\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "1;\nx\r\n0\r\n\r\n",
    ] {
        let head = "POST /x.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let status = site.status(format!("{head}{chunk}"));
        assert!(matches!(status, 0 | 400), "{chunk:?}: {status}");
    }
}

/// A field continued on the next line hides from one parser what another sees.
#[test]
fn folded_and_broken_fields() {
    let site = site(&[]);
    for field in [
        "X: a\r\n b",
        "X: a\r\n\tb",
        " X: a",
        "X a",
        "X\0: a",
        ": a",
        "X: a\0b",
        "X: a\rb",
        "X\u{fc}: a",
    ] {
        let status = site.status(format!("GET /a.txt HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n"));
        assert_eq!(status, 400, "{field:?}");
    }
    for line in [
        "GET  /a.txt HTTP/1.1",
        "GET /a.txt HTTP/1.2",
        "GET /a.txt HTTP/3.0",
        "GET /a b.txt HTTP/1.1",
        "GET /a.txt",
        "G\u{fc}T / HTTP/1.1",
    ] {
        let status = site.status(format!("{line}\r\nHost: x\r\n\r\n"));
        assert!(matches!(status, 0 | 400 | 505), "{line:?}: {status}");
    }
}

/// Letters that fold to ASCII, blanks and dots that other systems drop, and case: none makes a script of an upload, and
/// none gives a script's source away.
#[test]
fn names_that_look_like_others() {
    let site = site(&[]);
    for target in [
        "/x.ph%EF%BD%90", // full-width p
        "/x.%E2%84%99HP",
        "/x.php%20",
        "/x.php.",
        "/x.php%2e",
        "/x.php%20.",
        "/x.php::$DATA",
        "/X.PHP",
        "/x.PhP",
        "/x.php%c0%af",
        "/upload.jpg/x.php",
        "/upload.jpg%20.php",
        "/upload.jpg/.php",
        "/upload.jpg;x.php",
        "/upload.jpg%3b.php",
        "/.x.php.swp",
        "/%2ehtaccess",
    ] {
        let response = site.serve.get(target);
        assert!(matches!(response.status, 400 | 404), "{target}: {}", response.status);
        assert!(!response.text().contains("secret"), "{target}");
    }
}

/// PHP-FPM once ran code for a newline in PATH_INFO (CVE-2019-11043); C programs end at NUL.
#[test]
fn control_characters_in_paths() {
    let site = site(&[]);
    for target in [
        "/x.php/%0a",
        "/x.php/PHP_VALUE%0Asession.auto_start=1;;;",
        "/x.php%0d%0a",
        "/x.php/%00",
        "/upload.jpg%00.php",
        "/a.txt%00",
    ] {
        assert_eq!(site.serve.get(target).status, 400, "{target}");
    }
}

/// Into other folders, in every spelling.
#[test]
fn traversal() {
    let site = site(&[]);
    for target in [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/.%2e/etc/passwd",
        "/x.php/../../../etc/passwd",
        "/..\\..\\etc\\passwd",
        "/..%5c..%5cetc%5cpasswd",
        "/%252e%252e/etc/passwd",
        "/%c0%ae%c0%ae/etc/passwd",
        "/a.txt/../../etc/passwd",
        "//etc/passwd",
        "/./.././etc/passwd",
    ] {
        let response = site.serve.get(target);
        assert!(matches!(response.status, 400 | 404), "{target}: {}", response.status);
        assert!(!response.text().contains("root:"), "{target}");
    }
}

/// Many clients that send nothing, or next to nothing, do not keep others out.
#[test]
fn idle_and_slow_clients_harm_nobody() {
    let site = site(&["--max-clients", "150"]);
    let idle = (0..100).map(|_| site.send("")).collect::<Vec<_>>();
    let slow = (0..30)
        .map(|index| match index % 3 {
            0 => site.send("GET /a.txt HTTP/1.1\r\nHost: x\r\nX: "),
            1 => site.send("POST /x.php HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nx"),
            _ => site.send(
                "POST /x.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
            ),
        })
        .collect::<Vec<_>>();
    // More than there is room for beside them: idle ones give way, and nobody else.
    let more =
        (0..50).map(|_| site.send("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")).collect::<Vec<_>>();
    for mut stream in more {
        let mut status = [0; 15];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
    }
    assert_eq!(Request::get("/a.txt").send(site.serve.address()).text(), "content");
    drop((idle, slow));
}

/// What a proxy says counts only if it is trusted.
#[test]
fn forged_addresses() {
    let forged = |site: &Site, value: &str| {
        let request = Request::get("/x.php").header("X-Forwarded-For", value);
        request.send(site.serve.address()).status
    };
    let trusting = site(&["--trusted-proxy", "127.0.0.0/8"]);
    assert_eq!(forged(&trusting, "203.0.113.9"), 502);
    assert_eq!(forged(&trusting, "no address"), 400);
    // A stranger's is not even read.
    assert_eq!(forged(&site(&["--trusted-proxy", "10.0.0.0/8"]), "no address"), 502);
    assert_eq!(forged(&site(&[]), "no address"), 502);
}
