//! From the bytes of a response to its content and its end.
//!
//! - Floor: a loop over whole records in memory that looks at version, type, id and lengths and lends the content.
//! - Ours: `poll_event` over the same bytes, content lent too. Beginning the request is preparation.
//! - `fastcgi-client` reads its IO into a buffer of its own, which costs a copy that a socket would cost as well. It is
//!   to be compared with "ours, with IO": the same `read`, into a buffer of 16 KiB, and `poll_event` over that.
//! - `tokio-fastcgi` is an application's side and reads no responses.

use std::hint::black_box;

use bytes::Buf;
use fastcgi_client::StreamExt;
use fastcgi_client::response::ResponseStream;
use fcgi_proto::Role;
use fcgi_proto::client::{self, Event};

use crate::io::{Canned, now};
use crate::{Case, Group, Who, Work, data, floor, warm};

const KIB: usize = 1024;

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            id: "decode-1k",
            title: "decode response of 1 KiB",
            records: data::response_records(KIB),
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(data::response(KIB))) },
                Case { who: Who::Ours, make: || warm(Ours::one(data::response(KIB))) },
                Case { who: Who::OursWithIo, make: || warm(OursWithIo::new(KIB)) },
                Case { who: Who::FastcgiClient, make: || warm(FastcgiClient::new(KIB)) },
            ],
        },
        Group {
            id: "decode-64k",
            title: "decode response of 64 KiB",
            records: data::response_records(64 * KIB),
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(data::response(64 * KIB))) },
                Case { who: Who::Ours, make: || warm(Ours::one(data::response(64 * KIB))) },
                Case { who: Who::OursWithIo, make: || warm(OursWithIo::new(64 * KIB)) },
                Case { who: Who::FastcgiClient, make: || warm(FastcgiClient::new(64 * KIB)) },
            ],
        },
        Group {
            id: "decode-1m",
            title: "decode response of 1 MiB",
            records: data::response_records(1024 * KIB),
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(data::response(1024 * KIB))) },
                Case { who: Who::Ours, make: || warm(Ours::one(data::response(1024 * KIB))) },
                Case { who: Who::OursWithIo, make: || warm(OursWithIo::new(1024 * KIB)) },
                Case { who: Who::FastcgiClient, make: || warm(FastcgiClient::new(1024 * KIB)) },
            ],
        },
        Group {
            id: "decode-interleaved",
            title: "decode 1,000 records of 64 bytes for 16 requests",
            records: 1000,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(data::interleaved())) },
                Case { who: Who::Ours, make: || warm(Ours::sixteen(data::interleaved())) },
            ],
        },
    ]
}

/// Knows of 16 requests which are open, by index.
struct Floor {
    wire: Vec<u8>,
    is_open: [bool; 16],
}

impl Floor {
    fn new(wire: Vec<u8>) -> Self {
        Self { wire, is_open: [true; 16] }
    }
}

impl Work for Floor {
    fn prepare(&mut self) {
        self.is_open = [true; 16];
    }

    fn run(&mut self) {
        let mut input = black_box(self.wire.as_slice());
        while let Some(record) = floor::take_record(&mut input) {
            let slot = usize::from(record.request_id).wrapping_sub(1);
            let Some(is_open) = self.is_open.get_mut(slot).filter(|is_open| **is_open) else {
                continue;
            };
            match record.record_type {
                floor::STDOUT if !record.content.is_empty() => {
                    black_box((record.request_id, record.content));
                }
                floor::END_REQUEST => {
                    *is_open = false;
                    black_box((record.request_id, record.content));
                }
                _ => {}
            }
        }
    }
}

struct Ours {
    /// For requests 1 and up; a new connection begins to count there.
    wire: Vec<u8>,
    requests: u16,
    conn: client::Connection,
}

impl Ours {
    fn one(wire: Vec<u8>) -> Self {
        Self { wire, requests: 1, conn: open(1) }
    }

    fn sixteen(wire: Vec<u8>) -> Self {
        Self { wire, requests: 16, conn: open(16) }
    }
}

impl Work for Ours {
    fn prepare(&mut self) {
        if self.conn.open_requests() < usize::from(self.requests) {
            self.conn = open(self.requests);
        }
    }

    fn run(&mut self) {
        let input = black_box(self.wire.as_slice());
        receive(&mut self.conn, input);
    }
}

/// What a caller does with the events.
fn receive(conn: &mut client::Connection, mut input: &[u8]) {
    while let Some(event) = conn.poll_event(&mut input).expect("a response") {
        match event {
            Event::Stdout { key, data } => {
                black_box((key, data));
            }
            Event::End { key, protocol_status, app_status } => {
                black_box((key, protocol_status, app_status));
            }
            _ => {}
        }
    }
}

/// A connection with so many requests written.
fn open(requests: u16) -> client::Connection {
    let limit = requests.try_into().expect("at least one");
    let config = client::Config::default().keep_conn(true).max_requests(limit);
    let mut conn = client::Connection::new(config);
    for _ in 0..requests {
        let key = conn.begin(Role::Responder, [("A", "1")]).expect("within the limit");
        conn.request(key).expect("it has begun").finish().expect("once");
    }
    let len = conn.outgoing().remaining();
    conn.outgoing().advance(len);
    conn
}

struct OursWithIo {
    wire: &'static [u8],
    io: Canned,
    buffer: Vec<u8>,
    conn: client::Connection,
}

impl OursWithIo {
    fn new(len: usize) -> Self {
        let wire = Canned::leaked(data::response(len));
        Self { wire, io: Canned::new(wire), buffer: vec![0; 16 * KIB], conn: open(1) }
    }
}

impl Work for OursWithIo {
    fn prepare(&mut self) {
        self.io = Canned::new(self.wire);
        self.conn = open(1);
    }

    fn run(&mut self) {
        loop {
            let len = self.io.read(&mut self.buffer);
            let input = &self.buffer[..len];
            if input.is_empty() {
                break;
            }
            receive(&mut self.conn, input);
        }
    }
}

struct FastcgiClient {
    wire: &'static [u8],
    response: Option<ResponseStream<Canned>>,
}

impl FastcgiClient {
    fn new(len: usize) -> Self {
        Self { wire: Canned::leaked(data::response(len)), response: None }
    }
}

impl Work for FastcgiClient {
    fn prepare(&mut self) {
        let client = fastcgi_client::Client::new(Canned::new(self.wire));
        let request = fastcgi_client::Request::new(fastcgi_client::Params::default(), &b""[..]);
        let response = now(client.execute_once_stream(request));
        self.response = Some(response.expect("every write succeeds"));
    }

    fn run(&mut self) {
        let mut response = self.response.take().expect("prepared");
        while let Some(content) = now(response.next()) {
            let _ = black_box(content.expect("a response"));
        }
    }
}
