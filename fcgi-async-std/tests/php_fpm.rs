//! The client against a real php-fpm, over TCP and Unix sockets.

#[path = "common/timeout.rs"]
mod timeout;

use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_async_std::{Body, Client, Error, ErrorKind, Phase, Request, Response};
use fcgi_proto::cgi::ScriptError;
use fcgi_test_support::{PhpCgi, PhpFpm, Scripts, pattern};
use smol::block_on;
use smol::future::zip;
use smol::io::{AsyncReadExt, Cursor, repeat};
use timeout::timeout;

const LIMIT: usize = 16 * 1024 * 1024;

struct Site {
    fpm: PhpFpm,
    scripts: Scripts,
}

impl Site {
    fn start() -> Self {
        Self::with_workers(2)
    }

    fn with_workers(workers: u32) -> Self {
        let fpm = PhpFpm::builder().workers(workers).listen_unix().start();
        Self { fpm, scripts: Scripts::new() }
    }

    fn client(&self) -> Client {
        Client::new(self.fpm.address().parse().expect("an address"))
    }

    fn get(&self, script: &str) -> Request {
        Request::get(self.scripts.path(script))
    }

    fn post(&self, script: &str) -> Request {
        Request::post(self.scripts.path(script)).content_type("application/octet-stream")
    }
}

/// Reads to the end or the error, without keeping the body.
async fn drain(response: &mut Response) -> (u64, Result<(), Error>) {
    let mut count = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => count += chunk.len() as u64,
            Ok(None) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
    }
}

#[test]
fn greeter_in_one_line_over_both_kinds_of_socket() {
    block_on(async {
        let scripts = Scripts::new();
        let greeter = scripts.path("greeter.php");
        for fpm in [PhpFpm::builder().listen_tcp().start(), PhpFpm::builder().listen_unix().start()]
        {
            let address = fpm.address();
            let none: [(&str, &str); 0] = [];
            assert_eq!(fcgi_async_std::call(address, &greeter, none).await.unwrap(), "Hello World");
            let form = [("who", "Swoole")];
            assert_eq!(
                fcgi_async_std::call(address, &greeter, form).await.unwrap(),
                "Hello Swoole"
            );
            let script = format!("{greeter}?who=Swoole");
            assert_eq!(fcgi_async_std::call(address, script, none).await.unwrap(), "Hello Swoole");
        }
    });
}

#[test]
fn greeter_on_php_cgi() {
    block_on(async {
        let scripts = Scripts::new();
        let cgi = PhpCgi::start();
        let form = [("who", "Swoole")];
        let body =
            fcgi_async_std::call(cgi.address(), scripts.path("greeter.php"), form).await.unwrap();
        assert_eq!(body, "Hello Swoole");
    });
}

#[test]
fn a_missing_script_is_a_typed_error_that_names_it() {
    block_on(async {
        let site = Site::start();
        let error = site.client().call(site.get("no-such.php")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ScriptNotFound(ScriptError::NotFound));
        assert_eq!(error.response().expect("the response is inside").status(), 404);
        let text = error.to_string();
        assert!(text.contains("no-such.php") && text.contains("File not found."), "{text}");
        // `execute` takes any status for a response.
        let response = site.client().execute(site.get("no-such.php")).await.unwrap();
        assert_eq!(response.status(), 404);
    });
}

#[test]
fn a_status_of_400_and_above_is_an_error_of_call() {
    block_on(async {
        let site = Site::start();
        let error = site.client().call(site.get("status.php?code=500")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Status(500));
    });
}

#[test]
fn the_body_0() {
    block_on(async {
        let site = Site::start();
        let answer = site.client().call(site.get("zero.php")).await.unwrap();
        assert_eq!(answer.body(), "0");
        let echo = site.client().call(site.post("echo.php").body("0")).await.unwrap();
        assert_eq!(echo.body(), "0");
    });
}

#[test]
fn one_mib_arrives_byte_for_byte() {
    block_on(async {
        let site = Site::start();
        let sent = Bytes::from(pattern(1024 * 1024));
        for body in [
            Body::from(sent.clone()),
            Body::reader(Cursor::new(sent.clone()), Some(sent.len() as u64)),
        ] {
            let echo = site.client().call(site.post("echo.php").body(body)).await.unwrap();
            assert!(*echo.body() == sent, "{} bytes came back", echo.body().len());
        }
    });
}

#[test]
fn seventy_kib_of_parameters_in_many() {
    block_on(async {
        let site = Site::start();
        let mut request = site.get("env.php");
        for i in 0..70 {
            request = request.header(format!("X-Large-{i:02}"), "v".repeat(1024));
        }
        let answer = site.client().call(request).await.unwrap();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        for i in 0..70 {
            assert!(text.contains(&format!("\"HTTP_X_LARGE_{i:02}\"")), "header {i} is missing");
        }
        assert_eq!(text.matches(&"v".repeat(1024)).count(), 70);
    });
}

#[test]
fn a_parameter_that_fits_no_record_is_refused_before_sending() {
    block_on(async {
        let site = Site::start();
        let request = site.get("env.php").header("X-Huge", "v".repeat(70 * 1024));
        let error = site.client().call(request).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Request(_)), "{error}");
        assert!(!error.is_begun());
    });
}

#[test]
fn ten_mib_come_whole() {
    block_on(async {
        let site = Site::start();
        let size = 10 * 1024 * 1024;
        let response =
            site.client().execute(site.get(&format!("big.php?size={size}"))).await.unwrap();
        let answer = response.collect(LIMIT).await.unwrap();
        assert!(*answer.body() == pattern(size));
    });
}

#[test]
fn an_answer_before_the_body_is_read() {
    block_on(async {
        let site = Site::start();
        // php reads a body that was announced, but not before the script is done.
        let body = Body::from(pattern(4 * 1024 * 1024));
        let answer = site.client().call(site.post("noread.php").body(body)).await.unwrap();
        assert_eq!(answer.body(), "not read");
    });
}

#[test]
fn upload_and_download_of_32_mib_cross_without_deadlock() {
    block_on(async {
        let site = Site::start();
        let size = 32 * 1024 * 1024;
        let body = Body::reader(repeat(b'u').take(size), Some(size));
        let request = site.post("answer-first.php?mib=32").body(body);
        let mut response = site.client().execute(request).await.unwrap();
        let (count, result) = drain(&mut response).await;
        result.unwrap();
        assert!(count > size, "{count} bytes came");
        assert!(response.body_mut().end().expect("the end came").is_body_sent);
    });
}

#[test]
fn a_script_that_dies_midway_is_never_taken_for_complete() {
    block_on(async {
        let site = Site::start();
        for script in ["die.php", "die.php?length=0"] {
            let mut response = site.client().execute(site.get(script)).await.unwrap();
            assert_eq!(response.status(), 200);
            let (count, result) = drain(&mut response).await;
            let error = result.expect_err("the response is cut");
            assert_eq!(
                (error.kind(), error.phase()),
                (ErrorKind::Reset, Some(Phase::Body)),
                "{error}"
            );
            assert!(count <= 65_536 && error.is_begun(), "{count} bytes came");
            assert!(!error.is_safe_to_retry());
        }
        let error = site.client().execute(site.get("die.php?head=0")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
        // The client is none the worse for it.
        assert_eq!(site.client().call(site.get("zero.php")).await.unwrap().body(), "0");
    });
}

#[test]
fn two_sleeping_scripts_take_as_long_as_one() {
    block_on(async {
        let site = Site::start();
        let client = site.client();
        let started = Instant::now();
        let (one, two) = zip(
            client.call(site.get("sleep.php?ms=1000")),
            client.call(site.get("sleep.php?ms=1000")),
        )
        .await;
        let took = started.elapsed();
        assert_eq!(
            (one.unwrap().body(), two.unwrap().body()),
            (&"slept 1000".into(), &"slept 1000".into())
        );
        // One after the other they would take 2 s.
        assert!(took < Duration::from_millis(1900), "took {took:?}");
    });
}

#[test]
fn stderr_comes_apart() {
    block_on(async {
        let site = Site::start();
        let answer = site.client().call(site.get("stderr.php")).await.unwrap();
        assert_eq!(answer.body(), "said on stdout");
        let stderr = String::from_utf8_lossy(answer.stderr()).into_owned();
        assert!(stderr.contains("said through error_log"), "{stderr}");
        // More than is kept is counted.
        let mut response = site.client().execute(site.get("stderr.php?more=400")).await.unwrap();
        drain(&mut response).await.1.unwrap();
        let body = response.body_mut();
        assert_eq!(body.stderr().len(), 256 * 1024);
        assert!(body.stderr_dropped() > 0);
    });
}

#[test]
fn a_head_larger_than_a_record() {
    block_on(async {
        let site = Site::start();
        let answer = site.client().call(site.get("bighead.php")).await.unwrap();
        assert_eq!(answer.header("x-big-011").map(<[u8]>::len), Some(1010));
        assert_eq!(answer.body(), "big head");
    });
}

#[test]
fn repeated_headers_stay() {
    block_on(async {
        let site = Site::start();
        let answer = site.client().call(site.get("cookies.php")).await.unwrap();
        assert_eq!(answer.head().set_cookies().count(), 2);
    });
}

#[test]
fn pieces_come_as_they_are_flushed() {
    block_on(async {
        let site = Site::start();
        // The first line has to be there while the script still sleeps for longer than this test waits.
        let client = site.client();
        let request = site.get("sleep.php?first&ms=60000");
        let chunk = timeout(Duration::from_secs(30), async {
            client.execute(request).await?.chunk().await
        });
        assert_eq!(chunk.await.expect("in time").unwrap().unwrap(), "first\n");
    });
}

#[test]
fn a_dropped_response_frees_the_worker() {
    block_on(async {
        let site = Site::with_workers(1);
        let mut response = site.client().execute(site.get("big.php?size=100000000")).await.unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        drop(response);
        assert_eq!(site.client().call(site.get("zero.php")).await.unwrap().body(), "0");
    });
}

#[test]
fn ping_page() {
    block_on(async {
        let site = Site::start();
        let answer = site.client().call(Request::get("/ping").script_name("/ping")).await.unwrap();
        assert_eq!(answer.body(), "pong");
    });
}

#[test]
fn a_response_is_a_reader() {
    block_on(async {
        let site = Site::start();
        let response = site.client().execute(site.get("big.php?size=300000")).await.unwrap();
        let (_, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == pattern(300_000));

        let response = site.client().execute(site.get("die.php")).await.unwrap();
        let (_, mut body) = response.into_parts();
        let error = body.read_to_end(&mut Vec::new()).await.expect_err("the response is cut");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        assert_eq!(error.expect("it is inside").kind(), ErrorKind::Reset);
    });
}
