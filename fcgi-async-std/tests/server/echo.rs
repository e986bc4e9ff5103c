//! The echo example as a web server would start it: on descriptor 0, ended by SIGTERM.

use core::time::Duration;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::support::{Answer, Peer};
use fcgi_test_support::launch;
use smol::net::TcpStream;
use smol::net::unix::UnixStream;
use smol::{Timer, block_on};

use crate::timeout::timeout;

/// A running echo application; killed at the end of the test, whatever that is.
struct Echo(Child);

impl Echo {
    fn path() -> PathBuf {
        // Examples are built along with tests, next to the folder of these.
        let test = std::env::current_exe().expect("this test is a file");
        let build = test.ancestors().nth(2).expect("it is in the folder `deps`");
        let echo: PathBuf = build.join("examples/smol_echo");
        assert!(
            echo.is_file(),
            "{} is missing: `cargo test` builds it, `cargo test --test` does not",
            echo.display()
        );
        echo
    }

    fn command() -> Command {
        Command::new(Self::path())
    }

    fn on(listener: impl Into<OwnedFd>, arguments: &[&str]) -> Self {
        let mut command = Self::command();
        command.arg("--fd0").args(arguments).stdin(Stdio::from(listener.into()));
        Self(command.spawn().expect("it starts"))
    }

    async fn terminate(mut self) -> ExitStatus {
        let kill = format!("kill -TERM {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh runs").success());
        let ended = timeout(Duration::from_secs(60), async {
            loop {
                match self.0.try_wait().expect("it can be waited for") {
                    Some(status) => break status,
                    None => {
                        Timer::after(Duration::from_millis(5)).await;
                    }
                }
            }
        });
        ended.await.expect("it ends")
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tcp() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    (listener, address)
}

async fn ask(peer: &mut Peer<TcpStream>, params: &[(&str, &str)], body: &[u8]) -> Answer {
    let key = peer.begin(params);
    peer.send(key, body).await;
    peer.finish(key);
    peer.answer(key).await
}

fn body_of(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.stdout);
    text.split_once("\r\n\r\n").expect("there is a head").1.to_owned()
}

#[test]
fn what_it_answers() {
    block_on(async {
        let (listener, address) = tcp();
        let echo = Echo::on(listener, &[]);
        let mut peer = Peer::new(TcpStream::connect(address).await.expect("it listens"), true);

        let params = [
            ("REQUEST_METHOD", "POST"),
            ("QUERY_STRING", "a=1&b"),
            ("X", "\"\u{e9}\\"),
            ("X", "2"),
        ];
        let answer = ask(&mut peer, &params, b"abc").await;
        answer.is(
            concat!(
                "Content-Type: application/x-ndjson\r\n\r\n",
                "{\"peer\":\"fcgi-async-std\"}\n{\"method\":\"POST\"}\n{\"query\":\"a=1&b\"}\n",
                "{\"param\":\"REQUEST_METHOD\",\"value\":\"POST\"}\n",
                "{\"param\":\"QUERY_STRING\",\"value\":\"a=1&b\"}\n",
                "{\"param\":\"X\",\"value\":\"\\u0022\\u00c3\\u00a9\\u005c\"}\n",
                "{\"param\":\"X\",\"value\":\"2\"}\n",
                "{\"body_len\":3,\"body_sha256\":",
                "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}\n",
            ),
            0,
        );

        let answer = ask(&mut peer, &[("QUERY_STRING", "size=100000&exit=7")], b"").await;
        assert_eq!(body_of(&answer), "0123456789abcdef".repeat(6250));
        assert_eq!(answer.end.expect("it has ended").1, 7);

        let query = "drip=3&gap=1&status=404&stderr=oops&sleep=1";
        let answer = ask(&mut peer, &[("QUERY_STRING", query)], b"").await;
        answer.is("Status: 404\r\nContent-Type: text/plain\r\n\r\ndrip 1\ndrip 2\ndrip 3\n", 0);
        assert_eq!(answer.stderr, b"oops");

        let params = [("REQUEST_METHOD", "HEAD"), ("QUERY_STRING", "size=5")];
        let answer = ask(&mut peer, &params, b"").await;
        assert_eq!(body_of(&answer), "");

        let params = [("EVIL_TOKEN", "t"), ("EVIL_BIG", "70000")];
        let answer = ask(&mut peer, &params, b"abc").await;
        let json = "{\"token\":\"t\",\"params\":[[\"EVIL_TOKEN\",\"t\"],[\"EVIL_BIG\",\"70000\"]],\
                \"stdin_len\":3,\"stdin_md5\":\"900150983cd24fb0d6963f7d28e17f72\"}";
        assert_eq!(body_of(&answer), format!("{}{json}", " ".repeat(70_000)));

        let key = peer.begin(&[("QUERY_STRING", "noread")]);
        assert!(body_of(&peer.answer(key).await).contains("\"body_len\":0"));
        assert!(echo.terminate().await.success());
    });
}

#[test]
fn it_drains_and_ends() {
    block_on(async {
        let folder =
            tempfile::Builder::new().prefix("fcgi-").tempdir().expect("a folder can be made");
        let path = folder.path().join("app.sock");
        let listener = UnixListener::bind(&path).expect("it can be made");
        let echo = Echo::on(listener, &["--no-multiplex"]);
        let stream = UnixStream::connect(&path).await.expect("it listens");
        let mut peer = Peer::new(stream, true);
        let key = peer.get(&[("QUERY_STRING", "drip=2&gap=300")]);
        peer.until(key, |answer| answer.stdout.ends_with(b"drip 1\n")).await;
        let (ended, answer) = smol::future::zip(echo.terminate(), peer.answer(key)).await;
        answer.is("Content-Type: text/plain\r\n\r\ndrip 1\ndrip 2\n", 0);
        assert!(ended.success());
    });
}

#[test]
fn the_list_of_web_servers_is_kept_to() {
    block_on(async {
        for (list, is_admitted) in [("10.9.8.7,10.9.8.6", false), ("10.9.8.7,127.0.0.1", true)] {
            let (listener, address) = tcp();
            let mut command = Echo::command();
            command.arg("--fd0").stdin(Stdio::from(OwnedFd::from(listener)));
            command.env("FCGI_WEB_SERVER_ADDRS", list);
            let _echo = Echo(command.spawn().expect("it starts"));
            let mut peer = Peer::new(TcpStream::connect(address).await.expect("it listens"), false);
            if is_admitted {
                let key = peer.get(&[]);
                peer.answer(key).await;
            }
            peer.eof().await;
        }
    });
}

#[test]
fn descriptor_0_that_is_no_socket() {
    block_on(async {
        let mut command = Echo::command();
        let output = command.arg("--fd0").stdin(Stdio::null()).output().expect("it runs");
        assert!(!output.status.success());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("descriptor 0 is no socket"), "{message}");
    });
}

// spec: S1
#[test]
fn under_spawn_fcgi() {
    launch::check_spawn_fcgi(&Echo::path());
}

// spec: S1
#[test]
fn started_by_lighttpd() {
    launch::check_lighttpd(&Echo::path());
}

#[test]
fn activated_by_systemd() {
    launch::check_systemd(&Echo::path());
}

#[test]
fn without_a_socket_from_systemd() {
    let output = Echo::command().arg("--systemd").output().expect("it runs");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("systemd has passed no socket"), "{message}");
}
