//! PHP-FPM starts, answers, reloads and leaves nothing behind.

use core::time::Duration;
use std::io::{self, Read};
use std::path::Path;

use crate::support::{ask, body, exchange, request};
use fcgi_test_support::{PhpFpm, Scripts, is_running, pattern, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// A request for FPM's own ping page, by hand.
const PING: &[u8] = b"\
    \x01\x01\x00\x01\x00\x08\x00\x00\
        \x00\x01\x00\x00\x00\x00\x00\x00\
    \x01\x04\x00\x01\x00\x49\x00\x00\
        \x0e\x03REQUEST_METHODGET\
        \x0b\x05SCRIPT_NAME/ping\
        \x0f\x05SCRIPT_FILENAME/ping\
        \x0c\x00QUERY_STRING\
    \x01\x04\x00\x01\x00\x00\x00\x00\
    \x01\x05\x00\x01\x00\x00\x00\x00";

#[test]
fn pings_on_either_family_and_leaves_nothing() {
    for fpm in [PhpFpm::start(), PhpFpm::builder().listen_tcp().start()] {
        let (stdout, ended) = exchange(fpm.connect().expect("FPM listens"), PING);
        assert_eq!(body(&stdout), b"pong", "{}", fpm.log());
        assert!(ended);
        let path = fpm.socket_path().map(Path::to_owned);
        let mut pids = fpm.worker_pids();
        assert_eq!(pids.len(), 2);
        pids.push(fpm.master_pid());
        drop(fpm);
        assert!(!pids.into_iter().any(is_running));
        if let Some(path) = path {
            assert!(!path.exists() && !path.parent().expect("a folder").exists());
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_scripts() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let mut socket = fpm.connect().expect("FPM listens");
    let script = scripts.path("sleep.php");
    let wire = request(&[
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_FILENAME", &script),
        ("QUERY_STRING", "ms=600000&first=1"),
    ]);
    io::Write::write_all(&mut socket, &wire).expect("the request can be written");
    let mut first = [0; 8];
    socket.read_exact(&mut first).expect("the script has begun");
    let workers = fpm.worker_pids();
    drop(fpm);
    assert!(!workers.into_iter().any(is_running));
}

#[test]
fn stops_and_comes_back_at_the_same_address() {
    let mut fpm = PhpFpm::start();
    let address = fpm.address().to_owned();
    fpm.stop();
    assert_eq!(fpm.connect().expect_err("nobody listens").kind(), io::ErrorKind::NotFound);
    fpm.restart();
    assert_eq!(fpm.address(), address);
    assert_eq!(body(&exchange(fpm.connect().expect("FPM listens"), PING).0), b"pong");
}

#[test]
fn reloads_and_replaces_killed_workers() {
    let mut fpm = PhpFpm::builder().workers(3).start();
    let (master, before) = (fpm.master_pid(), fpm.worker_pids());
    fpm.reload();
    assert_eq!(fpm.master_pid(), master);
    assert!(wait_until(LIMIT, || fpm.worker_pids().len() == 3));
    let after = fpm.worker_pids();
    assert!(!after.iter().any(|pid| before.contains(pid)), "{before:?} {after:?}");

    fpm.kill_worker(after[0]);
    assert!(wait_until(LIMIT, || !is_running(after[0]) && fpm.worker_pids().len() == 3));
    assert_eq!(body(&exchange(fpm.connect().expect("FPM listens"), PING).0), b"pong");
}

#[test]
fn settings_reach_php_and_the_pool() {
    let scripts = Scripts::new();
    let script =
        scripts.add("shop/limit.php", "<?php echo ini_get('memory_limit'), getenv('MARK');");
    let fpm = PhpFpm::builder().ini("memory_limit", "77M").pool("env[MARK]", "marked").start();
    let (stdout, _) = ask(fpm.connect().expect("FPM listens"), &script, "");
    assert_eq!(body(&stdout), b"77Mmarked");
    assert!(wait_until(LIMIT, || fpm.access_log().contains("GET")), "{}", fpm.access_log());
}

#[test]
fn scripts_do_as_they_say() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(2).start();
    let ask = |name: &str, query: &str| {
        ask(fpm.connect().expect("FPM listens"), &scripts.path(name), query)
    };
    let text = |name: &str, query: &str| String::from_utf8_lossy(&ask(name, query).0).into_owned();

    assert!(text("greeter.php", "").ends_with("\r\n\r\nHello World"));
    assert!(text("greeter.php", "who=Swoole").ends_with("\r\n\r\nHello Swoole"));
    assert!(text("zero.php", "").ends_with("\r\n\r\n0"));
    assert!(text("status.php", "code=418&reason=Short").starts_with("Status: 418 Short\r\n"));
    assert!(text("redirect.php", "to=/x").contains("Location: /x\r\n"));
    assert_eq!(text("cookies.php", "").matches("Set-Cookie: ").count(), 2);
    assert!(text("env.php", "a=%00").contains(r#""QUERY_STRING":"a=%00""#));
    assert!(
        text("hash.php", "q")
            .ends_with(r#""query":"q","length":0,"md5":"d41d8cd98f00b204e9800998ecf8427e"}"#)
    );
    assert!(text("stream.php", "lines=3&gap=1").ends_with("\r\n\r\nline 1\nline 2\nline 3\n"));
    assert!(text("sleep.php", "ms=1&first=1").ends_with("\r\n\r\nfirst\nslept 1"));
    assert!(text("noread.php", "").ends_with("\r\n\r\nnot read"));
    assert!(text("upload.php", "").ends_with(r#"{"fields":{},"files":[]}"#));
    assert!(text("stderr.php", "").ends_with("\r\n\r\nsaid on stdout"));
    assert!(wait_until(LIMIT, || fpm.log().contains("said on php://stderr")), "{}", fpm.log());
    assert!(text("bighead.php", "").find("\r\n\r\n") > Some(12_000));
    assert_eq!(body(&ask("big.php", "size=100000").0), pattern(100_000));
    assert_eq!(body(&ask("echo.php", "").0), b"");
    let first = ask("answer-first.php", "mib=1").0;
    assert!(first.ends_with(b"a\nread 0 d41d8cd98f00b204e9800998ecf8427e\n"));

    let (stdout, ended) = ask("die.php", "");
    assert!(!ended && body(&stdout) == [b'd'; 65536]);
    let (stdout, ended) = ask("die.php", "head=0");
    assert!(!ended && stdout.is_empty());
}
