//! Peers that do what a test says, byte by byte.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use super::Client;

/// A whole answer to request 1: the header `A: b`, the body `hey`.
pub const HELLO: &[u8] =
    b"\x01\x06\0\x01\0\x0b\x05\0A: b\r\n\r\nhey\0\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";

/// A peer that has a unix socket and threads; they end with the test.
#[derive(Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: String,
    _folder: TempDir,
}

impl Peer {
    /// A client with the default limits.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }
}

/// A peer that does what `serve` says with each connection, in a thread of its own.
///
/// # Panics
/// When there is no place for a socket.
#[must_use]
pub fn peer(serve: impl Fn(UnixStream) + Send + Sync + 'static) -> Peer {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("peer.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    serve_on(listener, serve);
    Peer { address: format!("unix:{}", path.display()), _folder: folder }
}

/// The same on a socket that is there.
pub fn serve_on(listener: UnixListener, serve: impl Fn(UnixStream) + Send + Sync + 'static) {
    let serve = Arc::new(serve);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
}

/// A peer that reads the request and then writes these bytes and closes.
#[must_use]
pub fn answers(bytes: impl Into<Vec<u8>>) -> Peer {
    let bytes = bytes.into();
    peer(move |mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(&bytes);
    })
}

/// Reads until the empty STDIN record of request 1.
pub fn read_request(stream: &mut UnixStream) {
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    while !seen.ends_with(b"\x01\x05\0\x01\0\0\0\0") {
        match stream.read(&mut some) {
            Ok(count) if count > 0 => seen.extend_from_slice(&some[..count]),
            _ => return,
        }
    }
}

/// Waits until the other side closes.
pub fn until_closed(mut stream: UnixStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}
