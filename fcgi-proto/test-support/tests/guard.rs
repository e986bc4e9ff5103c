//! A server goes even if the test that started it is killed.

use core::time::Duration;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use fcgi_test_support::{PhpFpm, is_running, wait_until};

#[test]
#[ignore = "the next test runs it in a process of its own, where it kills that process"]
fn starts_a_server_and_dies() {
    let fpm = PhpFpm::start();
    let pids: Vec<String> = fpm.worker_pids().iter().map(u32::to_string).collect();
    println!("\nstarted {} {} {}", fpm.address(), fpm.master_pid(), pids.join(" "));
    std::process::abort();
}

#[test]
fn nothing_outlives_a_killed_test() {
    let program = env::current_exe().expect("a test knows its program");
    let mut child = Command::new(program)
        .args(["--ignored", "--exact", "starts_a_server_and_dies", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a test can run itself");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let lines: Vec<String> = output.lines().map_while(Result::ok).collect();
    assert!(!child.wait().expect("it can be waited for").success());

    let started = lines.iter().find_map(|line| line.strip_prefix("started unix:"));
    let started = started.unwrap_or_else(|| panic!("it did not start a server: {lines:?}"));
    let mut words = started.split(' ');
    let folder = words.next().and_then(|path| Path::new(path).parent()).expect("a socket's path");
    let pids: Vec<u32> = words.map(|pid| pid.parse().expect("a number")).collect();
    assert_eq!(pids.len(), 3);
    let gone = || !folder.exists() && !pids.iter().copied().any(is_running);
    assert!(wait_until(Duration::from_secs(30), gone), "{} {pids:?}", folder.display());
}
