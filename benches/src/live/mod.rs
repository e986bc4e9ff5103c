//! Whole programs under load, over real sockets: what the other measurements leave out.

mod chart;
pub mod clients;
mod crowd;
pub mod gateway;
mod load;
mod php;
mod process;
mod proxies;
pub mod responder;
mod scale;
mod table;

use std::io::{Error, Result};

/// An error that says what was attempted.
fn failed(what: impl core::fmt::Display) -> Error {
    Error::other(what.to_string())
}

/// Waits for something that a program which was just started is about to do.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    for _ in 0..1000 {
        if let Some(found) = look() {
            return Ok(found);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(failed(format_args!("waited 10 s for {what}")))
}

/// Raises the limit of open files to what may be had.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
