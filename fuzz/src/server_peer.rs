use core::num::NonZeroU16;
use std::collections::HashMap;

use bytes::Buf;
use fcgi_proto::server::{Refusal, RefusedReason};
use fcgi_proto::{RequestKey, Role, SendError, server};

use super::input::Input;
use super::naive::{self, Record, encode_pair, merged, own_records, push, record};

const MAX_BUFFERED: usize = 1000;
const SOFT: usize = 57 * 1171 + 100;

#[derive(Debug, PartialEq)]
enum Left {
    Stdin,
    Data,
    Complete,
    Aborted,
}

#[derive(Debug)]
struct Open {
    role: Role,
    input: Left,
    has_stderr: bool,
    has_written: bool,
}

struct World {
    conn: server::Connection,
    limit: usize,
    open: HashMap<RequestKey, Open>,
    keys: Vec<RequestKey>,
    pending: Vec<u8>,
    /// What is to go over the wire about requests, in order; and all that did.
    expected: Vec<Record>,
    written: Vec<u8>,
    has_failed: bool,
    has_eof: bool,
}

/// A hostile web server against the application's side, with calls in between. Whatever comes: events of a request come in
/// their order and to its end only, limits hold, output is exactly what was asked for and stays under its cap.
pub fn server_peer(data: &[u8]) {
    let mut input = Input::new(data);
    let options = input.byte();
    let limit = 1 + u16::from(options & 3);
    let config = server::Config::default()
        .max_requests(NonZeroU16::new(limit).expect("not 0"))
        .max_buffered(MAX_BUFFERED)
        .max_params(200)
        .max_param_count(4)
        .max_free_records(30)
        .max_values(60);
    let mut world = World {
        conn: server::Connection::new(config),
        limit: limit.into(),
        open: HashMap::new(),
        keys: Vec::new(),
        pending: Vec::new(),
        expected: Vec::new(),
        written: Vec::new(),
        has_failed: false,
        has_eof: false,
    };
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.write(usize::MAX);
    assert!(!world.conn.has_outgoing());
    let (management, written): (Vec<_>, Vec<_>) =
        own_records(&world.written).into_iter().partition(|record| record.id == 0);
    assert!(management.iter().all(|record| matches!(record.record_type, 10 | naive::UNKNOWN)));
    assert_eq!(merged(written), world.expected);
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0 | 1 => {
                let len = input.len();
                self.feed(input.bytes(len));
            }
            2..=5 => self.feed_record(input),
            6 | 7 => self.feed_request(input),
            8 | 9 => self.stdout(input),
            10 => self.stderr(input),
            11 => self.end(input),
            12 => self.refuse(input),
            13 | 14 => {
                let len = input.len();
                self.write(len);
                self.feed(b"");
            }
            _ => {
                if input.bool() && !self.has_eof {
                    self.has_eof = true;
                    self.conn.handle_eof();
                    self.feed(b"");
                }
            }
        }
    }

    fn feed_record(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let id = u16::from(choice >> 4 & 7);
        let padding = choice >> 5;
        let mut wire = Vec::new();
        match choice & 15 {
            0..=2 => record(&mut wire, naive::STDIN, id, input.text(), padding),
            3 => record(&mut wire, naive::STDIN, id, b"", padding),
            4 => record(&mut wire, naive::DATA, id, input.text(), padding),
            5 => record(&mut wire, naive::DATA, id, b"", padding),
            6 => record(&mut wire, naive::ABORT, id, b"", padding),
            7 => record(&mut wire, naive::PARAMS, id, input.text(), padding),
            8 => record(&mut wire, naive::PARAMS, id, b"", padding),
            9 | 10 => {
                let body = [0, input.byte() & 3, input.byte() & 1, 0, 0, 0, 0, 0];
                record(&mut wire, naive::BEGIN, id, &body, padding);
            }
            11 => {
                let mut block = Vec::new();
                for name in ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"] {
                    encode_pair(&mut block, name.as_bytes(), b"");
                }
                record(&mut wire, naive::GET_VALUES, 0, &block, padding);
            }
            _ => record(&mut wire, input.byte(), id, input.text(), padding),
        }
        self.feed(&wire);
    }

    /// A request up to the end of its parameters.
    fn feed_request(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let id = u16::from(choice >> 4 & 7);
        let mut wire = Vec::new();
        record(&mut wire, naive::BEGIN, id, &[0, choice & 3, choice >> 2 & 1, 0, 0, 0, 0, 0], 0);
        let mut block = Vec::new();
        encode_pair(&mut block, b"NAME", input.text());
        record(&mut wire, naive::PARAMS, id, &block, 0);
        record(&mut wire, naive::PARAMS, id, b"", 0);
        self.feed(&wire);
    }

    fn feed(&mut self, wire: &[u8]) {
        if !self.has_eof {
            self.pending.extend(wire);
        }
        let pending = core::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            let before = rest.len();
            let event = match self.conn.poll_event(&mut rest) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        self.conn.poll_event(&mut &b"\x01"[..]),
                        Err(error),
                        "it is repeated"
                    );
                    assert!(!error.to_string().is_empty());
                    self.has_failed = true;
                    return;
                }
            };
            assert!(!self.has_failed && rest.len() <= before);
            self.on_event(event);
        }
        assert!(
            rest.is_empty() || self.conn.is_blocked(),
            "input is left though nothing is in the way"
        );
        self.pending = rest.to_vec();
    }

    fn on_event(&mut self, event: server::Event<'_>) {
        match event {
            server::Event::Request { key, role, params } => {
                assert!(params.encoded_len() <= 200 && params.len() <= 4);
                assert!(self.open.keys().all(|other| other.request_id() != key.request_id()));
                self.conn.recycle(params);
                let open = Open { role, input: Left::Stdin, has_stderr: false, has_written: false };
                assert!(self.open.insert(key, open).is_none(), "it begins once");
                self.keys.insert(0, key);
            }
            server::Event::Stdin { key, data } => {
                assert!(!data.is_empty());
                assert_eq!(self.open[&key].input, Left::Stdin);
            }
            server::Event::StdinEnd { key } => {
                let open = self.open.get_mut(&key).expect("it is open");
                assert_eq!(open.input, Left::Stdin);
                open.input = if open.role == Role::Filter { Left::Data } else { Left::Complete };
            }
            server::Event::Data { key, data } => {
                assert!(!data.is_empty());
                assert_eq!(self.open[&key].input, Left::Data);
            }
            server::Event::DataEnd { key } => {
                let open = self.open.get_mut(&key).expect("it is open");
                assert_eq!(open.input, Left::Data);
                open.input = Left::Complete;
            }
            server::Event::Aborted { key } => {
                let open = self.open.get_mut(&key).expect("it is open");
                assert_ne!(open.input, Left::Aborted, "it is aborted once");
                open.input = Left::Aborted;
            }
            server::Event::Refused { request_id, reason } => {
                assert!(self.open.keys().all(|other| other.request_id() != request_id));
                let status = match reason {
                    RefusedReason::TooManyRequests if self.limit == 1 => 1,
                    RefusedReason::Aborted | RefusedReason::MalformedParams => 0,
                    _ => 2,
                };
                let app_status = (reason == RefusedReason::MalformedParams).into();
                self.expect_end(request_id, app_status, status);
            }
            _ => panic!("a new event"),
        }
    }

    fn expect_end(&mut self, id: u16, app_status: u32, protocol_status: u8) {
        let mut body = app_status.to_be_bytes().to_vec();
        body.extend([protocol_status, 0, 0, 0]);
        push(&mut self.expected, Record::new(naive::END, id, body));
    }

    fn key(&self, input: &mut Input<'_>) -> Option<RequestKey> {
        let at = input.below(4);
        self.keys.get(at).copied()
    }

    fn stdout(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        let len = input.len();
        let data = vec![input.byte(); len];
        let was_blocked = self.conn.is_blocked();
        let Some(mut response) = self.conn.response(key) else {
            return assert!(!self.open.contains_key(&key) || self.has_failed);
        };
        assert!(!self.has_failed, "a failed connection sends nothing more");
        let result = match len % 2 {
            0 => response.stdout(data.clone()),
            _ => response.stdout_slice(&data),
        };
        self.sent(key, naive::STDOUT, data, result, was_blocked);
    }

    fn stderr(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        let data = vec![input.byte(); input.len()];
        let was_blocked = self.conn.is_blocked();
        let Some(mut response) = self.conn.response(key) else { return };
        let result = response.stderr(&data);
        self.open.get_mut(&key).expect("it is open").has_stderr |=
            result.is_ok() && !data.is_empty();
        self.sent(key, naive::STDERR, data, result, was_blocked);
    }

    fn sent(
        &mut self,
        key: RequestKey,
        record_type: u8,
        data: Vec<u8>,
        result: Result<(), SendError>,
        was_blocked: bool,
    ) {
        assert_eq!(result, if was_blocked { Err(SendError::Blocked) } else { Ok(()) });
        if result.is_ok() && !data.is_empty() {
            self.open.get_mut(&key).expect("it is open").has_written = true;
            push(&mut self.expected, Record::new(record_type, key.request_id(), data));
        }
    }

    fn end(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        let Some(response) = self.conn.response(key) else { return };
        let app_status = u32::from(input.byte()) << 24 | 5;
        response.end(app_status);
        assert!(self.conn.response(key).is_none());
        let open = self.open.remove(&key).expect("it was open");
        if open.has_stderr {
            push(&mut self.expected, Record::new(naive::STDERR, key.request_id(), b""));
        }
        push(&mut self.expected, Record::new(naive::STDOUT, key.request_id(), b""));
        self.expect_end(key.request_id(), app_status, 0);
    }

    fn refuse(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        if self.open.get(&key).is_none_or(|open| open.has_written) {
            return;
        }
        let choice = input.below(3);
        let Some(response) = self.conn.response(key) else { return assert!(self.has_failed) };
        response
            .refuse([Refusal::CantMultiplex, Refusal::Overloaded, Refusal::UnknownRole][choice]);
        self.open.remove(&key);
        self.expect_end(key.request_id(), 0, 1 + u8::try_from(choice).expect("below 3"));
    }

    fn write(&mut self, limit: usize) {
        let mut outgoing = self.conn.outgoing();
        let len = outgoing.remaining().min(limit);
        self.written.extend_from_slice(&outgoing.copy_to_bytes(len));
    }

    fn check(&mut self) {
        let conn = &mut self.conn;
        // Those whose parameters have not come are open too.
        assert!(self.open.len() <= conn.open_requests() && conn.open_requests() <= self.limit);
        assert!(!conn.wants_read() || !self.has_failed && !self.has_eof && !conn.is_blocked());
        if self.has_failed {
            assert!(conn.is_closing());
        }
        let held = conn.outgoing().remaining();
        assert_eq!(conn.has_outgoing(), held > 0);
        assert!(held < MAX_BUFFERED + SOFT + 100 * self.limit, "{held} bytes are held");
    }
}
