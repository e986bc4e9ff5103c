//! The pool with connections that requests share: our own server, which multiplexes, and peers by script.

mod app;
mod faults;
mod negotiation;
mod sharing;

use std::num::NonZeroU16;
use std::thread;
use std::time::Duration;

use app::Peer;
use bytes::Bytes;
use fcgi_blocking::server::{self, Listener};
use fcgi_blocking::{Address, Body, PoolConfig, Request, Server};
use fcgi_proto::server::Config;
use tempfile::TempDir;

/// Ends a hang.
const LIMIT: Duration = Duration::from_secs(60);

fn many(requests: u16) -> NonZeroU16 {
    NonZeroU16::new(requests).expect("not 0")
}

fn shared(requests: u16) -> PoolConfig {
    PoolConfig::default().multiplex(many(requests)).max_connections(1)
}

/// Our own server with this handler, until the test ends.
fn serve<F>(config: Config, handler: F) -> Peer
where
    F: Fn(server::Request) -> std::io::Result<u32> + Send + Sync + 'static,
{
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock").to_str().expect("UTF-8").to_owned();
    let listener = Listener::bind(Address::unix(&path)).expect("a socket");
    thread::spawn(move || Server::new(handler).config(config).serve(listener));
    Peer { address: Address::unix(&path), _folder: folder }
}

/// Answers with its body, piece by piece.
fn echo(mut request: server::Request) -> std::io::Result<u32> {
    request.stdout.write("Content-Type: text/plain\r\n\r\n")?;
    while let Some(chunk) = request.stdin.chunk()? {
        request.stdout.write(chunk)?;
    }
    Ok(0)
}

fn post(body: impl Into<Bytes>) -> Request {
    Request::post("/app").body(Body::from(body.into()))
}
