//! What a request can carry, as a real php-fpm receives it.

use std::io::Write;

use fcgi_async_std::{
    Body, Chunk, Client, ErrorKind, LengthError, Multipart, Part, Pool, PoolConfig, Request,
    SpoolConfig,
};
use fcgi_proto::RequestError;
use fcgi_test_support::{PhpFpm, Scripts, pattern};
use md5::{Digest, Md5};
use smol::io::Cursor;

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

    fn text(&self, request: Request) -> String {
        let answer = smol::block_on(self.client().call(request)).expect("an answer");
        String::from_utf8(answer.into_body().into()).expect("UTF-8")
    }
}

fn md5(body: &[u8]) -> String {
    format!("{:x}", Md5::digest(body))
}

fn streamed(size: usize) -> Body {
    Body::reader(Cursor::new(pattern(size)), None)
}

#[test]
fn streams_of_unknown_length_arrive_whole() {
    let site = Site::start();
    for size in [0, 1, 300 * 1024, 5 * 1024 * 1024] {
        let text = site.text(site.post("hash.php").body(streamed(size)));
        assert!(
            text.contains(&format!(r#""length":{size},"md5":"{}""#, md5(&pattern(size)))),
            "{text}"
        );
    }
}

#[test]
fn a_form_with_a_file_reaches_post_and_files() {
    let site = Site::start();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&pattern(1_000_000)).expect("written");
    let path = file.path().to_owned();
    let open = || smol::block_on(Body::open(&path)).expect("a body");
    let photo = Part::new(open()).file_name("a \"b\".jpg").content_type("image/jpeg");
    let form = Multipart::new().text("who", "Swoole").part("photo", photo);
    let text = site.text(site.post("upload.php").multipart(form));
    assert!(text.contains(r#""who":"Swoole""#) && text.contains("a %22b%22.jpg"), "{text}");
    assert!(text.contains(&md5(&pattern(1_000_000))), "{text}");

    // One that changes meanwhile is an error.
    let body = open();
    file.write_all(b"more").expect("it grows");
    let error = smol::block_on(site.client().call(site.post("hash.php").body(body))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&LengthError::TooLong { excess: 4 }));
    let body = open();
    file.as_file().set_len(1000).expect("it shrinks");
    let error = smol::block_on(site.client().call(site.post("hash.php").body(body))).unwrap_err();
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&LengthError::TooShort { missing: 999_004 }));
}

#[test]
fn a_body_over_the_limit_is_refused_before_a_worker_is_taken() {
    // Nobody listens there, which nobody finds out.
    let address: fcgi_async_std::Address = "unix:/nonexistent".parse().expect("an address");
    let limit = SpoolConfig::default().max_memory(1000).max_body(100_000);
    let client = Client::new(address.clone()).spool(limit);
    let pool = Pool::new([address], PoolConfig::default());
    let request = || Request::post("/x.php").body(streamed(100_001));
    for result in
        [smol::block_on(client.call(request())), smol::block_on(pool.call(request().spool(limit)))]
    {
        let kind = ErrorKind::Request(RequestError::BodyTooLarge { limit: 100_000 });
        assert_eq!(result.expect_err("too large").kind(), kind);
    }
}

#[test]
fn error_output_comes_in_order_with_the_body_and_times_are_told() {
    let site = Site::start();
    smol::block_on(async {
        let mut response = site.client().execute(site.post("stderr.php")).await.expect("a head");
        let (mut body, mut stderr) = (Vec::new(), Vec::new());
        while let Some(chunk) = response.output().await.expect("all of it") {
            match chunk {
                Chunk::Body(data) => body.extend(data),
                Chunk::Stderr(data) => stderr.extend(data),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(body, b"said on stdout");
        assert!(String::from_utf8_lossy(&stderr).contains("said through error_log"));
        assert!(response.body().stderr().is_empty(), "taken");
        let timings = response.timings();
        let total = timings.total.expect("it is over");
        assert!(timings.first_byte <= timings.head && timings.head <= total, "{timings:?}");
        assert_eq!(response.app_status(), Some(0));
    });
}
