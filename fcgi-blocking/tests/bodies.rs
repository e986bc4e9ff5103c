//! What a request can carry, and what comes back, with a real php-fpm on the other side.

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fcgi_blocking::{
    Body, Chunk, Client, Error, ErrorKind, LengthError, Multipart, Part, Phase, Request,
    SpoolConfig, Timeouts,
};
use fcgi_proto::{BodyLen, RequestError};
use fcgi_test_support::{PhpFpm, Scripts, pattern};
use md5::{Digest, Md5};
use tempfile::NamedTempFile;

struct Site {
    fpm: PhpFpm,
    scripts: Scripts,
}

impl Site {
    fn start() -> Self {
        let fpm = PhpFpm::builder().workers(1).listen_unix().start();
        Self { fpm, scripts: Scripts::new() }
    }

    fn get(&self, script: &str) -> Request {
        Request::get(self.scripts.path(script))
    }

    fn post(&self, script: &str) -> Request {
        Request::post(self.scripts.path(script)).content_type("application/octet-stream")
    }

    fn client(&self) -> Client {
        Client::new(self.fpm.address().parse().expect("an address"))
    }

    fn text(&self, request: Request) -> String {
        let answer = self.client().call(request).expect("an answer");
        String::from_utf8(answer.into_body().into()).expect("UTF-8")
    }
}

/// What `hash.php` says of a body.
fn hash(body: &[u8]) -> String {
    format!(r#""length":{},"md5":"{:x}""#, body.len(), Md5::digest(body))
}

fn streamed(size: usize) -> Body {
    Body::reader(Cursor::new(pattern(size)), None)
}

fn file_of(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    file
}

#[test]
fn readers_of_unknown_length_arrive_whole() {
    let site = Site::start();
    // Nothing, in memory, just beyond it, and far beyond it.
    for size in [0, 1, 300 * 1024, 5 * 1024 * 1024] {
        let text = site.text(site.post("hash.php").body(streamed(size)));
        assert!(text.contains(&hash(&pattern(size))), "{size}: {text}");
    }
}

#[test]
fn files_arrive_whole_and_from_where_they_stand() {
    let site = Site::start();
    let content = pattern(3 * 1024 * 1024);
    let file = file_of(&content);
    let body = Body::open(file.path()).expect("a body");
    assert_eq!(body.content_length(), Some(content.len() as u64));
    let text = site.text(site.post("hash.php").body(body));
    assert!(text.contains(&hash(&content)), "{text}");

    let mut half = std::fs::File::open(file.path()).expect("it is there");
    half.seek(SeekFrom::Start(1024 * 1024)).expect("a seek");
    let text = site.text(site.post("hash.php").body(Body::file(half).expect("a body")));
    assert!(text.contains(&hash(&content[1024 * 1024..])), "{text}");
    assert!(Body::open("/nonexistent").is_err());
}

#[test]
fn a_pipe_is_a_file_of_unknown_length() {
    let site = Site::start();
    let (reader, mut writer) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let body = Body::file(std::fs::File::from(std::os::fd::OwnedFd::from(reader)));
    let body = body.expect("a body");
    assert_eq!(body.content_length(), None);
    writer.write_all(b"through a pipe").expect("written");
    drop(writer);
    assert_eq!(site.text(site.post("echo.php").body(body)), "through a pipe");
}

fn length_error(error: &Error) -> LengthError {
    assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
    let source = std::error::Error::source(error).expect("a cause");
    *source.downcast_ref().expect("a LengthError")
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_an_error() {
    let site = Site::start();
    let mut file = file_of(&pattern(100_000));
    for in_form in [false, true] {
        let body = Body::open(file.path()).expect("a body");
        file.write_all(b"more").expect("it grows");
        let request = if in_form {
            site.post("upload.php").multipart(Multipart::new().file("f", "n", body))
        } else {
            site.post("hash.php").body(body)
        };
        let error = site.client().call(request).unwrap_err();
        assert_eq!(length_error(&error), LengthError::TooLong { excess: 4 });
    }
    let body = Body::open(file.path()).expect("a body");
    file.as_file().set_len(60_000).expect("it shrinks");
    let error = site.client().call(site.post("hash.php").body(body)).unwrap_err();
    assert_eq!(length_error(&error), LengthError::TooShort { missing: 40_008 });
    // The connection was closed, and the worker serves again.
    assert_eq!(site.text(site.post("zero.php")), "0");
}

#[test]
fn fields_and_files_with_odd_names_reach_post_and_files() {
    let site = Site::start();
    let large = pattern(1024 * 1024);
    let file = file_of(&large);
    let photo = Part::new(Body::open(file.path()).expect("a body"))
        .file_name("na\"me ü\r\n.jpg")
        .content_type("image/jpeg");
    let form = Multipart::new()
        .text("who", "Swoole")
        .text("lines", "a\r\nb\n--c")
        .part("photo", photo)
        .file("read", "reader.bin", Body::reader(Cursor::new(pattern(70_000)), Some(70_000)))
        .file("none", "", "")
        .text("after", "ü");
    let text = site.text(Request::post(site.scripts.path("upload.php")).multipart(form));
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["fields"]["who"], "Swoole");
    assert_eq!(answer["fields"]["lines"], "a\r\nb\n--c");
    assert_eq!(answer["fields"]["after"], "ü");
    let files = answer["files"].as_array().expect("files");
    assert_eq!(files.len(), 3, "{text}");
    assert_eq!(files[0]["name"], "na%22me ü%0D%0A.jpg");
    assert_eq!(files[0]["type"], "image/jpeg");
    assert_eq!(files[0]["md5"], format!("{:x}", Md5::digest(&large)));
    assert_eq!(files[1]["md5"], format!("{:x}", Md5::digest(pattern(70_000))));
    assert_eq!(files[2]["error"], 4, "UPLOAD_ERR_NO_FILE");
}

#[test]
fn a_form_with_readers_of_unknown_length_arrives_whole() {
    let site = Site::start();
    let form = Multipart::new()
        .text("a", "1")
        .file("f", "n", streamed(700_000))
        .file("g", "n", streamed(10))
        .text("b", "2");
    let text = site.text(site.post("upload.php").multipart(form));
    assert!(text.contains(r#""a":"1","b":"2""#), "{text}");
    for size in [700_000, 10] {
        assert!(text.contains(&format!("{:x}", Md5::digest(pattern(size)))), "{text}");
    }
}

#[test]
fn json_is_in_php_input() {
    let site = Site::start();
    let json = r#"{"who":"Swoole","n":[1,2]}"#;
    assert_eq!(site.text(Request::post(site.scripts.path("echo.php")).json_text(json)), json);
    let text = site.text(Request::post(site.scripts.path("env.php")).json_text(json));
    assert!(text.contains(r#""CONTENT_TYPE":"application/json""#), "{text}");
}

#[cfg(feature = "json")]
#[test]
fn json_from_a_value() {
    let site = Site::start();
    let request = site.post("echo.php").json(&["a", "b"]).expect("it has a form");
    assert_eq!(site.text(request), r#"["a","b"]"#);
}

#[test]
fn a_body_over_the_limit_is_refused_before_a_worker_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peer.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let client = Client::new(format!("unix:{}", path.display()).parse().expect("an address"));
    let limit = SpoolConfig::default().max_memory(1000).max_body(100_000);
    let request = || Request::post("/x.php").body(streamed(100_001));
    for result in [client.clone().spool(limit).call(request()), client.call(request().spool(limit))]
    {
        let error = result.expect_err("too large");
        let kind = ErrorKind::Request(RequestError::BodyTooLarge { limit: 100_000 });
        assert_eq!((error.kind(), error.phase()), (kind, Some(Phase::Spool)), "{error}");
        assert!(!error.is_begun() && error.address().is_some());
    }
    listener.set_nonblocking(true).expect("it can");
    assert!(listener.accept().is_err(), "nobody was asked");
    // What is exactly as long is taken.
    let site = Site::start();
    let request = site.post("hash.php").spool(limit).body(streamed(100_000));
    assert!(site.text(request).contains(&hash(&pattern(100_000))));
}

#[test]
fn collecting_can_be_switched_off() {
    let site = Site::start();
    let request = site.post("hash.php").spool(SpoolConfig::OFF).body(streamed(10_000));
    assert!(site.text(request).contains(&hash(b"")), "php reads no body without its length");
}

/// Gives nothing until its other end is dropped.
struct Stalled(mpsc::Receiver<()>);

impl Read for Stalled {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(0)
    }
}

#[test]
fn a_source_that_stalls_while_it_is_collected_is_not_waited_for_longer_than_the_limits() {
    let client = Client::new("unix:/nonexistent".parse().expect("an address"));
    let short = Duration::from_millis(30);
    for (timeouts, phase) in [
        (Timeouts::default().with_idle(short), Phase::Idle),
        (Timeouts::default().with_total(short), Phase::Total),
    ] {
        let (_keep, stalled) = mpsc::channel();
        let body = Body::reader(Stalled(stalled), None);
        let request = Request::post("/x.php").timeouts(timeouts).body(body);
        let error = client.call(request).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{error}");
        assert_eq!(error.limit(), Some(short));
        assert!(!error.is_begun() && error.is_safe_to_retry());
    }
}

#[test]
fn error_output_comes_in_order_with_the_body_and_times_are_told() {
    let site = Site::start();
    let mut response = site.client().execute(site.get("stderr.php?more=3")).expect("an answer");
    assert_eq!((response.app_status(), response.timings().total), (None, None));
    let (mut body, mut stderr) = (Vec::new(), Vec::new());
    while let Some(chunk) = response.output().expect("all of it") {
        match chunk {
            Chunk::Body(data) => body.extend_from_slice(&data),
            Chunk::Stderr(data) => stderr.extend_from_slice(&data),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(body, b"said on stdout");
    assert!(stderr.starts_with(b"PHP message: said through error_log"));
    assert_eq!(response.app_status(), Some(0));
    let timings = response.timings();
    assert!(timings.total.expect("it is over") >= timings.first_byte, "{timings:?}");
    assert!(!timings.first_byte.is_zero() && !timings.connect.is_zero(), "{timings:?}");
    assert!(response.address().to_string().contains("sock"));
}

#[test]
fn both_outputs_come_while_the_script_still_runs() {
    let site = Site::start();
    let (tell, told) = mpsc::channel();
    let (client, request) = (site.client(), site.get("sleep.php?log&first&ms=60000"));
    thread::spawn(move || {
        let mut response = client.execute(request).expect("an answer");
        while let Ok(Some(chunk)) = response.output() {
            if tell.send(chunk).is_err() {
                return;
            }
        }
    });
    // The script sleeps for longer than this waits.
    let next = || told.recv_timeout(Duration::from_secs(30)).expect("in time");
    let Chunk::Stderr(stderr) = next() else { panic!("the error output was written first") };
    assert!(stderr.starts_with(b"PHP message: about to sleep"), "{stderr:?}");
    assert_eq!(next(), Chunk::Body("first\n".into()));
}

#[test]
fn status_reason_and_headers() {
    let site = Site::start();
    let request = site.get("status.php?code=404");
    let response = site.client().execute(request).expect("an answer");
    assert_eq!((response.status(), response.reason()), (404, &b"Not Found"[..]));
    drop(response);
    let response = site.client().execute(site.get("cookies.php")).expect("an answer");
    assert_eq!(response.set_cookies().count(), 2);
    assert!(response.headers().count() > 2);
    let (_, body) = response.into_parts();
    let lines: Vec<_> = body.lines().map(|line| line.expect("a line")).collect();
    assert!(!lines.is_empty());
}
