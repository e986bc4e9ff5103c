//! The application's side: from the bytes of a request to its parameters and body, and from a response to bytes.
//!
//! - Floor: a loop over whole records that collects the parameters and looks at each pair, and lends the body.
//! - Ours: `poll_event` over bytes in memory; the parameters are given back for the next request.
//! - `tokio-fastcgi` collects parameters in a map and the whole body in memory, and reads from IO: it is to be compared
//!   with "ours, with IO", the same `read` into a buffer of 16 KiB. Reading ends when the request is there.
//! - Writing: 64 KiB in one call, and the ends. `tokio-fastcgi` writes to IO that takes everything at no cost.

use std::hint::black_box;

use bytes::Bytes;
use fcgi_proto::RequestKey;
use fcgi_proto::server::{Config, Connection, Event};
use tokio_fastcgi::{RequestResult, Requests};

use crate::encode::write;
use crate::io::{Canned, Sink, now};
use crate::{Case, Group, Who, Work, data, floor, warm};

const KIB: usize = 1024;

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            id: "application-get",
            title: "application: read GET, 25 parameters",
            records: 4,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(0)) },
                Case { who: Who::Ours, make: || warm(Ours::new(0)) },
                Case { who: Who::OursWithIo, make: || warm(OursWithIo::new(0)) },
                Case { who: Who::TokioFastcgi, make: || warm(TokioFastcgi::new(0)) },
            ],
        },
        Group {
            id: "application-post-64k",
            title: "application: read POST, body of 64 KiB",
            records: 6,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(64 * KIB)) },
                Case { who: Who::Ours, make: || warm(Ours::new(64 * KIB)) },
                Case { who: Who::OursWithIo, make: || warm(OursWithIo::new(64 * KIB)) },
                Case { who: Who::TokioFastcgi, make: || warm(TokioFastcgi::new(64 * KIB)) },
            ],
        },
        Group {
            id: "application-respond-64k",
            title: "application: write response of 64 KiB",
            records: 4,
            cases: vec![
                Case { who: Who::Floor, make: || warm(FloorWriter::new(64 * KIB)) },
                Case { who: Who::Ours, make: || warm(Writer::new(64 * KIB)) },
                Case { who: Who::TokioFastcgi, make: || warm(TokioFastcgiWriter::new(64 * KIB)) },
            ],
        },
    ]
}

struct Floor {
    wire: Vec<u8>,
    params: Vec<u8>,
}

impl Floor {
    fn new(body: usize) -> Self {
        Self { wire: data::request(body), params: Vec::new() }
    }
}

impl Work for Floor {
    fn run(&mut self) {
        let mut input = black_box(self.wire.as_slice());
        self.params.clear();
        while let Some(record) = floor::take_record(&mut input) {
            match record.record_type {
                floor::PARAMS if record.content.is_empty() => {
                    let mut pairs = self.params.as_slice();
                    let mut count = 0;
                    while floor::take_pair(&mut pairs).is_some() {
                        count += 1;
                    }
                    black_box((count, &self.params));
                }
                floor::PARAMS => self.params.extend_from_slice(record.content),
                floor::STDIN => {
                    black_box(record.content);
                }
                _ => {}
            }
        }
    }
}

/// What an application does with the input; the last request, if it is complete.
fn read(conn: &mut Connection, mut input: &[u8]) -> Option<RequestKey> {
    let mut complete = None;
    while let Some(event) = conn.poll_event(&mut input).expect("a request") {
        match black_box(event) {
            Event::Request { params, .. } => conn.recycle(params),
            Event::StdinEnd { key } => complete = Some(key),
            _ => {}
        }
    }
    complete
}

fn end(conn: &mut Connection, key: &mut Option<RequestKey>) {
    if let Some(response) = key.take().and_then(|key| conn.response(key)) {
        response.end(0);
        write(conn.outgoing());
    }
}

struct Ours {
    wire: Vec<u8>,
    conn: Connection,
    open: Option<RequestKey>,
}

impl Ours {
    fn new(body: usize) -> Self {
        let wire = data::request(body);
        Self { wire, conn: Connection::new(Config::default()), open: None }
    }
}

impl Work for Ours {
    fn prepare(&mut self) {
        end(&mut self.conn, &mut self.open);
    }

    fn run(&mut self) {
        self.open = read(&mut self.conn, black_box(self.wire.as_slice()));
    }
}

struct OursWithIo {
    wire: &'static [u8],
    io: Canned,
    buffer: Vec<u8>,
    conn: Connection,
    open: Option<RequestKey>,
}

impl OursWithIo {
    fn new(body: usize) -> Self {
        let wire = Canned::leaked(data::request(body));
        let conn = Connection::new(Config::default());
        Self { wire, io: Canned::new(b""), buffer: vec![0; 16 * KIB], conn, open: None }
    }
}

impl Work for OursWithIo {
    fn prepare(&mut self) {
        end(&mut self.conn, &mut self.open);
        self.io = Canned::new(self.wire);
    }

    fn run(&mut self) {
        while self.open.is_none() {
            let len = self.io.read(&mut self.buffer);
            self.open = read(&mut self.conn, &self.buffer[..len]);
        }
    }
}

type PeerRequests = Requests<Canned, Sink>;
type PeerRequest = tokio_fastcgi::Request<Sink>;

struct TokioFastcgi {
    wire: &'static [u8],
    requests: Option<PeerRequests>,
    done: Option<PeerRequest>,
}

impl TokioFastcgi {
    fn new(body: usize) -> Self {
        Self { wire: Canned::leaked(data::request(body)), requests: None, done: None }
    }
}

impl Work for TokioFastcgi {
    fn prepare(&mut self) {
        self.requests = Some(Requests::new(Canned::new(self.wire), Sink, 1, 1));
        self.done = None;
    }

    fn run(&mut self) {
        let requests = self.requests.as_mut().expect("prepared");
        let request = now(requests.next()).expect("a request");
        self.done = black_box(request);
    }
}

struct FloorWriter {
    out: Vec<u8>,
    body: Bytes,
    next: Bytes,
}

impl FloorWriter {
    fn new(body: usize) -> Self {
        Self { out: Vec::new(), body: vec![b'x'; body].into(), next: Bytes::new() }
    }
}

impl Work for FloorWriter {
    fn prepare(&mut self) {
        self.next = self.body.clone();
    }

    fn run(&mut self) {
        let body = std::mem::take(&mut self.next);
        let out = &mut self.out;
        out.clear();
        let mut contents = body.chunks(65_535);
        let first = contents.next().unwrap_or_default();
        let second = contents.next().unwrap_or_default();
        out.extend_from_slice(&floor::header(floor::STDOUT, first.len()));
        out.extend_from_slice(&floor::header(floor::STDOUT, second.len()));
        out.extend_from_slice(&floor::header(floor::STDOUT, 0));
        out.extend_from_slice(&floor::header(floor::END_REQUEST, 8));
        out.extend_from_slice(&[0; 8]);
        black_box([&out[..8], first, &out[8..16], second, &out[16..]].map(std::io::IoSlice::new));
    }
}

struct Writer {
    wire: Vec<u8>,
    conn: Connection,
    open: Option<RequestKey>,
    body: Bytes,
    next: Bytes,
}

impl Writer {
    fn new(body: usize) -> Self {
        Self {
            wire: data::request(0),
            conn: Connection::new(Config::default()),
            open: None,
            body: vec![b'x'; body].into(),
            next: Bytes::new(),
        }
    }
}

impl Work for Writer {
    fn prepare(&mut self) {
        self.open = read(&mut self.conn, &self.wire);
        self.next = self.body.clone();
    }

    fn run(&mut self) {
        let body = std::mem::take(&mut self.next);
        let key = self.open.take().expect("prepared");
        let mut response = self.conn.response(key).expect("it is open");
        response.stdout(body).expect("nothing is held");
        response.end(0);
        write(self.conn.outgoing());
    }
}

struct TokioFastcgiWriter {
    wire: &'static [u8],
    body: Vec<u8>,
    request: Option<PeerRequest>,
}

impl TokioFastcgiWriter {
    fn new(body: usize) -> Self {
        Self { wire: Canned::leaked(data::request(0)), body: vec![b'x'; body], request: None }
    }
}

impl Work for TokioFastcgiWriter {
    fn prepare(&mut self) {
        let mut requests = Requests::new(Canned::new(self.wire), Sink, 1, 1);
        self.request = now(requests.next()).expect("a request");
    }

    fn run(&mut self) {
        let request = self.request.take().expect("prepared");
        let body = self.body.as_slice();
        let result = now(request.process(async |request| {
            request.get_stdout().write(body).await.expect("every write succeeds");
            RequestResult::Complete(0)
        }));
        result.expect("every write succeeds");
    }
}
