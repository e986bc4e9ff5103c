use core::num::NonZeroU16;
use std::collections::HashMap;

use bytes::Buf;
use fcgi_proto::server::{Refusal, RefusedReason};
use fcgi_proto::{ProtocolStatus, RequestKey, Role, client, server};

use super::input::Input;

const MAX_BUFFERED: usize = 1000;
const SOFT: usize = 57 * 1171 + 200;

/// One request, as both ends and an onlooker see it. Each stream has content of its own, so that a byte that goes astray
/// is noticed.
#[derive(Debug, Default)]
struct Exchange {
    role: Option<Role>,
    /// Bytes that were sent and that have come, by stream: stdin, data, stdout, stderr.
    sent: [usize; 4],
    came: [usize; 4],
    stdin_end: (bool, bool),
    data_end: (bool, bool),
    is_aborted: bool,
    /// The key at the application, from the request's announcement to its end.
    at_server: Option<RequestKey>,
    was_announced: bool,
    /// What the application has said, or the library for it.
    end: Option<(ProtocolStatus, u32)>,
    has_ended: bool,
}

const STDIN: usize = 0;
const DATA: usize = 1;
const STDOUT: usize = 2;
const STDERR: usize = 3;

struct World {
    client: client::Connection,
    server: server::Connection,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    exchanges: Vec<Exchange>,
    by_client: HashMap<RequestKey, usize>,
    by_server: HashMap<RequestKey, usize>,
    /// The requests that were refused before anybody heard of them, by id.
    client_keys: Vec<RequestKey>,
    limits: (usize, usize),
}

/// Two honest ends, driven in any order, over wires that deliver in any pieces. Neither refuses what the other sends, no
/// byte is lost or goes to another request, every request ends as the application said, and caps hold.
pub fn pair_ops(data: &[u8]) {
    let mut input = Input::new(data);
    let options = input.byte();
    let (client_limit, server_limit) =
        (1 + u16::from(options & 3), 1 + u16::from(options >> 2 & 3));
    let many = |limit| NonZeroU16::new(limit).expect("not 0");
    let client = client::Config::default()
        .keep_conn(options & 16 == 0)
        .max_requests(many(client_limit))
        .max_buffered(MAX_BUFFERED);
    let server =
        server::Config::default().max_requests(many(server_limit)).max_buffered(MAX_BUFFERED);
    let mut world = World {
        client: client::Connection::new(client),
        server: server::Connection::new(server),
        to_server: Vec::new(),
        to_client: Vec::new(),
        exchanges: Vec::new(),
        by_client: HashMap::new(),
        by_server: HashMap::new(),
        client_keys: Vec::new(),
        limits: (client_limit.into(), server_limit.into()),
    };
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.finish();
}

/// The byte of a stream at a place.
fn content(exchange: usize, stream: usize, at: usize) -> u8 {
    let mixed =
        (exchange * 4 + stream + 1).wrapping_mul(0x9e37_79b1) ^ at.wrapping_mul(0x85eb_ca6b);
    u8::try_from(mixed >> 13 & 0xff).expect("one byte")
}

fn more(exchange: usize, stream: usize, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| content(exchange, stream, at)).collect()
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0 | 1 => self.begin(input),
            2 | 3 => self.send(input, STDIN),
            4 => self.send(input, DATA),
            5 => self.end_stream(input),
            6 => self.abort(input),
            7 | 8 => self.answer(input, STDOUT),
            9 => self.answer(input, STDERR),
            10 => self.end(input),
            11 => self.refuse(input),
            12 | 13 => self.carry_to_server(input.len() * 2),
            14 | 15 => self.carry_to_client(input.len() * 2),
            _ => {}
        }
    }

    fn begin(&mut self, input: &mut Input<'_>) {
        let role = [Role::Responder, Role::Filter, Role::Authorizer][input.below(3)];
        let has_room = self.client.capacity() > 0 && !self.client.is_blocked();
        let number = self.exchanges.len().to_string();
        // A pair must fit one record.
        let padding = vec![b'x'; input.len().min(65_000)];
        let params = [(&b"NUMBER"[..], number.as_bytes()), (b"PADDING", &padding[..])];
        let begun = self.client.begin(role, params);
        assert_eq!(begun.is_ok(), has_room, "{begun:?}");
        let Ok(key) = begun else { return };
        self.by_client.insert(key, self.exchanges.len());
        self.client_keys.insert(0, key);
        self.exchanges.push(Exchange { role: Some(role), ..Exchange::default() });
    }

    fn client_key(&self, input: &mut Input<'_>) -> Option<(RequestKey, usize)> {
        let key = *self.client_keys.get(input.below(4))?;
        Some((key, self.by_client[&key]))
    }

    fn send(&mut self, input: &mut Input<'_>, stream: usize) {
        let Some((key, number)) = self.client_key(input) else { return };
        let len = input.len();
        let exchange = &mut self.exchanges[number];
        let data = more(number, stream, exchange.sent[stream], len);
        let was_blocked = self.client.is_blocked();
        let Some(mut request) = self.client.request(key) else {
            return assert!(exchange.is_aborted || exchange.has_ended);
        };
        let is_open = match stream {
            STDIN => !exchange.stdin_end.0,
            _ => {
                exchange.role == Some(Role::Filter) && exchange.stdin_end.0 && !exchange.data_end.0
            }
        };
        let sent = if stream == STDIN { request.stdin(data) } else { request.data(data) };
        assert_eq!(sent.is_ok(), is_open && !was_blocked, "{sent:?}");
        if sent.is_ok() {
            exchange.sent[stream] += len;
        }
    }

    fn end_stream(&mut self, input: &mut Input<'_>) {
        let Some((key, number)) = self.client_key(input) else { return };
        self.end_stream_of(key, number);
    }

    fn end_stream_of(&mut self, key: RequestKey, number: usize) {
        let exchange = &mut self.exchanges[number];
        let Some(mut request) = self.client.request(key) else { return };
        if !exchange.stdin_end.0 {
            request.finish().expect("the first time");
            exchange.stdin_end.0 = true;
        } else if exchange.role == Some(Role::Filter) && !exchange.data_end.0 {
            request.finish_data().expect("the first time");
            exchange.data_end.0 = true;
        }
    }

    fn abort(&mut self, input: &mut Input<'_>) {
        let Some((key, number)) = self.client_key(input) else { return };
        if let Some(request) = self.client.request(key) {
            request.abort();
            self.exchanges[number].is_aborted = true;
        }
    }

    fn server_key(&self, input: &mut Input<'_>) -> Option<(RequestKey, usize)> {
        let at = input.below(4);
        let mut open: Vec<_> = self.by_server.iter().map(|(key, number)| (*key, *number)).collect();
        open.sort_by_key(|(_, number)| *number);
        open.get(at).copied()
    }

    fn answer(&mut self, input: &mut Input<'_>, stream: usize) {
        let Some((key, number)) = self.server_key(input) else { return };
        let len = input.len();
        let exchange = &mut self.exchanges[number];
        let data = more(number, stream, exchange.sent[stream], len);
        let was_blocked = self.server.is_blocked();
        let mut response = self.server.response(key).expect("it is open");
        let sent = if stream == STDOUT { response.stdout(data) } else { response.stderr(data) };
        assert_eq!(sent.is_ok(), !was_blocked);
        if sent.is_ok() {
            exchange.sent[stream] += len;
        }
    }

    fn end(&mut self, input: &mut Input<'_>) {
        if let Some((key, number)) = self.server_key(input) {
            self.end_of(key, number, u32::from(input.byte()) << 24 | 3);
        }
    }

    fn end_of(&mut self, key: RequestKey, number: usize, app_status: u32) {
        self.server.response(key).expect("it is open").end(app_status);
        self.by_server.remove(&key);
        let exchange = &mut self.exchanges[number];
        exchange.at_server = None;
        exchange.end = Some((ProtocolStatus::RequestComplete, app_status));
    }

    fn refuse(&mut self, input: &mut Input<'_>) {
        let Some((key, number)) = self.server_key(input) else { return };
        let exchange = &mut self.exchanges[number];
        if exchange.sent[STDOUT] + exchange.sent[STDERR] > 0 {
            return;
        }
        self.server.response(key).expect("it is open").refuse(Refusal::UnknownRole);
        self.by_server.remove(&key);
        exchange.at_server = None;
        exchange.end = Some((ProtocolStatus::UnknownRole, 0));
    }

    fn carry_to_server(&mut self, limit: usize) {
        let mut outgoing = self.client.outgoing();
        let len = outgoing.remaining().min(limit);
        self.to_server.extend_from_slice(&outgoing.copy_to_bytes(len));
        let wire = core::mem::take(&mut self.to_server);
        let mut rest = &wire[..];
        while let Some(event) = self.server.poll_event(&mut rest).expect("the client is honest") {
            self.on_server_event(event);
        }
        assert!(rest.is_empty() || self.server.is_blocked());
        self.to_server = rest.to_vec();
    }

    fn on_server_event(&mut self, event: server::Event<'_>) {
        match event {
            server::Event::Request { key, role, params } => {
                let number: usize =
                    params.get_str("NUMBER").expect("it was sent").parse().expect("a number");
                let exchange = &mut self.exchanges[number];
                assert_eq!(exchange.role, Some(role));
                assert!(!exchange.was_announced, "announced once");
                exchange.was_announced = true;
                exchange.at_server = Some(key);
                assert_eq!(self.by_server.insert(key, number), None);
                self.server.recycle(params);
            }
            server::Event::Stdin { key, data } => self.came(self.by_server[&key], STDIN, data),
            server::Event::Data { key, data } => self.came(self.by_server[&key], DATA, data),
            server::Event::StdinEnd { key } => {
                let exchange = &mut self.exchanges[self.by_server[&key]];
                assert_eq!(exchange.came[STDIN], exchange.sent[STDIN]);
                assert!(exchange.stdin_end.0 && !exchange.stdin_end.1);
                exchange.stdin_end.1 = true;
            }
            server::Event::DataEnd { key } => {
                let exchange = &mut self.exchanges[self.by_server[&key]];
                assert_eq!(exchange.came[DATA], exchange.sent[DATA]);
                assert!(exchange.data_end.0 && !exchange.data_end.1);
                exchange.data_end.1 = true;
            }
            server::Event::Aborted { key } => {
                assert!(self.exchanges[self.by_server[&key]].is_aborted);
            }
            server::Event::Refused { request_id, reason } => {
                // The only one of that id that has not ended.
                let open = self.by_client.iter().filter(|(key, _)| key.request_id() == request_id);
                let mut open = open.filter(|(_, number)| !self.exchanges[**number].has_ended);
                let (_, number) = open.next().expect("an open request");
                let exchange = &mut self.exchanges[*number];
                let status = match reason {
                    RefusedReason::Aborted => {
                        assert!(exchange.is_aborted);
                        ProtocolStatus::RequestComplete
                    }
                    RefusedReason::TooManyRequests if self.limits.1 == 1 => {
                        ProtocolStatus::CantMultiplex
                    }
                    RefusedReason::TooManyRequests => ProtocolStatus::Overloaded,
                    other => panic!("{other}"),
                };
                exchange.end = Some((status, 0));
            }
            _ => panic!("a new event"),
        }
    }

    fn came(&mut self, number: usize, stream: usize, data: &[u8]) {
        let exchange = &mut self.exchanges[number];
        assert_eq!(
            data,
            more(number, stream, exchange.came[stream], data.len()),
            "another's bytes"
        );
        exchange.came[stream] += data.len();
        assert!(exchange.came[stream] <= exchange.sent[stream]);
    }

    fn carry_to_client(&mut self, limit: usize) {
        let mut outgoing = self.server.outgoing();
        let len = outgoing.remaining().min(limit);
        self.to_client.extend_from_slice(&outgoing.copy_to_bytes(len));
        let wire = core::mem::take(&mut self.to_client);
        let mut rest = &wire[..];
        while let Some(event) =
            self.client.poll_event(&mut rest).expect("the application is honest")
        {
            match event {
                client::Event::Stdout { key, data } => self.answered(key, STDOUT, data),
                client::Event::Stderr { key, data } => self.answered(key, STDERR, data),
                client::Event::End { key, protocol_status, app_status } => {
                    let exchange = &mut self.exchanges[self.by_client[&key]];
                    assert_eq!(exchange.end, Some((protocol_status, app_status)));
                    assert!(!exchange.has_ended, "it ends once");
                    exchange.has_ended = true;
                    if !exchange.is_aborted {
                        assert_eq!(
                            exchange.came[STDOUT..],
                            exchange.sent[STDOUT..],
                            "all has come"
                        );
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(rest.is_empty());
    }

    fn answered(&mut self, key: RequestKey, stream: usize, data: &[u8]) {
        let number = self.by_client[&key];
        let exchange = &self.exchanges[number];
        assert!(!exchange.is_aborted && !exchange.has_ended);
        self.came(number, stream, data);
    }

    fn check(&mut self) {
        let open = self.exchanges.iter().filter(|exchange| !exchange.has_ended).count();
        assert_eq!(self.client.open_requests(), open);
        assert!(open <= self.limits.0 && self.server.open_requests() <= self.limits.1);
        assert!(self.client.outgoing().remaining() < MAX_BUFFERED + SOFT);
        assert!(self.server.outgoing().remaining() < MAX_BUFFERED + SOFT);
    }

    /// Everybody says what they have left to say, and all of it arrives.
    fn finish(&mut self) {
        for key in self.client_keys.clone() {
            let number = self.by_client[&key];
            self.end_stream_of(key, number);
            self.end_stream_of(key, number);
        }
        for _ in 0..10_000 {
            self.carry_to_server(usize::MAX);
            for (key, number) in self.by_server.clone() {
                let exchange = &self.exchanges[number];
                let has_all = exchange.stdin_end.1
                    && (exchange.role != Some(Role::Filter) || exchange.data_end.1);
                if has_all || exchange.is_aborted {
                    self.end_of(key, number, 0);
                }
            }
            self.carry_to_client(usize::MAX);
            let is_quiet = !self.client.has_outgoing() && !self.server.has_outgoing();
            if is_quiet && self.to_server.is_empty() && self.to_client.is_empty() {
                break;
            }
        }
        self.check();
        assert_eq!((self.client.open_requests(), self.server.open_requests()), (0, 0));
        assert!(
            self.exchanges.iter().all(|exchange| exchange.has_ended),
            "everybody got an answer"
        );
        self.client.handle_eof().expect("nothing is open");
        self.server.handle_eof();
        assert_eq!(self.server.poll_event(&mut &[][..]), Ok(None));
    }
}
