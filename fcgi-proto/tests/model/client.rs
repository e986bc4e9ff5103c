//! The client's side, naively.

use std::collections::BTreeMap;

use fcgi_proto::{ProtocolError, ProtocolStatus, Role};

use crate::ops::{Outcome, Settings};
use crate::support::{Seen, note};
use crate::wire::{self, Head, News, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closing,
    Eof,
    Failed(ProtocolError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stdin,
    Data,
    Sent,
    Aborted,
}

#[derive(Clone, Debug)]
struct Request {
    number: usize,
    role: Role,
    phase: Phase,
    /// What the caller has taken of its response and not passed on.
    held: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    settings: Settings,
    state: State,
    open: BTreeMap<u16, Request>,
    /// The id of each request so far, ended ones as well.
    pub(crate) ids: Vec<u16>,
    last_id: u16,
    has_wrapped: bool,
    pub(crate) out: Vec<u8>,
    reader: Reader,
    free: u32,
    values_due: usize,
    /// What has come of an answer that was asked for when it began to come.
    values: Option<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Self {
        let old = Request { number: 0, role: Role::Responder, phase: Phase::Stdin, held: 0 };
        let old = settings.has_old_request().then_some((1, old));
        Self {
            state: State::Open,
            ids: old.iter().map(|(id, _)| *id).collect(),
            open: old.into_iter().collect(),
            last_id: settings.requests_before,
            has_wrapped: false,
            out: Vec::new(),
            reader: Reader::default(),
            free: 0,
            values_due: 0,
            values: None,
            settings: settings.clone(),
        }
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.out.len() >= self.settings.client_cap
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state != State::Open
    }

    pub(crate) fn held(&self) -> usize {
        self.open.values().map(|request| request.held).sum()
    }

    pub(crate) fn wants_read(&self) -> bool {
        let window = self.settings.request_window;
        let is_past = self.open.values().any(|request| request.held > window)
            || self.held() > self.settings.connection_window;
        matches!(self.state, State::Open | State::Closing) && !is_past
    }

    /// Whether the so-manieth request keeps the connection from reading.
    pub(crate) fn is_stalled_by(&self, number: usize) -> bool {
        let request = self.open.values().find(|request| request.number == number);
        request.is_some_and(|request| {
            request.held > self.settings.request_window
                || request.held > 0 && self.held() > self.settings.connection_window
        })
    }

    pub(crate) fn hold(&mut self, number: usize, len: usize, is_release: bool) -> Outcome {
        let mut requests = self.open.values_mut();
        if let Some(request) = requests.find(|request| request.number == number) {
            if is_release {
                request.held = request.held.saturating_sub(len);
            } else if request.phase != Phase::Aborted {
                request.held += len;
            }
        }
        Outcome::Done
    }

    pub(crate) fn capacity(&self) -> usize {
        match self.state {
            State::Open => usize::from(self.settings.client_requests) - self.open.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        let is_quiet = self.out.is_empty() && self.reader.is_between_records();
        self.state == State::Open && self.open.is_empty() && self.values_due == 0 && is_quiet
    }

    pub(crate) fn begin(&mut self, role: Role, block: &[u8]) -> Outcome {
        if self.state != State::Open {
            return Outcome::Closing;
        }
        if self.is_blocked() {
            return Outcome::Blocked;
        }
        if self.capacity() == 0 {
            return Outcome::TooMany;
        }
        let mut id = self.last_id;
        loop {
            id = id.wrapping_add(1);
            if id != 0 && !self.open.contains_key(&id) {
                break;
            }
        }
        self.has_wrapped |= id < self.last_id;
        self.last_id = id;
        let keep_conn = u8::from(self.settings.keep_conn);
        let role_octets = role.to_u16().to_be_bytes();
        let body = [role_octets[0], role_octets[1], keep_conn, 0, 0, 0, 0, 0];
        wire::put(&mut self.out, wire::BEGIN, id, &body, 0);
        wire::put(&mut self.out, wire::PARAMS, id, block, 0);
        wire::put(&mut self.out, wire::PARAMS, id, b"", 0);
        if !self.settings.keep_conn {
            self.state = State::Closing;
        }
        self.open
            .insert(id, Request { number: self.ids.len(), role, phase: Phase::Stdin, held: 0 });
        self.ids.push(id);
        Outcome::Began(id)
    }

    /// The request that was begun as the so-manieth, if something may be sent for it.
    fn sendable(&mut self, number: usize) -> Option<(u16, &mut Request)> {
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        let id = *self.ids.get(number)?;
        let request = self.open.get_mut(&id)?;
        let is_it = request.number == number && request.phase != Phase::Aborted;
        is_it.then_some((id, request))
    }

    pub(crate) fn send(
        &mut self,
        number: usize,
        kind: u8,
        data: &[u8],
        is_copied: bool,
    ) -> Outcome {
        let is_blocked = self.is_blocked();
        let Some((id, request)) = self.sendable(number) else {
            return Outcome::Gone;
        };
        match (request.phase, kind) {
            (Phase::Stdin, wire::STDIN) | (Phase::Data, wire::DATA) => {}
            _ => return Outcome::Finished,
        }
        if is_blocked {
            return Outcome::Blocked;
        }
        wire::put_stream(&mut self.out, kind, id, data, is_copied);
        Outcome::Done
    }

    pub(crate) fn finish(&mut self, number: usize, kind: u8) -> Outcome {
        let Some((id, request)) = self.sendable(number) else {
            return Outcome::Gone;
        };
        request.phase = match (request.phase, kind) {
            (Phase::Stdin, wire::STDIN) if request.role == Role::Filter => Phase::Data,
            (Phase::Stdin, wire::STDIN) | (Phase::Data, wire::DATA) => Phase::Sent,
            _ => return Outcome::Finished,
        };
        wire::put(&mut self.out, kind, id, b"", 0);
        Outcome::Done
    }

    pub(crate) fn abort(&mut self, number: usize) -> Outcome {
        let Some((id, request)) = self.sendable(number) else {
            return Outcome::Gone;
        };
        request.phase = Phase::Aborted;
        request.held = 0;
        wire::put(&mut self.out, wire::ABORT, id, b"", 0);
        Outcome::Done
    }

    pub(crate) fn get_values(&mut self, block: &[u8]) -> Outcome {
        if self.state != State::Open {
            return Outcome::Closing;
        }
        if self.is_blocked() {
            return Outcome::Blocked;
        }
        wire::put_padded(&mut self.out, wire::GET_VALUES, 0, block);
        self.values_due += 1;
        Outcome::Done
    }

    pub(crate) fn receive(&mut self, wire: &[u8], seen: &mut Vec<Seen>) {
        for byte in wire {
            if matches!(self.state, State::Failed(_)) {
                break;
            }
            if let Err(error) = self.receive_byte(*byte, seen) {
                self.state = State::Failed(error);
            }
        }
        if let State::Failed(error) = self.state {
            seen.push(Seen::Failed(error));
        }
    }

    fn receive_byte(&mut self, byte: u8, seen: &mut Vec<Seen>) -> Result<(), ProtocolError> {
        match self.reader.read(byte)? {
            None => Ok(()),
            Some(News::Body { head, body }) => self.on_body(head, body, seen),
            Some(News::Content { head, byte, is_first, is_last }) => match head.kind {
                wire::STDOUT | wire::STDERR => self.on_output(head, byte, is_first, seen),
                wire::RESULT => self.on_values(head, byte, is_first, is_last, seen),
                12.. | 0 => self.on_free(is_first),
                _ => Err(ProtocolError::WrongDirection { record_type: head.record_type() }),
            },
        }
    }

    fn on_body(
        &mut self,
        head: Head,
        body: [u8; 8],
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        if head.kind == wire::BEGIN {
            return Err(ProtocolError::WrongDirection { record_type: head.record_type() });
        }
        if head.kind == wire::UNKNOWN {
            self.on_free(true)?;
            seen.push(Seen::UnknownType(body[0]));
            return Ok(());
        }
        let Some(request) = self.open.remove(&head.id) else {
            return self.on_stray(head, true);
        };
        if self.settings.client_requests == 1
            && request.phase != Phase::Sent
            && self.state == State::Open
        {
            self.state = State::Closing;
        }
        self.free = 0;
        let app_status = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
        seen.push(Seen::End(head.id, ProtocolStatus::from_u8(body[4]), app_status));
        Ok(())
    }

    fn on_output(
        &mut self,
        head: Head,
        byte: Option<u8>,
        is_first: bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        let Some(request) = self.open.get(&head.id) else {
            return self.on_stray(head, is_first);
        };
        let Some(byte) = byte else {
            return self.on_free(is_first);
        };
        self.free = 0;
        if request.phase != Phase::Aborted {
            note(
                seen,
                match head.kind {
                    wire::STDOUT => Seen::Stdout(head.id, vec![byte]),
                    _ => Seen::Stderr(head.id, vec![byte]),
                },
            );
        }
        Ok(())
    }

    fn on_values(
        &mut self,
        head: Head,
        byte: Option<u8>,
        is_first: bool,
        is_last: bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        if is_first {
            self.values = (self.values_due > 0).then(Vec::new);
        }
        let Some(values) = &mut self.values else {
            return self.on_free(is_first);
        };
        let limit = self.settings.max_values;
        if head.len > usize::from(limit) {
            return Err(ProtocolError::ValuesTooLarge { limit });
        }
        values.extend(byte);
        if is_last {
            self.values_due -= 1;
            let values = self.values.take().and_then(|block| wire::pairs_of(&block));
            seen.push(Seen::Values(values.ok_or(ProtocolError::MalformedValues)?));
        }
        Ok(())
    }

    fn on_stray(&mut self, head: Head, is_first: bool) -> Result<(), ProtocolError> {
        let record_type = head.record_type();
        if head.id == 0 {
            return Err(ProtocolError::NullRequestId { record_type });
        }
        if !self.has_wrapped && head.id > self.last_id {
            return Err(ProtocolError::UnknownRequestId { record_type, request_id: head.id });
        }
        self.on_free(is_first)
    }

    fn on_free(&mut self, is_first: bool) -> Result<(), ProtocolError> {
        let limit = self.settings.max_free;
        self.free += u32::from(is_first);
        if self.free > limit {
            return Err(ProtocolError::TooManyFreeRecords { limit });
        }
        Ok(())
    }

    pub(crate) fn hang_up(&mut self, seen: &mut Vec<Seen>) {
        let open_requests = self.open.len();
        let in_record = !self.reader.is_between_records();
        if !matches!(self.state, State::Failed(_)) {
            self.state = if open_requests > 0 || in_record {
                State::Failed(ProtocolError::UnexpectedEof { open_requests, in_record })
            } else {
                State::Eof
            };
        }
        if let State::Failed(error) = self.state {
            seen.push(Seen::Failed(error));
        }
    }
}
