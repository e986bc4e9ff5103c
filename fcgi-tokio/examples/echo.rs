//! An application that tells what it was asked, for trying out web servers and clients.
//!
//! ```text
//! echo [--max-requests N] [--no-multiplex] (ADDRESS | --fd0 | --systemd)
//! ```
//!
//! It listens on ADDRESS (`HOST:PORT`, `unix:PATH`) on the socket that is descriptor 0, or on those that systemd
//! has opened, reads the body, and answers
//! with one JSON object a line: the parameters in their order, and the body's length and hash. The query string changes
//! that: `size=N` bytes of a pattern, `drip=K&gap=MS` for K lines with time between, `status=404`, `stderr=TEXT`,
//! `sleep=MS`, `exit=N` for the application status, `noread`. SIGTERM ends it once the requests under way are answered.

#[path = "echo/answer.rs"]
mod answer;

use std::num::NonZeroU16;

use fcgi_tokio::Params;
use fcgi_tokio::server::{Aborted, Config, InputError, Listener, Request, Server, Stdin, Stdout};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

const PEER: &str = "fcgi-tokio";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    let mut listener = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--max-requests" => {
                let count = arguments.next().ok_or("--max-requests needs a number")?;
                config = config.max_requests(count.parse()?);
            }
            "--no-multiplex" => config = config.max_requests(NonZeroU16::MIN),
            "--fd0" => listener = Some(Listener::from_fd0()?),
            "--systemd" => listener = Some(Listener::from_systemd()?),
            address => listener = Some(Listener::bind(address).await?),
        }
    }
    let listener = listener
        .ok_or("usage: echo [--max-requests N] [--no-multiplex] (ADDRESS | --fd0 | --systemd)")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::new(answer::echo).config(config);
    server.graceful_shutdown(async move { terminate.recv().await }).serve(listener).await?;
    Ok(())
}
