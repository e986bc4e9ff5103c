use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Script;
use super::script::{Awaited, Step};
use crate::RecordType;
use crate::decode::{Decoder, Piece};

/// Plays a [`Script`] on one connection, without a socket; see the [module](super).
///
/// ```
/// use fcgi_proto::scripted::{Action, Peer, Script};
///
/// let mut peer = Peer::new(Script::new().await_bytes(4).bytes("pong").reset());
/// assert_eq!(peer.poll_action(), Action::Read);
/// peer.handle_input(b"ping");
/// assert_eq!(peer.poll_action(), Action::Write("pong".into()));
/// assert_eq!(peer.poll_action(), Action::Reset);
/// ```
#[derive(Debug)]
pub struct Peer {
    /// The parts under way, the innermost last.
    parts: Vec<Part>,
    /// How much may still be written.
    left: Option<u64>,
    decoder: Decoder,
    seen: VecDeque<(Awaited, u16)>,
    last: u16,
    received: u64,
    is_eof: bool,
    end: Option<Action>,
}

/// What the owner of the socket is to do.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::scripted::{Action, Peer, Script};
///
/// let mut peer = Peer::new(Script::new().pause(Duration::from_secs(1)));
/// assert_eq!(peer.poll_action(), Action::Pause(Duration::from_secs(1)));
/// assert_eq!(peer.poll_action(), Action::Close); // the script is over
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Read, and tell what came by [`Peer::handle_input`] or [`Peer::handle_eof`].
    Read,
    /// Write all of this. When that fails, the other side has gone, and so may the peer.
    Write(Bytes),
    /// Wait so long.
    Pause(Duration),
    /// Neither read nor write any more, and keep the socket open. This and what follows are the end of a script.
    Stall,
    /// Close the socket.
    Close,
    /// Close it in a way that the other side takes for an error.
    Reset,
}

#[derive(Debug)]
struct Part {
    steps: Arc<[Step]>,
    next: usize,
    times: u64,
}

impl Peer {
    /// At the beginning of a script and of a connection.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self {
            parts: alloc::vec![Part { steps: script.steps.into(), next: 0, times: 1 }],
            left: script.cut,
            decoder: Decoder::new(),
            seen: VecDeque::new(),
            last: 1,
            received: 0,
            is_eof: false,
            end: None,
        }
    }

    /// Takes what was read. Bytes that are no FastCGI are counted and otherwise ignored.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        let mut input = bytes;
        while let Ok(Some(piece)) = self.decoder.poll(&mut input) {
            self.seen.extend(news(&piece));
        }
    }

    /// The other side has closed. What is waited for will not come any more, so the script ends there.
    pub fn handle_eof(&mut self) {
        self.is_eof = true;
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Action {
        let mut out = Vec::new();
        loop {
            if let Some(end) = self.end.clone() {
                return self.written(out).unwrap_or(end);
            }
            let Some(step) = self.step() else {
                self.end = Some(Action::Close);
                continue;
            };
            match step {
                Step::Record { .. } | Step::Raw(_) => {
                    step.write(self.last, &mut out);
                    self.cut(&mut out);
                    self.advance();
                    if out.len() < LARGEST_WRITE {
                        continue;
                    }
                }
                Step::Last(id) => {
                    self.last = id;
                    self.advance();
                    continue;
                }
                _ => {}
            }
            // Everything else happens once that is written.
            if let Some(action) = self.written(out) {
                return action;
            }
            out = Vec::new();
            match step {
                Step::Await(awaited) if self.has_come(awaited) => self.advance(),
                Step::Await(_) if self.is_eof => self.end = Some(Action::Close),
                Step::Await(_) => return Action::Read,
                Step::Pause(time) => {
                    self.advance();
                    return Action::Pause(time);
                }
                Step::Repeat { steps, times } => {
                    self.advance();
                    self.parts.push(Part { steps, next: 0, times });
                }
                Step::Stall => self.end = Some(Action::Stall),
                Step::Reset => self.end = Some(Action::Reset),
                Step::Close => self.end = Some(Action::Close),
                _ => self.advance(),
            }
        }
    }

    /// How many bytes have come so far.
    #[must_use]
    pub const fn bytes_received(&self) -> u64 {
        self.received
    }

    /// Counts what is handed out.
    fn written(&mut self, out: Vec<u8>) -> Option<Action> {
        if let Some(left) = &mut self.left {
            *left -= out.len() as u64;
        }
        (!out.is_empty()).then(|| Action::Write(out.into()))
    }

    /// The step to take now; parts that are over begin anew or are left.
    fn step(&mut self) -> Option<Step> {
        loop {
            let part = self.parts.last_mut()?;
            if part.times > 0 {
                if let Some(step) = part.steps.get(part.next) {
                    return Some(step.clone());
                }
                part.next = 0;
                if part.times != u64::MAX {
                    part.times -= 1;
                }
            }
            if part.times == 0 || part.steps.is_empty() {
                self.parts.pop();
            }
        }
    }

    fn advance(&mut self) {
        if let Some(part) = self.parts.last_mut() {
            part.next += 1;
        }
    }

    /// Shortens what is to be written if the connection is to end within it.
    fn cut(&mut self, out: &mut Vec<u8>) {
        let Some(left) = self.left.and_then(|left| usize::try_from(left).ok()) else { return };
        if out.len() >= left {
            out.truncate(left);
            self.end = Some(Action::Close);
        }
    }

    fn has_come(&mut self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Bytes(count) => self.received >= count,
            Awaited::Eof => self.is_eof,
            _ => {
                let Some(at) = self.seen.iter().position(|(kind, _)| *kind == awaited) else {
                    return false;
                };
                if let Some((_, id)) = self.seen.drain(..=at).next_back() {
                    self.last = id;
                }
                true
            }
        }
    }
}

/// What a script may wait for.
fn news(piece: &Piece<'_>) -> Option<(Awaited, u16)> {
    let (header, is_end) = match piece {
        Piece::Body { header, .. } => (header, false),
        Piece::Content { header, offset: 0, .. } => (header, header.content_len == 0),
        Piece::Content { .. } => return None,
    };
    let awaited = match (header.record_type, is_end) {
        (RecordType::BeginRequest, _) => Awaited::Begin,
        (RecordType::Params, true) => Awaited::Params,
        (RecordType::Stdin, true) => Awaited::Request,
        (RecordType::AbortRequest, _) => Awaited::Abort,
        (RecordType::GetValues, _) => Awaited::Values,
        (RecordType::Stdout, false) => Awaited::Stdout,
        (RecordType::EndRequest, _) => Awaited::End,
        _ => return None,
    };
    Some((awaited, header.request_id))
}

/// A longer write is handed out in pieces.
const LARGEST_WRITE: usize = 64 * 1024;
