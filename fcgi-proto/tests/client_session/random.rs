//! Random schedules: callers that cancel, applications that answer in any order or lie, cuts anywhere.

use core::task::{Context, Poll, Waker};
use core::time::Duration;

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Call, Caller, Config, Session, SessionSettings};
use fcgi_proto::{RequestKey, Timeouts, server};
use proptest::prelude::*;

use super::harness::{Response, begin_with, post};
use super::support;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % limit as u64).expect("below a usize")
    }
}

/// A request under way: its body is its number, over and over, and so must be its answer.
struct Running {
    call: Call,
    word: [u8; 4],
    left: usize,
    len: usize,
    response: Response,
}

impl Running {
    fn check(&self) {
        for (at, byte) in self.response.body.iter().enumerate() {
            assert_eq!(*byte, self.word[at % 4], "another's byte at {at}");
        }
    }
}

/// Echoes, as far as there is room.
struct Echo {
    conn: server::Connection,
    input: Vec<u8>,
    pending: Vec<(RequestKey, Option<Vec<u8>>)>,
}

impl Echo {
    fn new() -> Self {
        let conn = server::Connection::new(server::Config::default());
        Self { conn, input: Vec::new(), pending: Vec::new() }
    }

    fn run(&mut self, random: &mut Random) {
        let mut rest: &[u8] = &self.input;
        while let Some(event) = self.conn.poll_event(&mut rest).expect("a good client") {
            match event {
                server::Event::Request { key, .. } => {
                    self.pending.push((key, Some(b"A: b\n\n".to_vec())));
                }
                server::Event::Stdin { key, data } => self.pending.push((key, Some(data.to_vec()))),
                server::Event::StdinEnd { key } => self.pending.push((key, None)),
                server::Event::Aborted { key } => {
                    self.pending.retain(|(pending, _)| *pending != key);
                    self.pending.insert(0, (key, None));
                }
                _ => {}
            }
        }
        let used = self.input.len() - rest.len();
        self.input.drain(..used);
        // Answers of different requests leave in any order, those of one in theirs.
        for _ in 0..random.below(12) {
            if self.pending.is_empty() || self.conn.is_blocked() {
                return;
            }
            let picked = self.pending[random.below(self.pending.len())].0;
            let first = self.pending.iter().position(|(key, _)| *key == picked).expect("picked");
            let (key, answer) = self.pending.remove(first);
            let Some(mut response) = self.conn.response(key) else { continue };
            match answer {
                Some(data) => response.stdout_slice(&data).expect("room"),
                None => response.end(0),
            }
        }
    }
}

fn settings() -> SessionSettings {
    let mut settings = SessionSettings::default();
    settings.config = Config::default().request_window(3000).max_buffered(8 * 1024);
    settings.body_window = 5000;
    settings
}

fn start(caller: &Caller, random: &mut Random, number: u32) -> Option<Running> {
    let len = random.below(20_000);
    let call = caller.begin(&post(len), Timeouts::NONE, Duration::ZERO, Duration::ZERO).ok()?;
    let word = number.to_be_bytes();
    Some(Running { call, word, left: len, len, response: Response::default() })
}

fn feed(running: &mut Running, random: &mut Random) {
    if running.call.poll_body(&Context::from_waker(Waker::noop())) != Poll::Ready(true) {
        return;
    }
    if running.left == 0 {
        return running.call.finish_body();
    }
    let count = (random.below(4000) + 1).min(running.left);
    let at = running.len - running.left;
    let data: Vec<u8> = (at..at + count).map(|at| running.word[at % 4]).collect();
    running.left -= count;
    running.call.send_body(data.into());
}

/// Carries some bytes between the two ends.
fn carry(session: &mut Session, echo: &mut Echo, random: &mut Random) {
    let most = random.below(9000);
    let sent =
        session.write_with(Duration::ZERO, |out| out.copy_to_bytes(most.min(out.remaining())));
    echo.input.extend_from_slice(&sent);
    echo.run(random);
    if session.wants_read() {
        let mut out = echo.conn.outgoing();
        let most = random.below(9000).min(out.remaining());
        if most > 0 {
            session.handle_read(out.copy_to_bytes(most), Duration::ZERO);
        }
    }
}

#[test]
fn thousands_of_requests_with_random_cancels_do_not_mix() {
    let mut random = Random(0x5eed_1234_5678_9abc);
    let (mut session, caller) = Session::new(settings());
    let mut echo = Echo::new();
    let (mut running, mut number, mut done, mut cancelled): (Vec<Running>, _, _, _) =
        (Vec::new(), 0, 0, 0);
    while done + cancelled < 2000 || !running.is_empty() {
        if running.len() < 12 && number < 2000 {
            running.extend(start(&caller, &mut random, number));
            number += 1;
            assert!(caller.is_usable(), "an application that ends what was given up is kept");
        }
        carry(&mut session, &mut echo, &mut random);
        let Some(at) = (!running.is_empty()).then(|| random.below(running.len())) else { continue };
        match random.below(200) {
            0 => {
                drop(running.swap_remove(at));
                cancelled += 1;
                continue;
            }
            1..100 => feed(&mut running[at], &mut random),
            _ => {
                let Running { call, response, .. } = &mut running[at];
                response.take_one(call, Duration::ZERO);
            }
        }
        if running[at].response.end.is_some() {
            let over = running.swap_remove(at);
            over.check();
            assert!(matches!(over.response.end, Some(Ok(()))), "{:?}", over.response.end);
            assert_eq!(over.response.body.len(), over.len);
            done += 1;
        }
    }
    assert!(done > 800 && cancelled > 200, "{done} done, {cancelled} cancelled");
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![support::to_client(), proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    /// Whatever comes, every call gets an end, and nothing of it panics or stays paused.
    #[test]
    fn a_hostile_peer_harms_nobody(pieces in proptest::collection::vec(hostile(), 1..20), seed in 1..u64::MAX) {
        let mut random = Random(seed);
        let (mut session, caller) = Session::new(settings());
        let mut running: Vec<_> = (0..5).filter_map(|number| start(&caller, &mut random, number)).collect();
        for piece in pieces {
            let at = random.below(5).min(running.len().saturating_sub(1));
            if random.below(10) == 0 && !running.is_empty() {
                drop(running.swap_remove(at));
            } else if let Some(running) = running.get_mut(at) {
                feed(running, &mut random);
            }
            session.write_with(Duration::ZERO, |out| out.advance(out.remaining()));
            if session.wants_read() && !piece.is_empty() {
                session.handle_read(Bytes::from(piece), Duration::ZERO);
            }
        }
        session.handle_read(Bytes::new(), Duration::ZERO);
        for Running { call, response, .. } in &mut running {
            while response.take_one(call, Duration::ZERO) {}
            prop_assert!(response.end.is_some());
        }
        prop_assert!(!caller.is_usable() && session.is_over());
    }
}

#[test]
fn the_figures_of_the_harness_are_real() {
    // A guard against tests that pass since nothing happens in them.
    let (mut session, caller) = Session::new(settings());
    let mut call = begin_with(&caller, &post(3), Timeouts::NONE);
    call.send_body("abc".into());
    call.finish_body();
    let (mut echo, mut random) = (Echo::new(), Random(7));
    let mut response = Response::default();
    for _ in 0..100 {
        carry(&mut session, &mut echo, &mut random);
        response.take_one(&mut call, Duration::ZERO);
    }
    assert_eq!((&response.body[..], response.has_head), (&b"abc"[..], true));
    assert!(matches!(response.end, Some(Ok(()))));
}
