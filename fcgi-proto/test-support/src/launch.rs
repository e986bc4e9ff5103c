//! What starts an application that does not open its socket itself: spawn-fcgi, lighttpd, systemd.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::http::Request;
use crate::service::Service;
use crate::wait::{free_port, wait_until};
use crate::{Socket, WebServer, programs, temp};

/// Runs an application, an `echo` of one of the adapters, with `--fd0` under spawn-fcgi, on TCP and on a unix socket.
///
/// # Panics
///
/// When spawn-fcgi is not installed, or the application does not answer.
pub fn check_spawn_fcgi(application: &Path) {
    let folder = temp::folder();
    let path = folder.path().join("app.sock");
    let port = free_port().to_string();
    let unix = format!("unix:{}", temp::text(&path));
    let tcp = format!("127.0.0.1:{port}");
    for (options, address) in
        [(vec!["-a", "127.0.0.1", "-p", &port], &tcp), (vec!["-s", temp::text(&path)], &unix)]
    {
        let mut command = Command::new(programs::find("spawn-fcgi", "spawn-fcgi"));
        command.arg("-n").args(options).arg("--").arg(application).arg("--fd0");
        let service = Service::spawn(&mut command, Signal::TERM, folder.path());
        check_answer(address, "under spawn-fcgi");
        drop(service);
    }
}

/// Lets lighttpd start an application by itself (`bin-path`), and asks it through lighttpd.
///
/// # Panics
///
/// When lighttpd is not installed, or the application does not answer.
pub fn check_lighttpd(application: &Path) {
    let folder = temp::folder();
    let socket = folder.path().join("app.sock");
    let server = WebServer::lighttpd(&format!(
        r#"fastcgi.server = ("/" => (("socket" => "{}", "bin-path" => "{} --fd0", "max-procs" => 1, "check-local" => "disable")))"#,
        temp::text(&socket),
        application.display(),
    ));
    let body = vec![b'x'; 100_000];
    let response = Request::post("/some/path?a=b").body(body).send(server.address());
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert_eq!(response.status, 200, "{text}\n{}", server.log());
    for expected in ["{\"query\":\"a=b\"}", "\"body_len\":100000", "\"value\":\"/some/path?a=b\""] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

/// Lets systemd's launcher open a TCP and a unix socket, and asks an application with `--systemd` over both.
///
/// # Panics
///
/// When systemd-socket-activate is not installed, or the application does not answer.
pub fn check_systemd(application: &Path) {
    let folder = temp::folder();
    let path = folder.path().join("app.sock");
    let tcp = SocketAddr::from(([127, 0, 0, 1], free_port())).to_string();
    let mut command = Command::new(programs::find("systemd-socket-activate", "systemd"));
    command.args(["-l", &tcp, "-l", temp::text(&path), "--fdname=web:admin"]);
    command.arg(application).arg("--systemd");
    let _service = Service::spawn(&mut command, Signal::TERM, folder.path());
    check_answer(&tcp, "over a TCP socket of systemd's");
    check_answer(&format!("unix:{}", temp::text(&path)), "over a unix socket of systemd's");
    check_answer(&tcp, "over the first socket again");
}

/// Sends a GET in FastCGI's own bytes, and looks for the answer of an `echo`.
fn check_answer(address: &str, how: &str) {
    let mut answer = Vec::new();
    let answered = wait_until(LIMIT, || {
        let Ok(mut socket) = Socket::connect(address) else { return false };
        answer.clear();
        socket.write_all(GET).is_ok()
            && socket.read_to_end(&mut answer).is_ok()
            && !answer.is_empty()
    });
    let text = String::from_utf8_lossy(&answer);
    assert!(answered, "no answer from {address} {how}");
    assert!(text.contains("\"body_len\":0"), "{address} {how} has answered {text}");
}

/// BEGIN_REQUEST (responder, close), PARAMS with REQUEST_METHOD, the end of PARAMS, the end of STDIN.
const GET: &[u8] = b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0\
    \x01\x04\0\x01\0\x13\0\0\x0e\x03REQUEST_METHODGET\
    \x01\x04\0\x01\0\0\0\0\
    \x01\x05\0\x01\0\0\0\0";
const LIMIT: Duration = Duration::from_secs(60);
