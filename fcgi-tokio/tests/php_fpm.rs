//! The client against a real php-fpm, over TCP and Unix sockets.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_proto::cgi::ScriptError;
use fcgi_test_support::{PhpCgi, PhpFpm, Scripts, pattern};
use fcgi_tokio::{Body, Client, Error, ErrorKind, Phase, Request, Response};

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

#[tokio::test]
async fn greeter_in_one_line_over_both_kinds_of_socket() {
    let scripts = Scripts::new();
    let greeter = scripts.path("greeter.php");
    for fpm in [PhpFpm::builder().listen_tcp().start(), PhpFpm::builder().listen_unix().start()] {
        let address = fpm.address();
        let none: [(&str, &str); 0] = [];
        assert_eq!(fcgi_tokio::call(address, &greeter, none).await.unwrap(), "Hello World");
        let form = [("who", "Swoole")];
        assert_eq!(fcgi_tokio::call(address, &greeter, form).await.unwrap(), "Hello Swoole");
        let script = format!("{greeter}?who=Swoole");
        assert_eq!(fcgi_tokio::call(address, script, none).await.unwrap(), "Hello Swoole");
    }
}

#[tokio::test]
async fn greeter_on_php_cgi() {
    let scripts = Scripts::new();
    let cgi = PhpCgi::start();
    let form = [("who", "Swoole")];
    let body = fcgi_tokio::call(cgi.address(), scripts.path("greeter.php"), form).await.unwrap();
    assert_eq!(body, "Hello Swoole");
}

#[tokio::test]
async fn a_missing_script_is_a_typed_error_that_names_it() {
    let site = Site::start();
    let error = site.client().call(site.get("no-such.php")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ScriptNotFound(ScriptError::NotFound));
    assert_eq!(error.response().expect("the response is inside").status(), 404);
    let text = error.to_string();
    assert!(text.contains("no-such.php") && text.contains("File not found."), "{text}");
    // `execute` takes any status for a response.
    let response = site.client().execute(site.get("no-such.php")).await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn a_status_of_400_and_above_is_an_error_of_call() {
    let site = Site::start();
    let error = site.client().call(site.get("status.php?code=500")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status(500));
}

#[tokio::test]
async fn the_body_0() {
    let site = Site::start();
    let answer = site.client().call(site.get("zero.php")).await.unwrap();
    assert_eq!(answer.body(), "0");
    let echo = site.client().call(site.post("echo.php").body("0")).await.unwrap();
    assert_eq!(echo.body(), "0");
}

#[tokio::test]
async fn one_mib_arrives_byte_for_byte() {
    let site = Site::start();
    let sent = Bytes::from(pattern(1024 * 1024));
    for body in [
        Body::from(sent.clone()),
        Body::reader(std::io::Cursor::new(sent.clone()), Some(sent.len() as u64)),
    ] {
        let echo = site.client().call(site.post("echo.php").body(body)).await.unwrap();
        assert!(*echo.body() == sent, "{} bytes came back", echo.body().len());
    }
}

#[tokio::test]
async fn seventy_kib_of_parameters_in_many() {
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
}

#[tokio::test]
async fn a_parameter_that_fits_no_record_is_refused_before_sending() {
    let site = Site::start();
    let request = site.get("env.php").header("X-Huge", "v".repeat(70 * 1024));
    let error = site.client().call(request).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Request(_)), "{error}");
    assert!(!error.is_begun());
}

#[tokio::test]
async fn ten_mib_come_whole() {
    let site = Site::start();
    let size = 10 * 1024 * 1024;
    let response = site.client().execute(site.get(&format!("big.php?size={size}"))).await.unwrap();
    let answer = response.collect(LIMIT).await.unwrap();
    assert!(*answer.body() == pattern(size));
}

#[tokio::test]
async fn an_answer_before_the_body_is_read() {
    let site = Site::start();
    // php reads a body that was announced, but not before the script is done.
    let body = Body::from(pattern(4 * 1024 * 1024));
    let answer = site.client().call(site.post("noread.php").body(body)).await.unwrap();
    assert_eq!(answer.body(), "not read");
}

#[tokio::test]
async fn upload_and_download_of_32_mib_cross_without_deadlock() {
    let site = Site::start();
    let size = 32 * 1024 * 1024;
    let body =
        Body::reader(tokio::io::AsyncReadExt::take(tokio::io::repeat(b'u'), size), Some(size));
    let request = site.post("answer-first.php?mib=32").body(body);
    let mut response = site.client().execute(request).await.unwrap();
    let (count, result) = drain(&mut response).await;
    result.unwrap();
    assert!(count > size, "{count} bytes came");
    assert!(response.body_mut().end().expect("the end came").is_body_sent);
}

#[tokio::test]
async fn a_script_that_dies_midway_is_never_taken_for_complete() {
    let site = Site::start();
    for script in ["die.php", "die.php?length=0"] {
        let mut response = site.client().execute(site.get(script)).await.unwrap();
        assert_eq!(response.status(), 200);
        let (count, result) = drain(&mut response).await;
        let error = result.expect_err("the response is cut");
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Reset, Some(Phase::Body)), "{error}");
        assert!(count <= 65_536 && error.is_begun(), "{count} bytes came");
        assert!(!error.is_safe_to_retry());
    }
    let error = site.client().execute(site.get("die.php?head=0")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
    // The client is none the worse for it.
    assert_eq!(site.client().call(site.get("zero.php")).await.unwrap().body(), "0");
}

#[tokio::test]
async fn two_sleeping_scripts_take_as_long_as_one() {
    let site = Site::start();
    let client = site.client();
    let started = Instant::now();
    let (one, two) = tokio::join!(
        client.call(site.get("sleep.php?ms=1000")),
        client.call(site.get("sleep.php?ms=1000")),
    );
    let took = started.elapsed();
    assert_eq!(
        (one.unwrap().body(), two.unwrap().body()),
        (&"slept 1000".into(), &"slept 1000".into())
    );
    // One after the other they would take 2 s.
    assert!(took < Duration::from_millis(1900), "took {took:?}");
}

#[tokio::test]
async fn stderr_comes_apart() {
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
}

#[tokio::test]
async fn a_head_larger_than_a_record() {
    let site = Site::start();
    let answer = site.client().call(site.get("bighead.php")).await.unwrap();
    assert_eq!(answer.header("x-big-011").map(<[u8]>::len), Some(1010));
    assert_eq!(answer.body(), "big head");
}

#[tokio::test]
async fn repeated_headers_stay() {
    let site = Site::start();
    let answer = site.client().call(site.get("cookies.php")).await.unwrap();
    assert_eq!(answer.head().set_cookies().count(), 2);
}

#[tokio::test]
async fn pieces_come_as_they_are_flushed() {
    let site = Site::start();
    // The first line has to be there while the script still sleeps for longer than this test waits.
    let client = site.client();
    let request = site.get("sleep.php?first&ms=60000");
    let chunk = tokio::time::timeout(Duration::from_secs(30), async {
        client.execute(request).await?.chunk().await
    });
    assert_eq!(chunk.await.expect("in time").unwrap().unwrap(), "first\n");
}

#[tokio::test]
async fn a_dropped_response_frees_the_worker() {
    let site = Site::with_workers(1);
    let mut response = site.client().execute(site.get("big.php?size=100000000")).await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    assert_eq!(site.client().call(site.get("zero.php")).await.unwrap().body(), "0");
}

#[tokio::test]
async fn ping_page() {
    let site = Site::start();
    let answer = site.client().call(Request::get("/ping").script_name("/ping")).await.unwrap();
    assert_eq!(answer.body(), "pong");
}

#[tokio::test]
async fn error_output_comes_in_order_with_the_body_and_times_are_told() {
    let site = Site::start();
    let mut response = site.client().execute(site.get("stderr.php")).await.expect("a head");
    let (mut body, mut stderr) = (Vec::new(), Vec::new());
    while let Some(chunk) = response.output().await.expect("all of it") {
        match chunk {
            fcgi_tokio::Chunk::Body(data) => body.extend(data),
            fcgi_tokio::Chunk::Stderr(data) => stderr.extend(data),
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
}

#[tokio::test]
async fn a_body_can_be_read_as_any_reader() {
    use tokio::io::AsyncReadExt;
    let site = Site::start();
    let mut response =
        site.client().execute(site.get("big.php?size=300000")).await.expect("a head");
    let mut body = Vec::new();
    response.body_mut().read_to_end(&mut body).await.expect("all of it");
    assert!(body == pattern(300_000));
}
