//! The application's side, naively.

use std::collections::BTreeMap;

use fcgi_proto::server::{Refusal, RefusedReason};
use fcgi_proto::{ProtocolError, Role};

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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Params(Vec<u8>),
    Stdin,
    Data,
    Complete,
    Aborted,
}

#[derive(Clone, Debug)]
struct Request {
    /// Which of the announced ones it is, once it is one.
    number: Option<usize>,
    role: Role,
    keep_conn: bool,
    phase: Phase,
    has_stderr: bool,
}

impl Request {
    fn last_stream(role: Role) -> u8 {
        if role == Role::Filter { wire::DATA } else { wire::STDIN }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Application {
    settings: Settings,
    state: State,
    open: BTreeMap<u16, Request>,
    /// The id of each request that was announced, ended ones as well.
    pub(crate) ids: Vec<u16>,
    /// Requests whose input is still expected, with the stream that ends it.
    late: Vec<(u16, u8)>,
    pub(crate) out: Vec<u8>,
    /// What came while the output was at its cap.
    pub(crate) unread: Vec<u8>,
    reader: Reader,
    free: u32,
    values: Vec<u8>,
}

impl Application {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: State::Open,
            open: BTreeMap::new(),
            ids: Vec::new(),
            late: Vec::new(),
            out: Vec::new(),
            unread: Vec::new(),
            reader: Reader::default(),
            free: 0,
            values: Vec::new(),
            settings: settings.clone(),
        }
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.out.len() >= self.settings.server_cap
    }

    pub(crate) fn is_closing(&self) -> bool {
        match self.state {
            State::Open => false,
            State::Closing | State::Eof => self.open.is_empty(),
            State::Failed(_) => true,
        }
    }

    fn answerable(&mut self, number: usize) -> Option<(u16, &mut Request)> {
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        let id = *self.ids.get(number)?;
        let request = self.open.get_mut(&id)?;
        (request.number == Some(number)).then_some((id, request))
    }

    pub(crate) fn answer(
        &mut self,
        number: usize,
        kind: u8,
        data: &[u8],
        is_copied: bool,
    ) -> Outcome {
        let is_blocked = self.is_blocked();
        let Some((id, request)) = self.answerable(number) else {
            return Outcome::Gone;
        };
        if is_blocked {
            return Outcome::Blocked;
        }
        let is_stderr = kind == wire::STDERR;
        request.has_stderr |= is_stderr && !data.is_empty();
        wire::put_stream(&mut self.out, kind, id, data, is_copied || is_stderr);
        Outcome::Done
    }

    pub(crate) fn end(&mut self, number: usize, app_status: u32) -> Outcome {
        let Some((id, request)) = self.answerable(number) else {
            return Outcome::Gone;
        };
        if request.has_stderr {
            wire::put(&mut self.out, wire::STDERR, id, b"", 0);
        }
        wire::put(&mut self.out, wire::STDOUT, id, b"", 0);
        self.close(id, app_status, 0);
        Outcome::Done
    }

    pub(crate) fn refuse(&mut self, number: usize, refusal: Refusal) -> Outcome {
        let Some((id, _)) = self.answerable(number) else {
            return Outcome::Gone;
        };
        let status = match refusal {
            Refusal::CantMultiplex => 1,
            Refusal::Overloaded => 2,
            _ => 3,
        };
        self.close(id, 0, status);
        Outcome::Done
    }

    /// Ends an open request; its input may go on coming.
    fn close(&mut self, id: u16, app_status: u32, status: u8) {
        let request = self.open.remove(&id).expect("it is open");
        if !matches!(request.phase, Phase::Complete | Phase::Aborted) {
            self.expect_late(id, request.role);
        }
        if !request.keep_conn && self.state == State::Open {
            self.state = State::Closing;
        }
        self.put_end(id, app_status, status);
    }

    fn put_end(&mut self, id: u16, app_status: u32, status: u8) {
        let [a, b, c, d] = app_status.to_be_bytes();
        wire::put(&mut self.out, wire::END, id, &[a, b, c, d, status, 0, 0, 0], 0);
    }

    fn expect_late(&mut self, id: u16, role: Role) {
        self.late.retain(|(late, _)| *late != id);
        if self.late.len() >= usize::from(self.settings.server_requests) + 64 {
            self.late.remove(0);
        }
        self.late.push((id, Request::last_stream(role)));
    }

    pub(crate) fn receive(&mut self, wire: &[u8], seen: &mut Vec<Seen>) {
        self.unread.extend_from_slice(wire);
        for byte in core::mem::take(&mut self.unread) {
            // Once it is full it takes no more; the rest is for another time.
            if self.is_blocked() || matches!(self.state, State::Failed(_)) {
                self.unread.push(byte);
                continue;
            }
            if let Err(error) = self.receive_byte(byte, seen) {
                self.state = State::Failed(error);
            }
        }
        if let State::Failed(error) = self.state {
            seen.push(Seen::Failed(error));
        }
        if self.state == State::Eof && self.unread.is_empty() {
            self.abort_all(seen);
        }
    }

    pub(crate) fn hang_up(&mut self, seen: &mut Vec<Seen>) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Eof;
        }
        self.receive(b"", seen);
    }

    fn abort_all(&mut self, seen: &mut Vec<Seen>) {
        self.open.retain(|_, request| !matches!(request.phase, Phase::Params(_)));
        for (id, request) in &mut self.open {
            if request.phase != Phase::Aborted {
                request.phase = Phase::Aborted;
                seen.push(Seen::Aborted(*id));
            }
        }
    }

    fn receive_byte(&mut self, byte: u8, seen: &mut Vec<Seen>) -> Result<(), ProtocolError> {
        let (head, byte, is_first, is_last) = match self.reader.read(byte)? {
            None => return Ok(()),
            Some(News::Body { head, body }) if head.kind == wire::BEGIN => {
                return self.on_begin(head, body, seen);
            }
            Some(News::Body { head, .. }) => return Err(wrong_direction(head)),
            Some(News::Content { head, byte, is_first, is_last }) => {
                (head, byte, is_first, is_last)
            }
        };
        match head.kind {
            // With an id it is about a request, and requests know no such record.
            wire::GET_VALUES if head.id != 0 => self.on_free(is_first),
            wire::GET_VALUES => self.on_get_values(head, byte, is_last),
            12.. | 0 => {
                if is_first && head.id == 0 {
                    let body = [head.kind, 0, 0, 0, 0, 0, 0, 0];
                    wire::put(&mut self.out, wire::UNKNOWN, 0, &body, 0);
                }
                self.on_free(is_first)
            }
            wire::PARAMS | wire::STDIN | wire::DATA | wire::ABORT if head.id == 0 => {
                Err(ProtocolError::NullRequestId { record_type: head.record_type() })
            }
            wire::PARAMS => self.on_params(head, byte, is_first, seen),
            wire::STDIN | wire::DATA => self.on_stream(head, byte, is_first, seen),
            wire::ABORT => self.on_abort(head, is_first, seen),
            _ => Err(wrong_direction(head)),
        }
    }

    fn on_begin(
        &mut self,
        head: Head,
        body: [u8; 8],
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        let role = Role::from_u16(u16::from_be_bytes([body[0], body[1]]));
        if head.id == 0 {
            return Err(ProtocolError::NullRequestId { record_type: head.record_type() });
        }
        if self.open.contains_key(&head.id) {
            return Err(ProtocolError::RequestIdInUse { request_id: head.id });
        }
        if self.state == State::Closing {
            self.expect_late(head.id, role);
            return self.on_free(true);
        }
        if self.open.len() >= self.settings.server_requests.into() {
            self.expect_late(head.id, role);
            let status = if self.settings.server_requests == 1 { 1 } else { 2 };
            self.put_end(head.id, 0, status);
            seen.push(Seen::Refused(head.id, RefusedReason::TooManyRequests));
            return Ok(());
        }
        self.late.retain(|(late, _)| *late != head.id);
        self.free = 0;
        let request = Request {
            number: None,
            role,
            keep_conn: body[2] & 1 == 1,
            phase: Phase::Params(Vec::new()),
            has_stderr: false,
        };
        self.open.insert(head.id, request);
        Ok(())
    }

    fn on_params(
        &mut self,
        head: Head,
        byte: Option<u8>,
        is_first: bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        let Some(request) = self.open.get_mut(&head.id) else {
            return self.on_late(head, byte, is_first);
        };
        let Phase::Params(block) = &mut request.phase else {
            return self.on_free(is_first);
        };
        if let Some(byte) = byte {
            self.free = 0;
            block.push(byte);
            if block.len() > self.settings.max_params {
                self.close(head.id, 0, 2);
                seen.push(Seen::Refused(head.id, RefusedReason::ParamsTooLarge));
            }
            return Ok(());
        }
        let pairs = wire::pairs_of(block);
        request.phase = Phase::Stdin;
        match pairs {
            None => {
                self.close(head.id, 1, 0);
                seen.push(Seen::Refused(head.id, RefusedReason::MalformedParams));
            }
            Some(pairs) if pairs.len() > self.settings.max_param_count => {
                self.close(head.id, 0, 2);
                seen.push(Seen::Refused(head.id, RefusedReason::TooManyParams));
            }
            Some(pairs) => {
                request.number = Some(self.ids.len());
                self.ids.push(head.id);
                seen.push(Seen::Request(head.id, request.role, pairs));
            }
        }
        Ok(())
    }

    fn on_stream(
        &mut self,
        head: Head,
        byte: Option<u8>,
        is_first: bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        let Some(request) = self.open.get_mut(&head.id) else {
            return self.on_late(head, byte, is_first);
        };
        let event = match (&request.phase, head.kind, byte) {
            (Phase::Stdin, wire::STDIN, Some(byte)) => Seen::Stdin(head.id, vec![byte]),
            (Phase::Data, wire::DATA, Some(byte)) => Seen::Data(head.id, vec![byte]),
            (Phase::Stdin, wire::STDIN, None) => {
                let is_filter = request.role == Role::Filter;
                request.phase = if is_filter { Phase::Data } else { Phase::Complete };
                Seen::StdinEnd(head.id)
            }
            (Phase::Data, wire::DATA, None) => {
                request.phase = Phase::Complete;
                Seen::DataEnd(head.id)
            }
            (Phase::Params(_), ..) | (Phase::Stdin, wire::DATA, _) => {
                let (record_type, request_id) = (head.record_type(), head.id);
                return Err(ProtocolError::OutOfOrder { record_type, request_id });
            }
            _ => return self.on_free(is_first),
        };
        self.free = 0;
        note(seen, event);
        Ok(())
    }

    fn on_abort(
        &mut self,
        head: Head,
        is_first: bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), ProtocolError> {
        match self.open.get_mut(&head.id) {
            None => self.on_free(is_first),
            Some(request) => match request.phase {
                Phase::Aborted => self.on_free(is_first),
                Phase::Params(_) => {
                    self.on_free(true)?;
                    self.close(head.id, 0, 0);
                    seen.push(Seen::Refused(head.id, RefusedReason::Aborted));
                    Ok(())
                }
                _ => {
                    request.phase = Phase::Aborted;
                    seen.push(Seen::Aborted(head.id));
                    Ok(())
                }
            },
        }
    }

    fn on_get_values(
        &mut self,
        head: Head,
        byte: Option<u8>,
        is_last: bool,
    ) -> Result<(), ProtocolError> {
        let limit = self.settings.max_values;
        if head.len > usize::from(limit) {
            return Err(ProtocolError::ValuesTooLarge { limit });
        }
        self.values.extend(byte);
        if !is_last {
            return Ok(());
        }
        self.on_free(true)?;
        let asked = wire::pairs_of(&core::mem::take(&mut self.values))
            .ok_or(ProtocolError::MalformedValues)?;
        let requests = u32::from(self.settings.server_requests);
        let known: [(&[u8], u32); 3] = [
            (b"FCGI_MAX_CONNS", 1024),
            (b"FCGI_MAX_REQS", 1024 * requests),
            (b"FCGI_MPXS_CONNS", (requests > 1).into()),
        ];
        let mut answer = Vec::new();
        let mut answered = Vec::new();
        for (name, _) in asked {
            let value = known.iter().find(|(known, _)| *known == name);
            if let Some((_, value)) = value.filter(|_| !answered.contains(&name)) {
                wire::put_pair(&mut answer, &name, value.to_string().as_bytes());
                answered.push(name);
            }
        }
        wire::put(&mut self.out, wire::RESULT, 0, &answer, 0);
        Ok(())
    }

    /// A record of a request that is not open: expected or not.
    fn on_late(
        &mut self,
        head: Head,
        byte: Option<u8>,
        is_first: bool,
    ) -> Result<(), ProtocolError> {
        let Some(at) = self.late.iter().position(|(late, _)| *late == head.id) else {
            return self.on_free(is_first);
        };
        if byte.is_some() {
            return Ok(());
        }
        if self.late[at].1 != head.kind {
            return self.on_free(is_first);
        }
        self.late.remove(at);
        Ok(())
    }

    fn on_free(&mut self, is_first: bool) -> Result<(), ProtocolError> {
        let limit = self.settings.max_free;
        self.free += u32::from(is_first);
        if self.free > limit {
            return Err(ProtocolError::TooManyFreeRecords { limit });
        }
        Ok(())
    }
}

fn wrong_direction(head: Head) -> ProtocolError {
    ProtocolError::WrongDirection { record_type: head.record_type() }
}
