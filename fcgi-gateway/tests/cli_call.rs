//! `fcgi call` against PHP-FPM and against what is none.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

use fcgi_test_support::{PhpFpm, Scripts, pattern};

/// What a call has printed, and its exit code.
struct Done(Output);

impl Done {
    fn code(&self) -> i32 {
        self.0.status.code().expect("it exits by itself")
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    fn is(&self, code: i32, stdout: &str) {
        let seen = (self.code(), self.stdout());
        assert_eq!(seen, (code, stdout.to_owned()), "{}", self.stderr());
    }
}

fn fcgi(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fcgi"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn call(arguments: &[&str]) -> Done {
    Done(fcgi(&[&["call"], arguments].concat()).output().expect("it runs"))
}

/// A call with something on its standard input.
fn call_with(arguments: &[&str], input: &[u8]) -> Done {
    let mut command = fcgi(&[&["call"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        Done(child.wait_with_output().expect("it ends"))
    })
}

#[test]
fn the_greeter_over_both_kinds_of_socket() {
    let scripts = Scripts::new();
    let greeter = scripts.path("greeter.php");
    for fpm in [PhpFpm::builder().listen_tcp().start(), PhpFpm::builder().listen_unix().start()] {
        let address = fpm.address();
        call(&[address, &greeter]).is(0, "Hello World");
        call(&[address, &greeter, "who=Swoole"]).is(0, "Hello Swoole");
        call(&[address, &greeter, "who=a & b", "-X", "GET"]).is(0, "Hello a & b");
        call(&[address, &format!("{greeter}?who=you")]).is(0, "Hello you");
        call(&[address, &greeter, "-d", "who=data"]).is(0, "Hello data");
        let mut relative = fcgi(&["call", address, "greeter.php"]);
        Done(relative.current_dir(scripts.root()).output().expect("it runs")).is(0, "Hello World");
        let roundabout = format!("{}/nowhere/../greeter.php", scripts.root().display());
        call(&[address, &roundabout]).is(0, "Hello World");
        call(&[address, "/nowhere/gone.php"]).is(6, "File not found.\n");
    }
}

#[test]
fn what_is_sent() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let ask = |arguments: &[&str]| {
        let script = scripts.path("env.php");
        let done = call(&[&[fpm.address(), &script], arguments].concat());
        assert_eq!(done.code(), 0, "{}", done.stderr());
        serde_json::from_str::<serde_json::Value>(&done.stdout()).expect("JSON")
    };
    let env = ask(&["-H", "X-Test: a: b", "-H", "Host: example.org", "-p", "REMOTE_ADDR=10.0.0.1"]);
    assert_eq!(env["HTTP_X_TEST"], "a: b");
    assert_eq!(env["HTTP_HOST"], "example.org");
    assert_eq!(env["REMOTE_ADDR"], "10.0.0.1");
    assert_eq!(env["REQUEST_METHOD"], "GET");
    let env = ask(&["--json", "{}"]);
    assert_eq!(env["REQUEST_METHOD"], "POST");
    assert_eq!(env["CONTENT_TYPE"], "application/json");
    let env = ask(&["-X", "PUT", "-d", "x", "-H", "Content-Type: text/plain"]);
    assert_eq!(env["REQUEST_METHOD"], "PUT");
    assert_eq!(env["CONTENT_TYPE"], "text/plain");
    assert_eq!(env["CONTENT_LENGTH"], "1");
}

#[test]
fn bodies_from_text_file_and_standard_input() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let echo = scripts.path("echo.php");
    // More than is kept in memory of what comes from a pipe.
    let body = pattern(3 << 20);
    let file = scripts.add("body.bin", &body);
    let json = ["-H", "Content-Type: application/octet-stream"];
    let from_file = format!("@{file}");
    let sent = call(&[&[fpm.address(), &echo, "-d", &from_file], &json[..]].concat());
    assert!(sent.0.stdout == body, "{}", sent.stderr());
    let sent = call_with(&[&[fpm.address(), &echo, "-d", "-"], &json[..]].concat(), &body);
    assert!(sent.0.stdout == body, "{}", sent.stderr());
    let sent = call_with(&[fpm.address(), &echo, "--json", "-"], b"0");
    sent.is(0, "0");
    call(&[fpm.address(), &echo, "-d", ""]).is(0, "");
    let done = call(&[fpm.address(), &echo, "-d", "@/nowhere/body"]);
    assert_eq!(done.code(), 2);
    assert!(done.stderr().contains("/nowhere/body"), "{}", done.stderr());
}

#[test]
fn the_head_and_the_error_output() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let status = scripts.path("status.php?code=201");
    let done = call(&[fpm.address(), &status, "-i"]);
    assert!(done.stdout().starts_with("HTTP/1.1 201 Created\r\n"), "{}", done.stdout());
    assert!(done.stdout().contains("\r\nContent-type: text/html"), "{}", done.stdout());
    assert!(done.stdout().ends_with("\r\n\r\nstatus 201"), "{}", done.stdout());
    let done = call(&[fpm.address(), &scripts.path("stderr.php")]);
    done.is(0, "said on stdout");
    assert!(done.stderr().contains("said through error_log"), "{}", done.stderr());
}

#[test]
fn a_response_is_printed_as_it_comes() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let slow = scripts.path("sleep.php?first=1&ms=60000");
    let mut command = fcgi(&["call", fpm.address(), &slow]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut first = [0; 6];
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_exact(&mut first).expect("it comes before the end");
    assert_eq!(&first, b"first\n");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let big = scripts.path("big.php?size=10000000");
    let mut command = fcgi(&["call", fpm.address(), &big]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    Done(child.wait_with_output().expect("it ends")).is(0, "");
}

#[test]
fn exit_codes_of_answers() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    for (code, body) in [(400, "status 400"), (404, "status 404"), (500, "status 500")] {
        let done = call(&[fpm.address(), &scripts.path(&format!("status.php?code={code}"))]);
        done.is(1, body);
        assert!(done.stderr().contains(&code.to_string()), "{}", done.stderr());
    }
    call(&[fpm.address(), &scripts.path("status.php?code=302")]).is(0, "status 302");

    let done = call(&[fpm.address(), "/nowhere/gone.php"]);
    done.is(6, "File not found.\n");
    assert!(done.stderr().contains("/nowhere/gone.php"), "{}", done.stderr());
    assert!(done.stderr().contains("File not found."), "{}", done.stderr());
    assert!(done.stderr().contains(fpm.address()), "{}", done.stderr());
    let text = scripts.add("page.txt", "text");
    call(&[fpm.address(), &text]).is(6, "Access denied.\n");

    let done = call(&[fpm.address(), &scripts.path("sleep.php?ms=60000"), "--timeout", "0.2"]);
    done.is(4, "");
    assert!(done.stderr().contains("timeout"), "{}", done.stderr());
}

#[test]
fn exit_codes_of_usage() {
    let address = "127.0.0.1:9";
    for arguments in [
        &[][..],
        &[address],
        &["nonsense", "x.php"],
        &["127.0.0.1", "x.php"],
        &[address, "x.php", "field"],
        &[address, "x.php", "a=1", "-d", "x"],
        &[address, "x.php", "-d", "x", "--json", "x"],
        &[address, "x.php", "-H", "no colon"],
        &[address, "x.php", "-p", "no sign"],
        &[address, "x.php", "--timeout", "soon"],
        &[address, "x.php", "--timeout", "-1"],
        &[address, "x.php", "-H", "bad name: x"],
        &[address, ""],
    ] {
        let done = call(arguments);
        assert_eq!(done.code(), 2, "{arguments:?}: {}", done.stderr());
        assert!(!done.stderr().is_empty());
    }
}

#[test]
fn exit_codes_of_connections() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it has one").to_string()
    };
    for address in [nobody.as_str(), "unix:/nowhere/fpm.sock"] {
        let done = call(&[address, "/x.php"]);
        done.is(3, "");
        assert!(done.stderr().contains(address), "{}", done.stderr());
        call(&[address, "/x.php", "--trace"]).is(3, "");
    }
    for (answer, printed) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"", "closed the connection"),
        (b"\x01\x07\0\x01\0\x0a\0\0last words", "last words\n"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has one").to_string();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it is connected to");
            let mut buf = [0; 8192];
            let _ = stream.read(&mut buf);
            let _ = stream.write_all(answer);
        });
        let done = call(&[&address, "/x.php"]);
        done.is(5, "");
        assert!(done.stderr().contains(&address), "{}", done.stderr());
        assert!(done.stderr().contains(printed), "{}", done.stderr());
        peer.join().expect("it is done");
    }
}

#[test]
fn records() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let done = call(&[fpm.address(), &scripts.path("greeter.php"), "who=you", "--trace"]);
    done.is(0, "Hello you");
    let trace = done.stderr();
    for start in ["> BEGIN_REQUEST", "> PARAMS", "> STDIN", "< STDOUT", "< END_REQUEST"] {
        assert!(trace.lines().any(|line| line.starts_with(start)), "{start}\n{trace}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::start();
    let script = scripts.path("echo.php");
    let file = scripts.add("data.json", "{\"a\": [1, 2}");
    let refused = |arguments: &[&str], part: &str| {
        let done = call(&[&[fpm.address(), &script], arguments].concat());
        assert!(
            done.code() == 2 && done.stderr().contains(part),
            "{arguments:?}: {}",
            done.stderr()
        );
    };
    refused(&["-p", "CONTENT_LENGTH=7", "-d", "x"], "CONTENT_LENGTH is the length of the body");
    refused(&["-X", "GET /"], "expected a method");
    refused(&["-X", ""], "expected a method");
    refused(&["--json", "{'a': 1}"], "no JSON");
    refused(&["--json", ""], "no JSON");
    refused(&["--json", "{} x"], "no JSON");
    refused(&["--json", &format!("@{file}")], "data.json: it is no JSON");
    let piped = call_with(&[fpm.address(), &script, "--json", "-"], b"[1");
    assert!(
        piped.code() == 2 && piped.stderr().contains("standard input: it is no JSON"),
        "{}",
        piped.stderr()
    );
    // What is right arrives as it is, from wherever it comes.
    let text = r#"{"a": "\u00fc",  "b": [1, 2]}"#;
    let file = scripts.add("data.json", text);
    call(&[fpm.address(), &script, "--json", text]).is(0, text);
    call(&[fpm.address(), &script, "--json", &format!("@{file}")]).is(0, text);
    call_with(&[fpm.address(), &script, "--json", "-"], text.as_bytes()).is(0, text);
}

#[test]
fn the_time_for_everything_includes_reading() {
    let fpm = PhpFpm::start();
    let mut command = fcgi(&["call", fpm.address(), "/x.php", "-d", "-", "--timeout", "0.2"]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Never written to, and only closed after it has ended.
    let stdin = child.stdin.take();
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("it can be read");
    assert_eq!(child.wait().expect("it ends").code(), Some(4), "{stderr}");
    assert!(stderr.contains("standard input did not end within 200ms"), "{stderr}");
    drop(stdin);
}
