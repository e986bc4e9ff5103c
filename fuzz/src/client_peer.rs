use core::num::NonZeroU16;
use std::collections::HashMap;

use bytes::Buf;
use fcgi_proto::{BeginError, RequestKey, Role, SendError, client};

use super::input::Input;
use super::naive::{self, Record, encode_pair, merged, own_records, push, record};

const MAX_BUFFERED: usize = 1000;
/// The longest piece of [`Input::len`], and what its records cost besides.
const SOFT: usize = 57 * 1171 + 100;

#[derive(Debug)]
struct Open {
    role: Role,
    has_finished_stdin: bool,
    has_finished_data: bool,
    is_aborted: bool,
}

struct World {
    conn: client::Connection,
    limit: usize,
    open: HashMap<RequestKey, Open>,
    keys: Vec<RequestKey>,
    /// What is to go over the wire, in order, and what did.
    expected: Vec<Record>,
    written: Vec<u8>,
    has_failed: bool,
    has_eof: bool,
    asked: usize,
}

/// A hostile application against the client's side, with calls in between. Whatever comes: events are about open requests
/// only, each ends once, output is exactly what was asked for and stays under its cap, errors stay.
pub fn client_peer(data: &[u8]) {
    let mut input = Input::new(data);
    let options = input.byte();
    let limit = 1 + u16::from(options & 3);
    let config = client::Config::default()
        .keep_conn(options & 4 == 0)
        .max_requests(NonZeroU16::new(limit).expect("not 0"))
        .max_buffered(MAX_BUFFERED)
        .max_free_records(30)
        .max_values(60);
    let mut world = World {
        conn: client::Connection::new(config),
        limit: limit.into(),
        open: HashMap::new(),
        keys: Vec::new(),
        expected: Vec::new(),
        written: Vec::new(),
        has_failed: false,
        has_eof: false,
        asked: 0,
    };
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.write(usize::MAX);
    assert!(!world.conn.has_outgoing());
    assert_eq!(merged(own_records(&world.written)), world.expected);
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=2 => {
                let len = input.len();
                self.feed(input.bytes(len));
            }
            3..=6 => self.feed_record(input),
            7 | 8 => self.begin(input),
            9 => self.stdin(input),
            10 => self.finish(input),
            11 => self.abort(input),
            12 => self.get_values(),
            13 | 14 => {
                let len = input.len();
                self.write(len);
            }
            _ => self.eof(input.bool()),
        }
    }

    /// One that makes sense more often than bytes do.
    fn feed_record(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let id = match self.keys.get(usize::from(choice >> 4)) {
            Some(key) if choice & 8 == 0 => key.request_id(),
            _ => u16::from(choice >> 4),
        };
        let mut wire = Vec::new();
        match choice & 7 {
            0 | 1 => record(&mut wire, naive::STDOUT, id, input.text(), choice >> 5),
            2 => record(&mut wire, naive::STDERR, id, input.text(), choice >> 5),
            3 => record(&mut wire, naive::STDOUT, id, b"", 0),
            4 | 5 => {
                let mut body = [0; 8];
                body[..5].copy_from_slice(&[0, 0, 0, input.byte(), input.byte()]);
                record(&mut wire, naive::END, id, &body, choice >> 5);
            }
            6 => {
                let mut block = Vec::new();
                encode_pair(&mut block, b"FCGI_MPXS_CONNS", input.text());
                record(&mut wire, 10, 0, &block, 0);
            }
            _ => record(&mut wire, input.byte(), id, input.text(), 0),
        }
        self.feed(&wire);
    }

    fn feed(&mut self, wire: &[u8]) {
        if self.has_eof {
            return;
        }
        let mut rest = wire;
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
            match event {
                client::Event::Stdout { key, data } | client::Event::Stderr { key, data } => {
                    assert!(!data.is_empty());
                    assert!(!self.open[&key].is_aborted, "an aborted request is silent");
                }
                client::Event::End { key, .. } => {
                    assert!(self.open.remove(&key).is_some(), "it ends once");
                    assert!(self.conn.request(key).is_none());
                }
                client::Event::Values(values) => {
                    assert!(self.asked > 0 && values.encoded_len() <= 60);
                    self.asked -= 1;
                }
                client::Event::UnknownType { .. } => {}
                _ => panic!("a new event"),
            }
        }
        assert!(rest.is_empty(), "all of the input is taken");
    }

    fn begin(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let role = [Role::Responder, Role::Filter, Role::Authorizer, Role::Other(77)]
            [usize::from(choice & 3)];
        let value = input.text();
        let before = (self.conn.capacity(), self.conn.is_blocked());
        match self.conn.begin(role, [("N", value)]) {
            Ok(key) => {
                assert!(before.0 > 0 && !before.1);
                let id = key.request_id();
                assert!(
                    self.open.keys().all(|other| other.request_id() != id),
                    "an id that is taken"
                );
                let keep_conn = !self.conn.is_closing();
                let role_number = role.to_u16().to_be_bytes();
                let body = [role_number[0], role_number[1], keep_conn.into(), 0, 0, 0, 0, 0];
                push(&mut self.expected, Record::new(naive::BEGIN, id, body));
                let mut block = Vec::new();
                encode_pair(&mut block, b"N", value);
                push(&mut self.expected, Record::new(naive::PARAMS, id, block));
                push(&mut self.expected, Record::new(naive::PARAMS, id, b""));
                let open = Open {
                    role,
                    has_finished_stdin: false,
                    has_finished_data: role != Role::Filter,
                    is_aborted: false,
                };
                self.open.insert(key, open);
                self.keys.insert(0, key);
            }
            Err(BeginError::Closing) => assert!(self.conn.is_closing()),
            Err(BeginError::Blocked) => assert!(before.1),
            Err(BeginError::TooManyRequests { .. }) => assert_eq!(before.0, 0),
            Err(error) => panic!("{error}"),
        }
    }

    /// Some key, often one whose request is over.
    fn key(&self, input: &mut Input<'_>) -> Option<RequestKey> {
        let at = input.below(4);
        self.keys.get(at).copied()
    }

    fn stdin(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        let is_data = input.bool();
        let len = input.len();
        let data = vec![input.byte(); len];
        let was_blocked = self.conn.is_blocked();
        let Some(mut request) = self.conn.request(key) else {
            let is_open = self.open.get(&key).is_some_and(|open| !open.is_aborted);
            return assert!(!is_open || self.has_failed);
        };
        assert!(!self.has_failed, "a failed connection sends nothing more");
        let open = &self.open[&key];
        assert!(!open.is_aborted);
        let (result, record_type) = match is_data {
            true => (request.data(data.clone()), naive::DATA),
            false if len % 2 == 0 => (request.stdin(data.clone()), naive::STDIN),
            false => (request.stdin_slice(&data), naive::STDIN),
        };
        let is_open = match is_data {
            true => open.has_finished_stdin && !open.has_finished_data,
            false => !open.has_finished_stdin,
        };
        match result {
            Ok(()) => {
                assert!(is_open && !was_blocked);
                if !data.is_empty() {
                    push(&mut self.expected, Record::new(record_type, key.request_id(), data));
                }
            }
            Err(SendError::Finished) => assert!(!is_open),
            Err(SendError::Blocked) => assert!(was_blocked),
            Err(error) => panic!("{error}"),
        }
    }

    fn finish(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        let is_data = input.bool();
        let Some(mut request) = self.conn.request(key) else { return };
        let open = self.open.get_mut(&key).expect("it is open");
        let (result, record_type, is_open) = if is_data {
            let is_open =
                open.role == Role::Filter && open.has_finished_stdin && !open.has_finished_data;
            open.has_finished_data |= is_open;
            (request.finish_data(), naive::DATA, is_open)
        } else {
            let is_open = !open.has_finished_stdin;
            open.has_finished_stdin = true;
            (request.finish(), naive::STDIN, is_open)
        };
        assert_eq!(result, if is_open { Ok(()) } else { Err(SendError::Finished) });
        if is_open {
            push(&mut self.expected, Record::new(record_type, key.request_id(), b""));
        }
    }

    fn abort(&mut self, input: &mut Input<'_>) {
        let Some(key) = self.key(input) else { return };
        let Some(request) = self.conn.request(key) else { return };
        request.abort();
        self.open.get_mut(&key).expect("it is open").is_aborted = true;
        push(&mut self.expected, Record::new(naive::ABORT, key.request_id(), b""));
        assert!(self.conn.request(key).is_none());
    }

    fn get_values(&mut self) {
        if self.asked >= 3 {
            return;
        }
        match self.conn.get_values(["FCGI_MPXS_CONNS"]) {
            Ok(()) => {
                self.asked += 1;
                let mut block = Vec::new();
                encode_pair(&mut block, b"FCGI_MPXS_CONNS", b"");
                push(&mut self.expected, Record::new(naive::GET_VALUES, 0, block));
            }
            Err(BeginError::Closing) => assert!(self.conn.is_closing()),
            Err(BeginError::Blocked) => assert!(self.conn.is_blocked()),
            Err(error) => panic!("{error}"),
        }
    }

    fn write(&mut self, limit: usize) {
        let mut outgoing = self.conn.outgoing();
        let len = outgoing.remaining().min(limit);
        self.written.extend_from_slice(&outgoing.copy_to_bytes(len));
    }

    fn eof(&mut self, is_meant: bool) {
        if !is_meant || self.has_eof {
            return;
        }
        self.has_eof = true;
        let result = self.conn.handle_eof();
        assert!(result.is_err() || self.open.is_empty(), "a request is left without an answer");
        self.has_failed |= result.is_err();
        assert!(!self.conn.wants_read());
    }

    fn check(&mut self) {
        let conn = &mut self.conn;
        assert_eq!(conn.open_requests(), self.open.len());
        assert!(conn.open_requests() <= self.limit);
        assert!(conn.capacity() + conn.open_requests() <= self.limit || conn.is_closing());
        assert_eq!(conn.wants_read(), !self.has_failed && !self.has_eof);
        let held = conn.outgoing().remaining();
        assert_eq!(conn.has_outgoing(), held > 0);
        assert!(held < MAX_BUFFERED + SOFT, "{held} bytes are held");
    }
}
