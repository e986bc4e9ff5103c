//! What a request can carry, as a real php-fpm receives it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::{BodyLen, RequestError};
use fcgi_test_support::{PhpFpm, Scripts, pattern};
use fcgi_tokio::{
    Address, Body, Client, Error, ErrorKind, LengthError, Multipart, Part, Phase, Pool, PoolConfig,
    Request, SpoolConfig, Timeouts,
};
use md5::{Digest, Md5};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Site {
    fpm: PhpFpm,
    scripts: Scripts,
}

impl Site {
    fn start() -> Self {
        let fpm = PhpFpm::builder().workers(1).listen_unix().start();
        Self { fpm, scripts: Scripts::new() }
    }

    fn post(&self, script: &str) -> Request {
        Request::post(self.scripts.path(script)).content_type("application/octet-stream")
    }

    fn client(&self) -> Client {
        Client::new(self.fpm.address().parse().expect("an address"))
    }

    async fn text(&self, request: Request) -> String {
        let answer = self.client().call(request).await.expect("an answer");
        String::from_utf8(answer.into_body().into()).expect("UTF-8")
    }
}

/// What `hash.php` says of a body.
fn hash(body: &[u8]) -> String {
    format!(r#""length":{},"md5":"{:x}""#, body.len(), Md5::digest(body))
}

/// A stream in pieces, of unknown length.
struct Pieces(Vec<u8>);

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let count = self.0.len().min(10_007);
        let rest = self.0.split_off(count);
        let piece = std::mem::replace(&mut self.0, rest);
        Poll::Ready((count > 0).then(|| Ok(piece.into())))
    }
}

fn streamed(size: usize) -> Body {
    Body::stream(Pieces(pattern(size)), None)
}

fn file_of(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    file
}

#[tokio::test]
async fn streams_of_unknown_length_arrive_whole() {
    let site = Site::start();
    // Nothing, in memory, just beyond it, and far beyond it.
    for size in [0, 1, 300 * 1024, 5 * 1024 * 1024] {
        let text = site.text(site.post("hash.php").body(streamed(size))).await;
        assert!(text.contains(&hash(&pattern(size))), "{size}: {text}");
        let body = Body::reader(std::io::Cursor::new(pattern(size)), None);
        let text = site.text(site.post("hash.php").body(body)).await;
        assert!(text.contains(&hash(&pattern(size))), "{size}: {text}");
    }
}

#[tokio::test]
async fn files_arrive_whole_and_from_where_they_stand() {
    let site = Site::start();
    let content = pattern(3 * 1024 * 1024);
    let file = file_of(&content);
    let body = Body::open(file.path()).await.expect("a body");
    assert_eq!(body.content_length(), Some(content.len() as u64));
    let text = site.text(site.post("hash.php").body(body)).await;
    assert!(text.contains(&hash(&content)), "{text}");

    let mut half = std::fs::File::open(file.path()).expect("it is there");
    std::io::Seek::seek(&mut half, std::io::SeekFrom::Start(1024 * 1024)).expect("a seek");
    let body = Body::file(half).await.expect("a body");
    let text = site.text(site.post("hash.php").body(body)).await;
    assert!(text.contains(&hash(&content[1024 * 1024..])), "{text}");
    assert!(Body::open("/nonexistent").await.is_err());
}

#[tokio::test]
async fn a_pipe_is_a_file_of_unknown_length() {
    let site = Site::start();
    let (writer, reader) = tokio::net::unix::pipe::pipe().expect("a pipe");
    let mut writer = std::fs::File::from(writer.into_blocking_fd().expect("its end"));
    let reader = std::fs::File::from(reader.into_blocking_fd().expect("its other end"));
    let body = Body::file(reader).await;
    let body = body.expect("a body");
    assert_eq!(body.content_length(), None);
    writer.write_all(b"through a pipe").expect("written");
    drop(writer);
    assert_eq!(site.text(site.post("echo.php").body(body)).await, "through a pipe");
}

fn length_error(error: &Error) -> LengthError {
    assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
    let source = std::error::Error::source(error).expect("a cause");
    *source.downcast_ref().expect("a LengthError")
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_an_error() {
    let site = Site::start();
    let mut file = file_of(&pattern(100_000));
    for in_form in [false, true] {
        let body = Body::open(file.path()).await.expect("a body");
        file.write_all(b"more").expect("it grows");
        let request = if in_form {
            site.post("upload.php").multipart(Multipart::new().file("f", "n", body))
        } else {
            site.post("hash.php").body(body)
        };
        let error = site.client().call(request).await.unwrap_err();
        assert_eq!(length_error(&error), LengthError::TooLong { excess: 4 });
    }
    let body = Body::open(file.path()).await.expect("a body");
    file.as_file().set_len(60_000).expect("it shrinks");
    let error = site.client().call(site.post("hash.php").body(body)).await.unwrap_err();
    assert_eq!(length_error(&error), LengthError::TooShort { missing: 40_008 });
    // The connection was closed, and the worker serves again.
    assert_eq!(site.text(site.post("zero.php")).await, "0");
}

#[tokio::test]
async fn fields_and_files_with_odd_names_reach_post_and_files() {
    let site = Site::start();
    let large = pattern(1024 * 1024);
    let file = file_of(&large);
    let photo = Part::new(Body::open(file.path()).await.expect("a body"))
        .file_name("na\"me ü\r\n.jpg")
        .content_type("image/jpeg");
    let form = Multipart::new()
        .text("who", "Swoole")
        .text("lines", "a\r\nb\n--c")
        .text("quo\"te", "q")
        .part("photo", photo)
        .file("empty", "nothing.bin", Body::empty())
        .file("none", "", "")
        .text("after", "ü");
    let text = site.text(Request::post(site.scripts.path("upload.php")).multipart(form)).await;
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["fields"]["who"], "Swoole");
    assert_eq!(answer["fields"]["lines"], "a\r\nb\n--c");
    assert_eq!(answer["fields"]["quo%22te"], "q");
    assert_eq!(answer["fields"]["after"], "ü");
    let files = answer["files"].as_array().expect("files");
    assert_eq!(files.len(), 3, "{text}");
    assert_eq!(files[0]["name"], "na%22me ü%0D%0A.jpg");
    assert_eq!(files[0]["type"], "image/jpeg");
    assert_eq!(files[0]["size"], large.len());
    assert_eq!(files[0]["md5"], format!("{:x}", Md5::digest(&large)));
    assert_eq!((&files[1]["size"], &files[1]["error"]), (&0.into(), &0.into()));
    assert_eq!(files[2]["error"], 4, "UPLOAD_ERR_NO_FILE");
}

#[tokio::test]
async fn a_backslash_at_the_end_of_a_name_would_confuse_php() {
    // What browsers would send, and why it is refused here: php takes the quote behind it for a part of the name.
    let site = Site::start();
    let raw =
        "--B\r\nContent-Disposition: form-data; name=\"f\\\"; filename=\"x\"\r\n\r\n1\r\n--B--\r\n";
    let request = site.post("upload.php").content_type("multipart/form-data; boundary=B").body(raw);
    let text = site.text(request).await;
    assert!(!text.contains(r#""field":"f\\""#), "php has learned to read it: {text}");
    let form = Multipart::new().file("f\\", "x", "1");
    let error = site.client().call(site.post("upload.php").multipart(form)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Request(RequestError::PartName { .. })), "{error}");
    // Within a name it does no harm.
    let form = Multipart::new().text("a\\b", "1").file("f", "c:\\dir\\n.txt", "2");
    let text = site.text(site.post("upload.php").multipart(form)).await;
    assert!(text.contains(r#""a\\b":"1""#) && text.contains(r#""name":"n.txt""#), "{text}");
}

#[tokio::test]
async fn a_form_with_a_stream_of_unknown_length_arrives_whole() {
    let site = Site::start();
    let form = Multipart::new().text("a", "1").file("f", "n", streamed(700_000)).text("b", "2");
    let text = site.text(site.post("upload.php").multipart(form)).await;
    assert!(text.contains(r#""a":"1","b":"2""#), "{text}");
    assert!(text.contains(&format!("{:x}", Md5::digest(pattern(700_000)))), "{text}");
}

#[tokio::test]
async fn json_is_in_php_input() {
    let site = Site::start();
    let json = r#"{"who":"Swoole","n":[1,2]}"#;
    let text = site.text(Request::post(site.scripts.path("echo.php")).json_text(json)).await;
    assert_eq!(text, json);
    let text = site.text(Request::post(site.scripts.path("env.php")).json_text(json)).await;
    assert!(text.contains(r#""CONTENT_TYPE":"application/json""#), "{text}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_a_worker_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peer.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let address = Address::unix(path.to_str().expect("UTF-8"));
    let limit = SpoolConfig::default().max_memory(1000).max_body(100_000);
    let client = Client::new(address.clone());
    let pool = Pool::new([address], PoolConfig::default()).spool(limit);
    let request = || Request::post("/x.php").body(streamed(100_001));
    for result in [
        client.clone().spool(limit).call(request()).await,
        client.call(request().spool(limit)).await,
        pool.call(request()).await,
    ] {
        let error = result.expect_err("too large");
        let kind = ErrorKind::Request(RequestError::BodyTooLarge { limit: 100_000 });
        assert_eq!((error.kind(), error.phase()), (kind, Some(Phase::Spool)), "{error}");
        assert!(!error.is_begun() && error.address().is_some());
        assert!(error.to_string().contains("SpoolConfig::max_body"), "{error}");
    }
    let connected = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).is_ready())).await;
    assert!(!connected, "nobody was asked");
    // What is exactly as long is taken.
    let site = Site::start();
    let request = site.post("hash.php").spool(limit).body(streamed(100_000));
    assert!(site.text(request).await.contains(&hash(&pattern(100_000))));
}

#[tokio::test]
async fn collecting_can_be_switched_off() {
    let site = Site::start();
    let request = site.post("hash.php").spool(SpoolConfig::OFF).body(streamed(10_000));
    assert!(site.text(request).await.contains(&hash(b"")), "php reads no body without its length");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stalls_while_it_is_collected_is_not_waited_for_longer_than_idle() {
    let client = Client::new("unix:/nonexistent".parse().expect("an address"));
    let stalled = || Body::stream(Stalled, None);
    let started = tokio::time::Instant::now();
    let error = client.call(Request::post("/x.php").body(stalled())).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Idle)), "{error}");
    assert_eq!(started.elapsed().as_secs(), 60);
    let total = Timeouts::default().with_total(Duration::from_secs(5));
    let request = Request::post("/x.php").timeouts(total).body(stalled());
    let error = client.call(request).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Total)), "{error}");
    assert!(!error.is_begun() && error.is_safe_to_retry());
}

struct Stalled;

impl futures_core::Stream for Stalled {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_form_in_memory_is_sent_again_over_a_stale_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peer.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    // The first connection is closed on its second request, before a byte of the answer.
    let peer = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.expect("a connection");
        read_request(&mut first).await;
        first.write_all(ANSWER).await.expect("written");
        let lost = read_request(&mut first).await;
        drop(first);
        let (mut second, _) = listener.accept().await.expect("a connection");
        let again = read_request(&mut second).await;
        second.write_all(ANSWER).await.expect("written");
        (lost, again)
    });
    let address = Address::unix(path.to_str().expect("UTF-8"));
    let pool = Pool::new([address], PoolConfig::default().max_connections(1));
    assert_eq!(pool.call(Request::get("/x.php")).await.expect("an answer").body(), "hey");
    let form = Multipart::new().text("a", "1").file("f", "n", "content");
    let request = Request::post("/x.php").multipart(form);
    assert_eq!(pool.call(request).await.expect("an answer").body(), "hey");
    assert_eq!(pool.metrics().retries, 1);
    let (lost, again) = peer.await.expect("no panic");
    // The requests differ in their numbers alone, as the forms do not even in their boundary.
    assert_eq!(lost.len(), again.len());
    let boundary = |request: &[u8]| {
        let at = request.windows(8).position(|bytes| bytes == b"----fcgi").expect("a form");
        request[at..][..40].to_vec()
    };
    assert_eq!(boundary(&lost), boundary(&again));
    assert!(again.windows(7).any(|bytes| bytes == b"content"));
}

const ANSWER: &[u8] =
    b"\x01\x06\0\x01\0\x0b\x05\0A: b\r\n\r\nhey\0\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";

/// Reads to the empty STDIN record, whatever the number of the request.
async fn read_request(stream: &mut tokio::net::UnixStream) -> Vec<u8> {
    let mut seen = Vec::new();
    while !matches!(seen[..], [.., 1, 5, 0, _, 0, 0, 0, 0]) {
        assert_ne!(stream.read_buf(&mut seen).await.expect("a request"), 0, "cut off");
    }
    seen
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_from_a_value() {
    let site = Site::start();
    let request = site.post("echo.php").json(&["a", "b"]).expect("it has a form");
    assert_eq!(site.text(request).await, r#"["a","b"]"#);
}
