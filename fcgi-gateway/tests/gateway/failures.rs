//! Applications that are not there, or do not behave.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use fcgi_test_support::http::{Connection, Request, Response};

use crate::support::Serve;

/// A site whose application is a thread of the test, which sees the bytes as they are.
struct Site {
    serve: Serve,
    listener: UnixListener,
    _folder: tempfile::TempDir,
}

fn site(args: &[&str]) -> Site {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.php"), "<?php").unwrap();
    let socket = folder.path().join("app.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let fpm = format!("unix:{}", socket.display());
    let args = ["--fpm", &fpm].into_iter().chain(args.iter().copied()).collect::<Vec<_>>();
    let serve = Serve::start(folder.path(), args);
    Site { serve, listener, _folder: folder }
}

impl Site {
    /// Answers the next request with these bytes and closes.
    fn answer(&self, bytes: Vec<u8>) -> JoinHandle<Vec<u8>> {
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read_request(&mut stream);
                // A connection for a request that could not be sent after all.
                if request.is_empty() {
                    continue;
                }
                // The gateway may have seen enough before the end.
                let _ = stream.write_all(&bytes);
                return request;
            }
        })
    }

    /// What the client sees of an application that sends these bytes.
    fn get(&self, bytes: Vec<u8>) -> Response {
        let answer = self.answer(bytes);
        let response = self.serve.get("/");
        answer.join().unwrap();
        response
    }
}

/// Reads one whole request: up to the empty STDIN.
fn read_request(stream: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut header = [0; 8];
        if stream.read_exact(&mut header).is_err() {
            return all;
        }
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        stream.read_exact(&mut content).unwrap();
        all.extend_from_slice(&header);
        all.extend_from_slice(&content);
        if header[1] == 5 && length == 0 {
            return all;
        }
    }
}

fn record(record_type: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, record_type, 0, 1, length[0], length[1], 0, 0], content].concat()
}

fn stdout(text: &str) -> Vec<u8> {
    record(6, text.as_bytes())
}

/// END_REQUEST with a protocol status.
fn end(status: u8) -> Vec<u8> {
    record(3, &[0, 0, 0, 0, status, 0, 0, 0])
}

fn complete(text: &str) -> Vec<u8> {
    [stdout(text), stdout(""), end(0)].concat()
}

#[test]
fn nobody_listens() {
    for fpm in [
        "unix:/nowhere/at/all.sock".to_owned(),
        format!("127.0.0.1:{}", fcgi_test_support::free_port()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.php"), "<?php").unwrap();
        let serve = Serve::with_fpm(folder.path(), &fpm);
        let response = serve.get("/");
        assert_eq!(response.status, 502);
        assert!(response.text().starts_with("502 Bad Gateway: "), "{}", response.text());
        assert!(
            !response.text().contains("nowhere") && !response.text().contains("127.0.0.1"),
            "{}",
            response.text()
        );
        // The log has what the page has not.
        serve.wait_for_log(&format!("cannot connect to {fpm}"));
    }
}

#[test]
fn silence_is_a_timeout() {
    let site = site(&["--timeout", "0.3"]);
    let response =
        Request::get("/").header("Accept", "application/json").send(site.serve.address());
    assert_eq!(response.status, 504);
    let value: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(value["error"], "Gateway Timeout");
    site.serve.wait_for_log("first byte timeout");
}

#[test]
fn silence_amid_a_body_cuts_it() {
    let site = site(&["--timeout", "0.3"]);
    let listener = site.listener.try_clone().unwrap();
    let application = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(&stdout("Content-Type: a/b\r\n\r\nfirst")).unwrap();
        // Until the gateway gives up.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let response = site.serve.get("/");
    assert_eq!((response.status, response.text().as_str()), (200, "first"));
    assert!(!response.is_complete());
    application.join().unwrap();
}

#[test]
fn only_a_whole_response_is_complete() {
    let site = site(&[]);
    let head = "Content-Type: text/plain\r\n\r\n";
    assert!(site.get(complete(&format!("{head}whole"))).is_complete());
    // No END_REQUEST, with and without the end of STDOUT.
    for bytes in
        [stdout(&format!("{head}part")), [stdout(&format!("{head}part")), stdout("")].concat()]
    {
        let response = site.get(bytes);
        assert_eq!(response.status, 200);
        assert!(!response.is_complete());
    }
    // Fewer and more bytes than announced.
    let response = site.get(complete("Content-Length: 10\r\n\r\nshort"));
    assert!(!response.is_complete());
    let response = site.get(complete("Content-Length: 3\r\n\r\nlonger"));
    assert!(response.body.len() <= 3, "{}", response.text());
}

#[test]
fn answers_that_are_none() {
    let site = site(&[]);
    for (bytes, status) in [
        (vec![], 502),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), 502),
        (end(0), 502),
        (stdout("Content-Type: a/b\r\n"), 502),
        (complete("no head at all"), 502),
        (complete("Status: 100\r\n\r\n"), 502),
        (complete("Status: 000\r\n\r\n"), 502),
        (complete("Status: 1000\r\n\r\n"), 502),
        (complete("Status: 999\r\n\r\n"), 502),
        (complete("Status: 200OK\r\n\r\n"), 502),
        (end(1), 503),
        (end(2), 503),
        (end(3), 502),
    ] {
        // CANT_MPX_CONN says that nothing was begun: the pool asks once more, on another connection.
        let again = (bytes == end(1)).then(|| site.answer(bytes.clone()));
        let response = site.get(bytes.clone());
        assert_eq!(response.status, status, "{}", bytes.escape_ascii());
        if let Some(again) = again {
            again.join().unwrap();
        }
    }
}

#[test]
fn a_205_has_no_body() {
    let site = site(&[]);
    let response = site.get(complete("Status: 205\r\nContent-Length: 4\r\n\r\nbody"));
    assert_eq!((response.status, response.header("content-length")), (205, Some("0")));
    assert!(response.body.is_empty() && response.is_complete());
}

/// A worker is not kept for ever by an answer without an end that is not sent on.
#[test]
fn a_body_that_nobody_gets_is_read_to_a_limit() {
    let site = site(&[]);
    for (method, head) in [
        ("HEAD", "Content-Type: a/b\r\n\r\n"),
        ("GET", "Status: 204\r\n\r\n"),
        ("GET", "Status: 304\r\n\r\n"),
        ("GET", "Content-Length: 0\r\n\r\n"),
    ] {
        let listener = site.listener.try_clone().unwrap();
        let application = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&mut stream);
            stream.write_all(&stdout(head)).unwrap();
            let block = stdout(&"x".repeat(60_000));
            let mut sent = 0_u64;
            // Ends when the gateway closes.
            while stream.write_all(&block).is_ok() {
                sent += 60_000;
            }
            sent
        });
        let response = Request::new(method, "/").send(site.serve.address());
        assert!(response.is_complete() && response.body.is_empty(), "{method} {head:?}");
        let sent = application.join().unwrap();
        assert!(sent > 900_000, "{method} {head:?}: a body of usual length is taken, {sent}");
    }
}

#[test]
fn headers_about_the_connection_are_ours() {
    let site = site(&[]);
    let head = "Status: 201 Quite So\r\nTransfer-Encoding: chunked\r\nConnection: X-Secret\r\nX-Secret: 1\r\n\
        Keep-Alive: timeout=1\r\nContent-Type: text/plain\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let response = site.get(complete(head));
    assert_eq!((response.status, response.reason.as_str()), (201, "Quite So"));
    assert_eq!(response.text(), "5\r\nhello\r\n0\r\n\r\n");
    for name in ["status", "x-secret", "keep-alive"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert!(response.is_complete());
}

#[test]
fn nothing_can_be_slipped_into_the_head() {
    let site = site(&[]);
    let response = site.get(complete("X-A: 1\rX-Injected: 1\r\nContent-Type: a/b\r\n\r\n"));
    assert_eq!(response.header("x-injected"), None);
}

#[test]
fn httpoxy_on_the_wire() {
    let site = site(&[]);
    let answer = site.answer(complete("Content-Type: a/b\r\n\r\nok"));
    let response = Request::get("/")
        .header("Proxy", "http://evil/")
        .header("X_Real", "1")
        .send(site.serve.address());
    assert_eq!(response.status, 200);
    let request = answer.join().unwrap();
    let contains = |name: &str| request.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(contains("HTTP_HOST") && !contains("HTTP_PROXY") && !contains("HTTP_X_REAL"));
}

#[test]
fn too_large_to_pass_on() {
    let site = site(&["--max-head", "100K"]);
    let mut connection = Connection::open(site.serve.address());
    // One variable must fit into one record, or PHP-FPM drops the request.
    let value = "x".repeat(70_000);
    let response = connection.send(&Request::get("/").header("X-Large", &value));
    assert_eq!(response.status, 431);
    // Nothing was asked of the application, and the connection goes on.
    let answer = site.answer(complete("Content-Type: a/b\r\n\r\nok"));
    assert_eq!(connection.send(&Request::get("/")).text(), "ok");
    answer.join().unwrap();
}

#[test]
fn stderr_before_a_failure_is_logged() {
    let site = site(&[]);
    let response = site.get(
        [record(7, b"the last words of a script\n"), stdout("Content-Type: a/b\r\n\r\nx")].concat(),
    );
    assert!(!response.is_complete());
    site.serve.wait_for_log("the last words of a script");
}

#[test]
fn a_client_that_reads_no_more_ends_the_request() {
    let site = site(&[]);
    let listener = site.listener.try_clone().unwrap();
    let application = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(&stdout("Content-Type: a/b\r\n\r\nfirst")).unwrap();
        let block = stdout(&"x".repeat(60_000));
        // Ends when the gateway closes, since an endless answer is never over by itself.
        while stream.write_all(&block).is_ok() {}
    });
    let mut exchange = Request::get("/").start(site.serve.address());
    assert!(exchange.more().starts_with(b"first"));
    drop(exchange);
    application.join().unwrap();
}

#[test]
fn answers_under_way_end_before_the_server_does() {
    let mut site = site(&["--workers", "1"]);
    let listener = site.listener.try_clone().unwrap();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let application = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(&stdout("Content-Type: a/b\r\n\r\nfirst ")).unwrap();
        gone.recv().unwrap();
        stream.write_all(&[stdout("last"), end(0)].concat()).unwrap();
    });
    let exchange = Request::get("/").start(site.serve.address());
    site.serve.signal(rustix::process::Signal::TERM);
    site.serve.wait_for_log("stopping as soon as");
    go.send(()).unwrap();
    let response = exchange.finish();
    assert_eq!((response.text().as_str(), response.is_complete()), ("first last", true));
    assert!(site.serve.wait().success());
    application.join().unwrap();
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut site = site(&[]);
    let mut client = Connection::open(site.serve.address());
    client.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (stream, _) = site.listener.accept().unwrap();
    site.serve.signal(rustix::process::Signal::INT);
    site.serve.wait_for_log("stopping as soon as");
    site.serve.signal(rustix::process::Signal::INT);
    assert!(site.serve.wait().success());
    drop((client, stream));
}
