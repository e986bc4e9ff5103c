//! The threads of a pool end with it. A program of its own, as all of its threads count.

#![cfg(target_os = "linux")]

use std::fs;
use std::num::NonZeroU16;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use fcgi_blocking::server::Server;
use fcgi_blocking::{Address, Pool, PoolConfig, Request, server};
use fcgi_test_support::wait_until;
use tempfile::TempDir;

/// Ends a hang.
const LIMIT: Duration = Duration::from_secs(30);

fn hello(mut request: server::Request) -> std::io::Result<u32> {
    request.stdout.write("A: b\r\n\r\nhello")?;
    Ok(0)
}

fn count(name: &str) -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("a list");
    let names = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("comm")));
    names.filter(|found| found.as_ref().is_ok_and(|found| found.trim_end() == name)).count()
}

#[test]
fn the_threads_of_a_pool_end_with_it() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock").to_str().expect("UTF-8").to_owned();
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || Server::new(hello).serve(listener));
    let config = PoolConfig::default().multiplex(NonZeroU16::MAX).idle_timeout(None);
    let pool = Pool::new([Address::unix(&path)], config);
    let first = pool.execute(Request::get("/app")).expect("a head");
    pool.call(Request::get("/app")).expect("an answer");
    // A thread gets its name only once it runs.
    assert!(wait_until(LIMIT, || (count("fcgi-pool"), count("fcgi-carrier")) == (1, 1)));
    drop(pool);
    assert_eq!(first.collect(100).expect("the rest").body(), "hello");
    assert!(wait_until(LIMIT, || count("fcgi-pool") + count("fcgi-carrier") == 0));
}
