use std::future::{Future, pending};

use fcgi_tokio::{Address, Client};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

/// A head, `A: b`, with the beginning of a body of many records.
pub(crate) const HEAD: &[u8] = b"\x01\x06\0\x01\0\x06\0\0A: b\n\n";
/// The end of request 1.
pub(crate) const END: &[u8] = b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";

pub(crate) struct Peer {
    pub(crate) address: Address,
    _folder: TempDir,
}

impl Peer {
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address.clone())
    }
}

/// A peer that does what `serve` says with each connection, once the request is there.
pub(crate) fn peer<F>(serve: impl Fn(UnixStream) -> F + Clone + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    deaf(move |mut stream| {
        let serve = serve.clone();
        async move {
            read_request(&mut stream).await;
            serve(stream).await;
        }
    })
}

/// A peer that reads nothing by itself.
pub(crate) fn deaf<F>(serve: impl Fn(UnixStream) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("peer.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Peer { address: Address::unix(path.to_str().expect("UTF-8")), _folder: folder }
}

/// Keeps the connection and says nothing.
pub(crate) async fn silence(stream: UnixStream) {
    pending::<()>().await;
    drop(stream);
}

/// A record of request 1.
pub(crate) fn record(record_type: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("at most 65,535 bytes").to_be_bytes();
    [&[1, record_type, 0, 1, len[0], len[1], 0, 0], content].concat()
}

/// Reads until the empty STDIN record of request 1.
async fn read_request(stream: &mut UnixStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\x01\x05\0\x01\0\0\0\0") {
        if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return;
        }
    }
}
