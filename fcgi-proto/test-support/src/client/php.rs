//! A client against a real php-fpm, over TCP and Unix sockets.

use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_proto::cgi::{FullResponse, ScriptError};
use fcgi_proto::{ErrorKind, Phase, Request};

use super::site::Site;
use super::{Adapter, Response, drain};
use crate::{PhpCgi, PhpFpm, Scripts, pattern};

const LIMIT: usize = 16 * 1024 * 1024;

pub fn greeter_in_one_line_over_both_kinds_of_socket<A: Adapter>() {
    let scripts = Scripts::new();
    let greeter = scripts.path("greeter.php");
    for fpm in [PhpFpm::builder().listen_tcp().start(), PhpFpm::builder().listen_unix().start()] {
        let address = fpm.address();
        A::connect(address).unwrap();
        assert_eq!(A::call_form(address, &greeter, &[]).unwrap(), "Hello World");
        let form = [("who", "Swoole")];
        assert_eq!(A::call_form(address, &greeter, &form).unwrap(), "Hello Swoole");
        let script = format!("{greeter}?who=Swoole");
        assert_eq!(A::call_form(address, &script, &[]).unwrap(), "Hello Swoole");
    }
}

pub fn greeter_on_php_cgi<A: Adapter>() {
    let scripts = Scripts::new();
    let cgi = PhpCgi::start();
    let form = [("who", "Swoole")];
    let body = A::call_form(cgi.address(), &scripts.path("greeter.php"), &form).unwrap();
    assert_eq!(body, "Hello Swoole");
}

pub fn a_missing_script_is_a_typed_error_that_names_it<A: Adapter>() {
    let site = Site::start();
    let error = A::call(&site.client(), site.get::<A>("no-such.php")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ScriptNotFound(ScriptError::NotFound));
    assert_eq!(error.response().expect("the response is inside").status(), 404);
    let text = error.to_string();
    assert!(text.contains("no-such.php") && text.contains("File not found."), "{text}");
    // `execute` takes any status for a response.
    let response = A::execute(&site.client(), site.get::<A>("no-such.php")).unwrap();
    assert_eq!(response.status(), 404);
}

pub fn a_status_of_400_and_above_is_an_error_of_call<A: Adapter>() {
    let site = Site::start();
    let error = A::call(&site.client(), site.get::<A>("status.php?code=500")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status(500));
}

pub fn the_body_0<A: Adapter>() {
    let site = Site::start();
    let answer = A::call(&site.client(), site.get::<A>("zero.php")).unwrap();
    assert_eq!(answer.body(), "0");
    let echo = A::call(&site.client(), site.post::<A>("echo.php").body("0")).unwrap();
    assert_eq!(echo.body(), "0");
}

pub fn one_mib_arrives_byte_for_byte<A: Adapter>() {
    let site = Site::start();
    let sent = Bytes::from(pattern(1024 * 1024));
    for body in [
        A::Body::from(sent.clone()),
        A::reader(io::Cursor::new(sent.clone()), Some(sent.len() as u64)),
    ] {
        let echo = A::call(&site.client(), site.post::<A>("echo.php").body(body)).unwrap();
        assert!(*echo.body() == sent, "{} bytes came back", echo.body().len());
    }
}

pub fn seventy_kib_of_parameters_in_many<A: Adapter>() {
    let site = Site::start();
    let mut request = site.get::<A>("env.php");
    for i in 0..70 {
        request = request.header(format!("X-Large-{i:02}"), "v".repeat(1024));
    }
    let answer = A::call(&site.client(), request).unwrap();
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    for i in 0..70 {
        assert!(text.contains(&format!("\"HTTP_X_LARGE_{i:02}\"")), "header {i} is missing");
    }
    assert_eq!(text.matches(&"v".repeat(1024)).count(), 70);
}

pub fn a_parameter_that_fits_no_record_is_refused_before_sending<A: Adapter>() {
    let site = Site::start();
    let request = site.get::<A>("env.php").header("X-Huge", "v".repeat(70 * 1024));
    let error = A::call(&site.client(), request).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Request(_)), "{error}");
    assert!(!error.is_begun());
}

pub fn ten_mib_come_whole<A: Adapter>() {
    let site = Site::start();
    let size = 10 * 1024 * 1024;
    let request = site.get::<A>(&format!("big.php?size={size}"));
    let answer = A::execute(&site.client(), request).unwrap().collect(LIMIT).unwrap();
    assert!(*answer.body() == pattern(size));
}

pub fn more_than_the_limit_is_not_collected<A: Adapter>() {
    let site = Site::start();
    for (limit, is_enough) in [(9_999, false), (10_000, true), (0, false)] {
        let response = A::execute(&site.client(), site.get::<A>("big.php?size=10000")).unwrap();
        match response.collect(limit) {
            Ok(answer) => assert!(is_enough && answer.body().len() == 10_000),
            Err(error) => {
                assert!(!is_enough);
                assert_eq!(error.kind(), ErrorKind::TooLarge { limit });
            }
        }
    }
}

pub fn an_answer_before_the_body_is_read<A: Adapter>() {
    let site = Site::start();
    // php reads a body that was announced, but not before the script is done.
    let body = pattern(4 * 1024 * 1024);
    let answer = A::call(&site.client(), site.post::<A>("noread.php").body(body)).unwrap();
    assert_eq!(answer.body(), "not read");
}

pub fn upload_and_download_of_32_mib_cross_without_deadlock<A: Adapter>() {
    let site = Site::start();
    let size = 32 * 1024 * 1024;
    for body in
        [A::reader(io::repeat(b'u').take(size), Some(size)), vec![b'u'; 32 * 1024 * 1024].into()]
    {
        let request = site.post::<A>("answer-first.php?mib=32").body(body);
        let mut response = A::execute(&site.client(), request).unwrap();
        let (count, result) = drain(&mut response);
        result.unwrap();
        assert!(count > size, "{count} bytes came");
        assert!(response.end().expect("the end came").is_body_sent);
    }
}

pub fn a_script_that_dies_midway_is_never_taken_for_complete<A: Adapter>() {
    let site = Site::start();
    for script in ["die.php", "die.php?length=0"] {
        let mut response = A::execute(&site.client(), site.get::<A>(script)).unwrap();
        assert_eq!(response.status(), 200);
        let (count, result) = drain(&mut response);
        let error = result.expect_err("the response is cut");
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Reset, Some(Phase::Body)), "{error}");
        assert!(count <= 65_536 && error.is_begun(), "{count} bytes came");
        assert!(!error.is_safe_to_retry());
    }
    let dies = A::execute(&site.client(), site.get::<A>("die.php?head=0"));
    let error = dies.err().expect("there is no head");
    assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
    // The client is none the worse for it.
    assert_eq!(A::call(&site.client(), site.get::<A>("zero.php")).unwrap().body(), "0");
}

pub fn two_sleeping_scripts_take_as_long_as_one<A: Adapter>() {
    let site = Site::start();
    let call = || A::call(&site.client(), site.get::<A>("sleep.php?ms=1000"));
    let started = Instant::now();
    let (one, two) = thread::scope(|scope| {
        let other = scope.spawn(|| call().map(FullResponse::into_body));
        (call(), other.join().expect("no panic"))
    });
    let took = started.elapsed();
    assert_eq!(
        (one.unwrap().into_body(), two.unwrap()),
        ("slept 1000".into(), "slept 1000".into())
    );
    // One after the other they would take 2 s.
    assert!(took < Duration::from_millis(1900), "took {took:?}");
}

pub fn stderr_comes_apart<A: Adapter>() {
    let site = Site::start();
    let answer = A::call(&site.client(), site.get::<A>("stderr.php")).unwrap();
    assert_eq!(answer.body(), "said on stdout");
    let stderr = String::from_utf8_lossy(answer.stderr()).into_owned();
    assert!(stderr.contains("said through error_log"), "{stderr}");
    // More than is kept is counted.
    let request = site.get::<A>("stderr.php?more=400");
    let mut response = A::execute(&site.client(), request).unwrap();
    drain(&mut response).1.unwrap();
    assert_eq!(response.stderr().len(), 256 * 1024);
    assert!(response.stderr_dropped() > 0);
}

pub fn a_head_larger_than_a_record<A: Adapter>() {
    let site = Site::start();
    let answer = A::call(&site.client(), site.get::<A>("bighead.php")).unwrap();
    assert_eq!(answer.header("x-big-011").map(<[u8]>::len), Some(1010));
    assert_eq!(answer.body(), "big head");
}

pub fn repeated_headers_stay<A: Adapter>() {
    let site = Site::start();
    let answer = A::call(&site.client(), site.get::<A>("cookies.php")).unwrap();
    assert_eq!(answer.head().set_cookies().count(), 2);
}

pub fn pieces_come_as_they_are_flushed<A: Adapter>() {
    let site = Site::start();
    // The first line has to be there while the script still sleeps for longer than this test waits.
    let (client, request) = (site.client(), site.get::<A>("sleep.php?first&ms=60000"));
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut response = A::execute(&client, request).unwrap();
            tell.send(response.chunk().unwrap()).expect("somebody listens");
        });
        let chunk = told.recv_timeout(Duration::from_secs(30)).expect("in time");
        assert_eq!(chunk.expect("not the end"), "first\n");
    });
}

pub fn a_dropped_response_frees_the_worker<A: Adapter>() {
    let site = Site::with_workers(1);
    let request = site.get::<A>("big.php?size=100000000");
    let mut response = A::execute(&site.client(), request).unwrap();
    assert!(response.chunk().unwrap().is_some());
    drop(response);
    assert_eq!(A::call(&site.client(), site.get::<A>("zero.php")).unwrap().body(), "0");
}

pub fn ping_page<A: Adapter>() {
    let site = Site::start();
    let ping = Request::get("/ping").script_name("/ping");
    assert_eq!(A::call(&site.client(), ping).unwrap().body(), "pong");
}
