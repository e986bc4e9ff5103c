//! Applications by hand, for what our own server does not do.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use bytes::{Buf, BytesMut};
use fcgi_blocking::Address;
use fcgi_proto::RequestKey;
use fcgi_proto::server::{Config, Connection, Event};
use tempfile::TempDir;

/// Where an application listens, as long as it is there.
pub(crate) struct Peer {
    pub(crate) address: Address,
    pub(crate) _folder: TempDir,
}

/// A peer that does what `serve` says with each connection.
pub(crate) fn peer(serve: impl Fn(UnixStream) + Send + Sync + 'static) -> Peer {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock").to_str().expect("UTF-8").to_owned();
    let listener = UnixListener::bind(&path).expect("a socket");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.expect("a connection"), Arc::clone(&serve));
            thread::spawn(move || serve(stream));
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

/// An application that says yes to so many requests at once.
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

    /// Serves a connection to its end; `reply` says what to do with the request of this number.
    pub(crate) fn run(&self, mut stream: UnixStream, reply: impl Fn(u32) -> Reply) {
        let limit = NonZeroU16::new(self.limit).expect("not 0");
        let mut conn = Connection::new(Config::default().max_requests(limit));
        let (mut input, mut requests) = (BytesMut::new(), Requests::default());
        let mut buf = [0; 16 * 1024];
        loop {
            if !requests.answer(&mut conn, &mut input, &reply) {
                return;
            }
            while conn.has_outgoing() {
                let mut outgoing = conn.outgoing();
                let Ok(count) = stream.write(outgoing.chunk()) else { return };
                outgoing.advance(count);
            }
            let count = stream.read(&mut buf).unwrap_or(0);
            if conn.is_closing() || count == 0 {
                return;
            }
            input.extend_from_slice(buf.get(..count).expect("what was read"));
            self.note_question(&mut input);
        }
    }

    /// A question is the first record of a connection, if there is one.
    fn note_question(&self, input: &mut BytesMut) {
        if let &[1, 9, _, _, high, low, padding, _, ..] = &input[..] {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_silent {
                let len = u16::from_be_bytes([high, low]);
                input.advance(8 + usize::from(len) + usize::from(padding));
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
