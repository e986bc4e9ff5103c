//! `fcgi serve --compress`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use fcgi_test_support::http::{Request, Response};
use fcgi_test_support::{PhpFpm, Scripts};

use crate::support::Serve;

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// Says something, flushes it, and says the rest once the file `go` is there.
const TWO_STEPS: &str = r"<?php
while (ob_get_level() > 0) {
    ob_end_flush();
}
header('Content-Type: ' . ($_GET['type'] ?? 'text/plain'));
echo 'first ';
flush();
for ($i = 0; $i < 6000 && !file_exists(__DIR__ . '/' . $_GET['go']); $i++) {
    usleep(10000);
    clearstatcache();
}
echo 'last';
";

struct Site {
    serve: Serve,
    scripts: Scripts,
    _fpm: PhpFpm,
}

fn site(args: &[&str]) -> Site {
    let scripts = Scripts::new();
    scripts.add("steps.php", TWO_STEPS);
    scripts.add("style.css", "p { color: red }\n".repeat(1000));
    scripts.add("photo.png", vec![0; 10_000]);
    let fpm = PhpFpm::builder().workers(2).start();
    let address = fpm.address().to_string();
    let serve = Serve::start(scripts.root(), ["--fpm", &address].iter().chain(args));
    Site { serve, scripts, _fpm: fpm }
}

impl Site {
    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", target, headers)
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request::new(method, target);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send(self.serve.address())
    }
}

/// Undoes an encoding piece by piece, as a browser does.
struct Decoder {
    decoder: Box<dyn Write>,
    decoded: Shared,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    fn new(encoding: &str) -> Self {
        let decoded = Shared::default();
        let to = decoded.clone();
        let decoder: Box<dyn Write> = match encoding {
            "gzip" => Box::new(flate2::write::GzDecoder::new(to)),
            "br" => Box::new(brotli::DecompressorWriter::new(to, 4096)),
            "zstd" => Box::new(zstd::stream::write::Decoder::new(to).unwrap()),
            _ => panic!("{encoding}"),
        };
        Self { decoder, decoded }
    }

    /// Everything that is known after these bytes.
    fn add(&mut self, data: &[u8]) -> String {
        self.decoder.write_all(data).unwrap();
        self.decoder.flush().unwrap();
        String::from_utf8(self.decoded.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn what_a_script_flushes_arrives_at_once() {
    let site = site(&["--compress"]);
    for encoding in ENCODINGS {
        let request = Request::get(&format!("/steps.php?go=go-{encoding}"));
        let mut answer = request.header("Accept-Encoding", encoding).start(site.serve.address());
        assert_eq!(answer.response().header("content-encoding"), Some(encoding));
        assert_eq!(answer.response().header("vary"), Some("accept-encoding"));
        let mut decoder = Decoder::new(encoding);
        // The script waits for us: nothing else follows before.
        let mut seen = String::new();
        while seen != "first " {
            let piece = answer.more();
            assert!(!piece.is_empty(), "{encoding}: only {seen:?} came");
            seen = decoder.add(piece);
        }
        site.scripts.add(&format!("go-{encoding}"), "");
        loop {
            let piece = answer.more();
            if piece.is_empty() {
                break;
            }
            seen = decoder.add(piece);
        }
        assert!(answer.response().is_complete());
        assert_eq!(seen, "first last", "{encoding}");
    }
}

#[test]
fn what_is_left_alone() {
    let site = site(&["--compress"]);
    site.scripts.add("go", "");
    for (target, headers) in [
        // Says X-Accel-Buffering: no.
        ("/stream.php?lines=2&gap=0", &[][..]),
        ("/steps.php?go=go&type=text/event-stream", &[]),
        ("/steps.php?go=go&type=application/pdf", &[]),
        ("/photo.png", &[]),
        ("/style.css", &[("Range", "bytes=0-999")]),
        ("/zero.php", &[]),
    ] {
        let asked = [headers, &[("Accept-Encoding", "gzip, br, zstd")]].concat();
        let answer = site.get(target, &asked);
        assert_eq!(answer.header("content-encoding"), None, "{target}");
        let plain = site.get(target, headers);
        assert_eq!(answer.header("x-accel-buffering"), None);
        assert_eq!((answer.status, answer.body), (plain.status, plain.body), "{target}");
    }
}

#[test]
fn files() {
    let site = site(&["--compress"]);
    let plain = site.get("/style.css", &[]);
    assert_eq!(plain.header("content-encoding"), None);
    let etag = plain.header("etag").unwrap();
    let weak = if etag.starts_with("W/") { etag.to_owned() } else { format!("W/{etag}") };
    for encoding in ENCODINGS {
        let asked = [("Accept-Encoding", encoding)];
        let answer = site.get("/style.css", &asked);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, Some(encoding)));
        assert!(answer.body.len() < 1000, "{encoding}: {} bytes", answer.body.len());
        assert_eq!(Decoder::new(encoding).add(&answer.body), plain.text());
        assert_eq!(answer.header("accept-ranges"), None);
        assert_eq!(answer.header("etag"), Some(weak.as_str()));
        let head = site.send("HEAD", "/style.css", &asked);
        for name in ["content-encoding", "content-type", "etag", "vary", "last-modified"] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
        assert_eq!(head.header("content-length"), None);
        let confirmed = site.get("/style.css", &[asked[0], ("If-None-Match", &weak)]);
        assert_eq!((confirmed.status, confirmed.header("etag")), (304, Some(weak.as_str())));
    }
}

#[test]
fn nothing_is_compressed_unless_asked_for() {
    let site = site(&[]);
    let answer = site.get("/style.css", &[("Accept-Encoding", "gzip, br, zstd")]);
    assert_eq!((answer.header("content-encoding"), answer.body.len()), (None, 17_000));
}
