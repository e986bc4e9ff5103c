//! Applications by hand, for what our own server does not do.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Buf, BytesMut};
use fcgi_proto::RequestKey;
use fcgi_proto::server::{Config, Connection, Event};
use fcgi_tokio::Address;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Where an application may listen, as long as the folder is there.
pub(crate) fn socket() -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock").to_str().expect("UTF-8").to_owned();
    (folder, path)
}

/// Where an application listens.
pub(crate) struct Peer {
    pub(crate) address: Address,
    _folder: TempDir,
}

/// A peer that does what `serve` says with each connection.
pub(crate) fn peer<F>(serve: impl Fn(UnixStream) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    let (folder, path) = socket();
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Peer { address: Address::unix(&path), _folder: folder }
}

/// What a peer does with a whole request.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Echo,
    Nothing,
    Close,
}

/// An application by hand.
pub(crate) struct App {
    pub(crate) limit: u16,
    /// How often it was asked what it can do.
    pub(crate) asked: Arc<AtomicU32>,
    /// It does not answer that.
    pub(crate) is_silent: bool,
}

impl App {
    pub(crate) fn new(limit: u16) -> Self {
        Self { limit, asked: Arc::default(), is_silent: false }
    }

    /// Serves a connection; `reply` says what to do with the request of this number.
    pub(crate) async fn run(self, mut stream: UnixStream, reply: impl Fn(u32) -> Reply + Send) {
        let limit = NonZeroU16::new(self.limit).expect("not 0");
        let mut conn = Connection::new(Config::default().max_requests(limit));
        let (mut buf, mut requests) = (BytesMut::new(), Requests::default());
        loop {
            if !requests.answer(&mut conn, &mut buf, &reply) {
                return;
            }
            if conn.has_outgoing() {
                let written = stream.write_all_buf(&mut conn.outgoing()).await;
                if written.is_err() {
                    return;
                }
            }
            if conn.is_closing() || stream.read_buf(&mut buf).await.unwrap_or(0) == 0 {
                return;
            }
            self.note_question(&mut buf);
        }
    }

    /// A question is the first record of a connection, if there is one.
    fn note_question(&self, buf: &mut BytesMut) {
        if let &[1, 9, _, _, high, low, padding, _, ..] = &buf[..] {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_silent {
                buf.advance(
                    8 + usize::from(u16::from_be_bytes([high, low])) + usize::from(padding),
                );
            }
        }
    }
}

/// The bodies so far, and how many requests were whole.
#[derive(Default)]
struct Requests {
    bodies: HashMap<RequestKey, Vec<u8>>,
    count: u32,
}

impl Requests {
    /// Answers what there is; false when the connection is to be closed.
    fn answer(
        &mut self,
        conn: &mut Connection,
        input: &mut BytesMut,
        reply: &impl Fn(u32) -> Reply,
    ) -> bool {
        let mut rest: &[u8] = input;
        while let Ok(Some(event)) = conn.poll_event(&mut rest) {
            match event {
                Event::Request { key, .. } => drop(self.bodies.insert(key, Vec::new())),
                Event::Stdin { key, data } => {
                    self.bodies.entry(key).or_default().extend_from_slice(data);
                }
                Event::StdinEnd { key } => {
                    self.count += 1;
                    let Some(mut response) = conn.response(key) else { continue };
                    match reply(self.count) {
                        Reply::Echo => {
                            let body = self.bodies.remove(&key).unwrap_or_default();
                            response.stdout([&b"A: b\n\n"[..], &body].concat()).expect("room");
                            response.end(0);
                        }
                        Reply::Nothing => {}
                        Reply::Close => return false,
                    }
                }
                Event::Aborted { key } => {
                    if let Some(response) = conn.response(key) {
                        response.end(0);
                    }
                }
                _ => {}
            }
        }
        let used = input.len() - rest.len();
        input.advance(used);
        true
    }
}
