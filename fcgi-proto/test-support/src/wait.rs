//! Waiting for events, and ports that are free.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

/// Asks `condition` again and again until it holds, and says whether it did within `limit`.
///
/// It is asked at least once, and once more after the limit, so that a test that was not given the
/// processor for a while does not fail for it.
#[must_use]
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return condition();
        }
        thread::sleep(POLL);
    }
}

/// A TCP port of 127.0.0.1 on which nobody listened a moment ago.
///
/// Somebody else may take it before it is used: whoever listens on it must be ready to try another.
/// Code under test should bind port 0 instead wherever it can.
///
/// # Panics
///
/// When 127.0.0.1 has no free port.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has no free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// How long to sleep between two questions.
const POLL: Duration = Duration::from_millis(5);
