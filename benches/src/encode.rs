//! From parameters and a body to the bytes of a request, up to the slices for a write.
//!
//! - Floor: one buffer for all headers and parameters; the body's slices are lent, 65,535 bytes to a record.
//! - Ours: `begin`, `stdin` with a `Bytes`, `finish`, and the output taken 16 slices at a time. Ending the request
//!   before is preparation.
//! - `fastcgi-client`: `execute_stream` up to the stream of the response, on IO that takes every write at no cost. Its
//!   map of parameters, 25 insertions, is made in the preparation.

use std::hint::black_box;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use fastcgi_client::conn::KeepAlive;
use fcgi_proto::{Outgoing, RequestKey, Role, client};

use crate::io::{Canned, now};
use crate::{Case, Group, Who, Work, data, floor, warm};

const SLICES: usize = 16;
const KIB: usize = 1024;

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            id: "encode-get",
            title: "encode GET, 25 parameters",
            records: 4,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(0)) },
                Case { who: Who::Ours, make: || warm(Ours::new(0)) },
                Case { who: Who::FastcgiClient, make: || warm(FastcgiClient::new(0)) },
            ],
        },
        Group {
            id: "encode-post-64k",
            title: "encode POST, body of 64 KiB",
            records: 6,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(64 * KIB)) },
                Case { who: Who::Ours, make: || warm(Ours::new(64 * KIB)) },
                Case { who: Who::FastcgiClient, make: || warm(FastcgiClient::new(64 * KIB)) },
            ],
        },
        Group {
            id: "encode-post-1m",
            title: "encode POST, body of 1 MiB",
            records: 21,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(1024 * KIB)) },
                Case { who: Who::Ours, make: || warm(Ours::new(1024 * KIB)) },
                Case { who: Who::FastcgiClient, make: || warm(FastcgiClient::new(1024 * KIB)) },
            ],
        },
    ]
}

struct Floor {
    out: Vec<u8>,
    body: Bytes,
    next: Bytes,
}

impl Floor {
    fn new(body: usize) -> Self {
        Self { out: Vec::new(), body: vec![b'x'; body].into(), next: Bytes::new() }
    }
}

impl Work for Floor {
    fn prepare(&mut self) {
        self.next = self.body.clone();
    }

    fn run(&mut self) {
        let body = std::mem::take(&mut self.next);
        let out = &mut self.out;
        out.clear();
        floor::push_request(out, black_box(&data::PAIRS));
        let mut end = out.len();
        for content in body.chunks(65_535) {
            out.extend_from_slice(&floor::header(floor::STDIN, content.len()));
        }
        out.extend_from_slice(&floor::header(floor::STDIN, 0));
        let mut start = 0;
        let mut slices = [IoSlice::new(&[]); SLICES];
        for contents in body.chunks(65_535 * (SLICES / 2)) {
            for (pair, content) in slices.chunks_exact_mut(2).zip(contents.chunks(65_535)) {
                end += 8;
                pair[0] = IoSlice::new(&out[start..end]);
                pair[1] = IoSlice::new(content);
                start = end;
            }
            black_box(&slices);
        }
        slices[0] = IoSlice::new(&out[start..]);
        black_box(&slices);
    }
}

struct Ours {
    conn: client::Connection,
    open: Option<RequestKey>,
    body: Bytes,
    next: Bytes,
}

impl Ours {
    fn new(body: usize) -> Self {
        Self {
            conn: client::Connection::new(client::Config::default().keep_conn(true)),
            open: None,
            body: vec![b'x'; body].into(),
            next: Bytes::new(),
        }
    }
}

impl Work for Ours {
    fn prepare(&mut self) {
        if let Some(key) = self.open.take() {
            let mut wire = Vec::new();
            data::end_request(&mut wire, key.request_id());
            let mut input = wire.as_slice();
            while self.conn.poll_event(&mut input).expect("a response").is_some() {}
        }
        self.next = self.body.clone();
    }

    fn run(&mut self) {
        let body = std::mem::take(&mut self.next);
        let pairs = black_box(&data::PAIRS).iter().copied();
        let key = self.conn.begin(Role::Responder, pairs).expect("nothing is open");
        let mut request = self.conn.request(key).expect("it has begun");
        request.stdin(body).expect("nothing is held");
        request.finish().expect("once");
        self.open = Some(key);
        write(self.conn.outgoing());
    }
}

/// Takes the output as a vectored write to a socket would that takes it all.
pub(crate) fn write(mut out: Outgoing<'_>) {
    while out.has_remaining() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = out.chunks_vectored(&mut slices);
        let slices = black_box(&slices[..count]);
        let len = slices.iter().map(|slice| slice.len()).sum();
        out.advance(len);
    }
}

struct FastcgiClient {
    client: fastcgi_client::Client<Canned, KeepAlive>,
    body: Vec<u8>,
    params: Option<fastcgi_client::Params<'static>>,
}

impl FastcgiClient {
    fn new(body: usize) -> Self {
        let client = fastcgi_client::Client::new_keep_alive(Canned::new(b""));
        Self { client, body: vec![b'x'; body], params: None }
    }
}

impl Work for FastcgiClient {
    fn prepare(&mut self) {
        let mut params = fastcgi_client::Params::default();
        for (name, value) in data::PAIRS {
            params = params.custom(name, value);
        }
        self.params = Some(params);
    }

    fn run(&mut self) {
        let params = self.params.take().expect("prepared");
        let request = fastcgi_client::Request::new(params, self.body.as_slice());
        let response = now(self.client.execute_stream(request));
        black_box(response.expect("every write succeeds"));
    }
}
