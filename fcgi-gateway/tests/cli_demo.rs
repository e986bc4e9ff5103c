//! `fcgi demo`: what its page offers, and a clean end.

use core::net::SocketAddr;
use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running demo with a temporary folder of its own; killed at the end, whatever that is.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    folder: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let folder =
            tempfile::Builder::new().prefix("fcgi-").tempdir().expect("a folder can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fcgi"));
        command.args(arguments).env("TMPDIR", folder.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it prints");
        let address = line.trim_end().strip_prefix("http://").and_then(|url| url.strip_suffix('/'));
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address: {line:?}"));
        Self { child, stdout, address, folder }
    }

    fn sockets(&self) -> usize {
        fs::read_dir(self.folder.path()).expect("it is there").count()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = wait_until(Duration::from_secs(60), || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        assert!(ended, "it does not end");
        status.expect("it has ended")
    }

    /// The records of an exchange, once its last is there.
    fn trace(&self, number: &str) -> String {
        let mut trace = String::new();
        let complete = wait_until(Duration::from_secs(60), || {
            trace = Request::get(&format!("/trace/{number}?part")).send(self.address).text();
            trace.contains("END_REQUEST")
        });
        assert!(complete, "{trace}");
        trace
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page() {
    let demo = Demo::start(&["demo", "--listen", "127.0.0.1:0"]);
    let page = Request::get("/?a=%3Cb%3E").header("X-Test", "<i>").send(demo.address);
    assert_eq!(page.status, 200);
    assert!(page.is_complete());
    let html = page.text();
    for part in [
        "<th>HTTP_X_TEST</th><td>&lt;i&gt;</td>",
        "<th>a</th><td>&lt;b&gt;</td>",
        "<th>REMOTE_ADDR</th><td>127.0.0.1</td>",
        "/?a=%3Cb%3E",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert!(!html.contains("<i>") && !html.contains("<b>"));
    let number = page.header("X-Exchange").expect("the page has one");
    assert!(html.contains(&format!("data-exchange=\"{number}\"")));
    let trace = demo.trace(number);
    for part in ["BEGIN_REQUEST", "HTTP_X_TEST = &quot;&lt;i&gt;&quot;", "STDIN", "STDOUT"] {
        assert!(trace.contains(part), "{part}\n{trace}");
    }
    for (path, content_type) in [("/demo.css", "text/css"), ("/demo.js", "text/javascript")] {
        let part = Request::get(path).send(demo.address);
        assert!(part.header("Content-Type").is_some_and(|found| found.starts_with(content_type)));
    }
    assert_eq!(Request::get("/nothing").send(demo.address).status, 404);
    assert_eq!(Request::get("/trace/999").send(demo.address).status, 404);
    let head = Request::new("HEAD", "/").send(demo.address);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn forms_and_uploads() {
    let demo = Demo::start(&["demo", "--listen", "127.0.0.1:0"]);
    let page = Request::post("/").form("name=Ada&text=a+%26+b").send(demo.address);
    assert!(page.text().contains("<th>text</th><td>a &amp; b</td>"), "{}", page.text());

    // More than the sockets and windows hold.
    let file = vec![b'a'; 1_000_000];
    let head = "--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a<.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n";
    let body = [head.as_bytes(), &file, b"\r\n--x--\r\n"].concat();
    let upload = Request::post("/").header("Content-Type", "multipart/form-data; boundary=x");
    for upload in [upload.clone().body(body.clone()), upload.body(body).chunked(10_000)] {
        let page = upload.send(demo.address);
        let html = page.text();
        for part in [
            "<th>note</th><td>hi</td>",
            "<th>name</th><td>a&lt;.bin</td>",
            "<td>1000000 bytes</td>",
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        let trace = demo.trace(page.header("X-Exchange").expect("the page has one"));
        assert!(trace.len() < 50_000, "{} bytes", trace.len());
    }
    let cut = Request::post("/").header("Content-Type", "multipart/form-data; boundary=x");
    let page = cut.body("--x\r\n").send(demo.address);
    assert!(page.text().contains("form is malformed"));
}

#[test]
fn a_stream_comes_line_by_line() {
    let demo = Demo::start(&["demo", "--listen", "127.0.0.1:0"]);
    let mut stream = Request::get("/stream").start(demo.address);
    let mut text = stream.more().to_vec();
    assert!(text.starts_with(b"line 1 of 8\n"));
    // Eight lines take 2.8 s.
    assert!(!text.ends_with(b"line 8 of 8\n"), "it came in one piece");
    loop {
        let more = stream.more();
        if more.is_empty() {
            break;
        }
        text.extend_from_slice(more);
    }
    assert!(text.ends_with(b"line 8 of 8\n"));
    assert!(stream.finish().is_complete());
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    for (arguments, signal) in [
        (&["demo", "--listen", "127.0.0.1:0"][..], Signal::INT),
        (&["demo", "--listen", "127.0.0.1:0"], Signal::TERM),
    ] {
        let mut demo = Demo::start(arguments);
        assert_eq!(Request::get("/").send(demo.address).status, 200);
        let idle = Connection::open(demo.address);
        assert_eq!(demo.sockets(), 1);
        demo.signal(signal);
        assert!(demo.ended().success());
        assert_eq!(demo.sockets(), 0);
        drop(idle);
    }
}

#[test]
fn a_signal_amid_a_stream_does_not_wait_for_its_end() {
    let mut demo = Demo::start(&["demo", "--listen", "127.0.0.1:0"]);
    let mut stream = Request::get("/stream").start(demo.address);
    assert!(!stream.more().is_empty());
    demo.signal(Signal::INT);
    assert!(demo.ended().success());
    assert_eq!(demo.sockets(), 0);
}

#[test]
fn it_is_what_runs_without_a_command() {
    // Its port may be taken, and then it finds another.
    let mut demo = Demo::start(&[]);
    assert_eq!(Request::get("/").send(demo.address).status, 200);
    let mut line = String::new();
    demo.stdout.read_line(&mut line).expect("it prints");
    assert!(line.contains("FastCGI"), "{line}");
    let taken = Command::new(env!("CARGO_BIN_EXE_fcgi"))
        .args(["demo", "--listen", &demo.address.to_string()])
        .output()
        .expect("it runs");
    assert_eq!(taken.status.code(), Some(1));
    let message = String::from_utf8_lossy(&taken.stderr);
    assert!(message.contains(&demo.address.to_string()), "{message}");
    demo.signal(Signal::TERM);
    assert!(demo.ended().success());
    assert!(Path::new(demo.folder.path()).is_dir());
}
