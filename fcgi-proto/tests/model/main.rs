//! Any operations of a client, of an application and of somebody who puts records of his own on the wire between them,
//! against a model that reads one byte at a time and keeps everything.
//!
//! After every operation both connections must have said, sent and held exactly what the model has: the same result of
//! the call, the same events for any cutting of the input, the same bytes of output, the same number of open requests.
//! Every payload has bytes of its own, so that one that is lost, doubled or given to another request is noticed. At the end
//! the memory that each connection gives back is counted.
//!
//! `PROPTEST_CASES=100000 cargo test -p fcgi-proto --test model` looks longer.
#![expect(unsafe_code, reason = "a global allocator that counts is written with it")]

mod application;
mod client;
mod memory;
mod ops;
mod reference;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use core::num::NonZeroU16;

use bytes::{Buf, Bytes};
use fcgi_proto::{
    BeginError, FirstBytes, ProtocolError, RequestKey, Role, SendError, client as real_client,
    server as real_server,
};
use proptest::test_runner::Config as ProptestConfig;
use proptest_state_machine::{StateMachineTest, prop_state_machine};

use ops::{End, Op, Outcome, Settings};
use reference::{Reference, Step};
use support::{Seen, Side, cut, note};

/// What is tested: both connections, and what an adapter would keep beside them.
struct Ends {
    client: real_client::Connection,
    server: real_server::Connection,
    /// What the application has not taken, as its output is at its cap.
    unread: Vec<u8>,
    client_keys: Vec<RequestKey>,
    server_keys: Vec<RequestKey>,
    /// The most output that either has held.
    peak: usize,
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn two_ends_and_a_hostile_third(sequential 1..120 => Ends);
}

/// Few cases, each of which takes milliseconds without optimisation, unless somebody asks for more.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { 100 };
    ProptestConfig { cases, ..config }
}

impl StateMachineTest for Ends {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(reference: &Reference) -> Self {
        let Settings { requests_before, .. } = reference.settings;
        let (client, server) = configs(&reference.settings);
        let mut client = real_client::Connection::new(client);
        let client_keys = Vec::from_iter(reference.settings.has_old_request().then(|| {
            let key = client.begin(Role::Responder, [("A", "1")]).expect("none is open");
            client.take_output(usize::MAX);
            key
        }));
        let others = usize::from(requests_before) - client_keys.len();
        Self {
            client: used(client, others),
            server: real_server::Connection::new(server),
            unread: Vec::new(),
            client_keys,
            server_keys: Vec::new(),
            peak: 0,
        }
    }

    fn apply(mut ends: Self, reference: &Reference, op: Op) -> Self {
        let step = &reference.last;
        assert_eq!(ends.call(step, &op), step.outcome);
        for (number, key) in ends.client_keys.iter().enumerate() {
            let is_cause = reference.client.is_stalled_by(number);
            assert_eq!(ends.client.is_stalled_by(*key), is_cause, "{key:?}");
        }
        let held = [ends.client.outgoing().remaining(), ends.server.outgoing().remaining()];
        assert_eq!(held, [reference.client.out.len(), reference.application.out.len()]);
        ends.peak = ends.peak.max(held[0]).max(held[1]);
        ends
    }

    fn check_invariants(ends: &Self, reference: &Reference) {
        let (client, model) = (&ends.client, &reference.client);
        assert_eq!(client.open_requests(), model.open_requests());
        assert_eq!(client.capacity(), model.capacity());
        assert_eq!(client.is_blocked(), model.is_blocked());
        assert_eq!(client.has_outgoing(), !model.out.is_empty());
        assert_eq!(client.is_idle(), model.is_idle());
        assert_eq!((client.held(), client.wants_read()), (model.held(), model.wants_read()));
        assert_eq!(client.is_closing(), model.is_closing());
        let (server, model) = (&ends.server, &reference.application);
        assert_eq!(server.open_requests(), model.open_requests());
        assert_eq!(server.is_blocked(), model.is_blocked());
        assert_eq!(server.has_outgoing(), !model.out.is_empty());
        assert_eq!(server.is_closing(), model.is_closing());
        assert!(server.open_requests() <= usize::from(reference.settings.server_requests));
    }

    fn teardown(mut ends: Self, reference: Reference) {
        // Nothing is lost on the way out.
        let rest = ends.client.take_output(usize::MAX);
        assert!(rest == reference.client.out, "output of the client");
        let rest = ends.server.take_output(usize::MAX);
        assert!(rest == reference.application.out, "output of the application");
        // Nor kept for ever: what a connection gives back is bounded by what it had to hold.
        let held = 3 * ends.peak + SLACK;
        let freed = memory::freed_by(ends.client);
        assert!(freed <= held, "a client that held {} bytes gives back {freed}", ends.peak);
        let params =
            usize::from(reference.settings.server_requests) * reference.settings.max_params;
        let freed = memory::freed_by(ends.server);
        assert!(
            freed <= held + 2 * params,
            "an application that held {} bytes gives back {freed}",
            ends.peak
        );
    }
}

/// Tables of requests, and room in buffers that is kept for the next.
const SLACK: usize = 20 * 1024;

impl Ends {
    fn call(&mut self, step: &Step, op: &Op) -> Outcome {
        let data = || Bytes::from(step.payload.clone());
        let client_key = self.client_keys.get(step.number).copied();
        let server_key = self.server_keys.get(step.number).copied();
        match *op {
            Op::Begin { role, .. } => self.begin(role, step),
            Op::GetValues => begin_error(self.client.get_values(["FCGI_MPXS_CONNS"]).err()),
            Op::Send { kind, is_copied, .. } => {
                let Some(mut request) = client_key.and_then(|key| self.client.request(key)) else {
                    return Outcome::Gone;
                };
                sent(match kind {
                    wire::STDIN if is_copied => request.stdin_slice(&step.payload),
                    wire::STDIN => request.stdin(data()),
                    _ => request.data(data()),
                })
            }
            Op::Finish { kind, .. } => {
                let Some(mut request) = client_key.and_then(|key| self.client.request(key)) else {
                    return Outcome::Gone;
                };
                sent(if kind == wire::STDIN { request.finish() } else { request.finish_data() })
            }
            Op::Abort { .. } => {
                let Some(request) = client_key.and_then(|key| self.client.request(key)) else {
                    return Outcome::Gone;
                };
                request.abort();
                Outcome::Done
            }
            Op::Hold { len, is_release, .. } => {
                if let Some(key) = client_key {
                    if is_release {
                        self.client.release(key, len);
                    } else {
                        self.client.hold(key, len);
                    }
                }
                Outcome::Done
            }
            Op::Answer { kind, is_copied, .. } => {
                let Some(mut response) = server_key.and_then(|key| self.server.response(key))
                else {
                    return Outcome::Gone;
                };
                sent(match kind {
                    wire::STDOUT if is_copied => response.stdout_slice(&step.payload),
                    wire::STDOUT => response.stdout(data()),
                    _ => response.stderr(&step.payload),
                })
            }
            Op::End { .. } | Op::Refuse { .. } => {
                let Some(response) = server_key.and_then(|key| self.server.response(key)) else {
                    return Outcome::Gone;
                };
                match *op {
                    Op::Refuse { refusal, .. } => response.refuse(refusal),
                    Op::End { app_status, .. } => response.end(app_status),
                    _ => unreachable!("one of these two"),
                }
                Outcome::Done
            }
            Op::Carry { to, ref cuts, .. } | Op::Forge { to, ref cuts, .. } => {
                self.carry(to, step, cuts)
            }
            Op::ForgeRequest { ref cuts, .. } => self.carry(End::Application, step, cuts),
            Op::Garbage { to, .. } => self.carry(to, step, &[3]),
            Op::HangUp { on } => self.hang_up(on, step),
        }
    }

    fn begin(&mut self, role: Role, step: &Step) -> Outcome {
        let pairs = step.pairs.iter().map(|(name, value)| (name, value));
        match self.client.begin(role, pairs) {
            Ok(key) => {
                self.client_keys.push(key);
                Outcome::Began(key.request_id())
            }
            Err(error) => begin_error(Some(error)),
        }
    }

    /// Takes what the model took, and gives it to the other side in pieces.
    fn carry(&mut self, to: End, step: &Step, cuts: &[usize]) -> Outcome {
        if step.outcome == Outcome::Closing {
            return Outcome::Closing;
        }
        let len = step.carried.len();
        let taken = match to {
            End::Client => self.server.take_output(len),
            End::Application => self.client.take_output(len),
        };
        assert!(taken == step.carried, "other bytes came out:\n{taken:?}\n{:?}", step.carried);
        let wire = [taken, step.forged.clone()].concat();
        let seen = match to {
            End::Client => self.feed_client(&wire, cuts),
            End::Application => self.feed_server(&wire, cuts),
        };
        compare(seen, &step.seen);
        Outcome::Done
    }

    fn feed_client(&mut self, wire: &[u8], cuts: &[usize]) -> Vec<Seen> {
        let mut seen = Vec::new();
        for mut input in pieces(wire, cuts) {
            loop {
                match self.client.poll(&mut input) {
                    Ok(Some(event)) => note(&mut seen, event),
                    Ok(None) => break,
                    Err(error) => {
                        seen.push(Seen::Failed(error));
                        return seen;
                    }
                }
            }
            assert!(input.is_empty(), "a client takes all of its input");
        }
        seen
    }

    fn feed_server(&mut self, wire: &[u8], cuts: &[usize]) -> Vec<Seen> {
        let mut seen = Vec::new();
        let wire = [&core::mem::take(&mut self.unread), wire].concat();
        for mut input in pieces(&wire, cuts) {
            while self.unread.is_empty() {
                match self.server.poll_event(&mut input) {
                    Ok(Some(event)) => {
                        if let real_server::Event::Request { key, .. } = event {
                            self.server_keys.push(key);
                        }
                        note(&mut seen, support::server_seen(&event));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        seen.push(Seen::Failed(error));
                        return seen;
                    }
                }
            }
            assert!(input.is_empty() || self.server.is_blocked());
            self.unread.extend_from_slice(input);
        }
        seen
    }

    fn hang_up(&mut self, on: End, step: &Step) -> Outcome {
        if step.outcome == Outcome::Closing {
            return Outcome::Closing;
        }
        let seen = match on {
            End::Client => match self.client.handle_eof() {
                Ok(()) => Vec::new(),
                Err(error) => vec![Seen::Failed(error)],
            },
            End::Application => {
                self.server.handle_eof();
                self.feed_server(b"", &[])
            }
        };
        compare(seen, &step.seen);
        Outcome::Done
    }
}

fn configs(settings: &Settings) -> (real_client::Config, real_server::Config) {
    let many = |limit| NonZeroU16::new(limit).expect("at least one");
    let client = real_client::Config::default()
        .keep_conn(settings.keep_conn)
        .max_requests(many(settings.client_requests))
        .max_buffered(settings.client_cap)
        .max_free_records(settings.max_free)
        .max_values(settings.max_values)
        .request_window(settings.request_window)
        .connection_window(settings.connection_window);
    let server = real_server::Config::default()
        .max_requests(many(settings.server_requests))
        .max_buffered(settings.server_cap)
        .max_free_records(settings.max_free)
        .max_params(settings.max_params)
        .max_param_count(settings.max_param_count)
        .max_values(settings.max_values);
    (client, server)
}

/// A client on whose connection so many more requests have come and gone.
fn used(mut client: real_client::Connection, requests: usize) -> real_client::Connection {
    for _ in 0..requests {
        let key = client.begin(Role::Responder, [("A", "1")]).expect("room");
        client.request(key).expect("it is open").finish().expect("once");
        let mut outgoing = client.outgoing();
        outgoing.advance(outgoing.remaining());
        let mut end = Vec::new();
        wire::put(&mut end, wire::END, key.request_id(), &[0; 8], 0);
        let event = client.poll_event(&mut &end[..]).expect("an honest end");
        assert!(matches!(event, Some(real_client::Event::End { .. })));
    }
    client
}

/// The wire in pieces; one that is empty when there is nothing, as an error is repeated even then.
fn pieces<'w>(wire: &'w [u8], cuts: &[usize]) -> Vec<&'w [u8]> {
    let mut pieces = cut(wire, cuts);
    pieces.push(&[]);
    pieces
}

fn compare(mut seen: Vec<Seen>, expected: &[Seen]) {
    // How much of a stranger's greeting is known depends on the cutting.
    if let Some(Seen::Failed(ProtocolError::NotFastCgi(first))) = seen.last_mut() {
        *first = FirstBytes::new(&[]);
    }
    assert_eq!(seen, expected, "other events than those of the model");
}

fn begin_error(error: Option<BeginError>) -> Outcome {
    match error {
        None => Outcome::Done,
        Some(BeginError::Closing) => Outcome::Closing,
        Some(BeginError::Blocked) => Outcome::Blocked,
        Some(BeginError::TooManyRequests { .. }) => Outcome::TooMany,
        Some(error) => panic!("{error}"),
    }
}

fn sent(result: Result<(), SendError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(SendError::Blocked) => Outcome::Blocked,
        Err(SendError::Finished) => Outcome::Finished,
        Err(error) => panic!("{error}"),
    }
}
