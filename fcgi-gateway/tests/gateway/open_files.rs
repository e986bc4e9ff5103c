//! The system's limit of open files.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use fcgi_test_support::Scripts;

use crate::support::{Serve, fcgi};

/// Serves a folder of files with a limit that `ulimit` sets first.
fn serve(site: &Scripts, limit: &str, args: &[&str]) -> Serve {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"]);
    command.arg(fcgi().get_program()).arg("serve").arg(site.root());
    command.args(["--listen", "127.0.0.1:0", "--fpm", "127.0.0.1:1"]).args(args);
    Serve::launch(command.env("FCGI_PROBE", "false"))
}

fn site() -> Scripts {
    let site = Scripts::empty();
    site.add("page.txt", "a page");
    site
}

/// The soft and the hard limit of a process.
fn limits(pid: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut limits = line.split_whitespace().map(|limit| limit.parse().unwrap_or(u64::MAX));
    (limits.next().unwrap(), limits.next().unwrap())
}

#[test]
fn the_soft_limit_is_raised() {
    let site = site();
    let mut serve = serve(&site, "-S -n 64", &["--max-clients", "500"]);
    let (soft, hard) = limits(serve.pid());
    assert!(hard >= 1256, "{hard} open files are too few for this test");
    assert_eq!(soft, 1256);
    let mut clients: Vec<_> =
        (0..300).map(|_| TcpStream::connect(serve.address()).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"GET /page.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    for client in &mut clients {
        assert!(client.read(&mut [0; 1024]).unwrap() > 0);
    }
    assert!(!serve.log().contains("files may be open"), "{}", serve.log());
    serve.stop();
}

/// Without word of how many clients there may be, no more are let in than there are files for.
#[test]
fn a_low_hard_limit_lowers_the_number_of_clients() {
    let site = site();
    let mut serve = serve(&site, "-n 300", &[]);
    serve.wait_for_log("at most 300 files may be open, so that at most 75 clients are let in");
    assert_eq!(limits(serve.pid()), (300, 300));
    let idle: Vec<_> = (0..400).map(|_| TcpStream::connect(serve.address()).unwrap()).collect();
    assert_eq!(serve.get("/page.txt").text(), "a page");
    assert!(!serve.log().contains("Too many open files"), "{}", serve.log());
    drop(idle);
    serve.stop();
}

#[test]
fn what_an_operator_asks_for_stays_and_is_doubted() {
    let site = site();
    let mut serve = serve(&site, "-n 300", &["--max-clients", "1000"]);
    let line = serve.wait_for_log("which 1000 clients may not have enough of");
    assert!(line.contains("to 2256, or lower --max-clients to 75"), "{line}");
    assert_eq!(serve.get("/page.txt").text(), "a page");
    serve.stop();
}
