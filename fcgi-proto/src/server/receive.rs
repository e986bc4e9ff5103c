//! What the web server sends: a method for each kind of record.

use alloc::vec::Vec;

use super::connection::{Connection, Next, State};
use super::phase::{Phase, Slot, Verdict};
use super::{Event, RefusedReason, values};
use crate::Params;
use crate::decode::Piece;
use crate::error::ProtocolError;
use crate::slots::RequestKey;
use crate::wire::{
    BODY_LEN, BeginRequest, EndRequest, Header, NULL_REQUEST_ID, ProtocolStatus, RecordType, Role,
    UnknownType,
};

impl Connection {
    pub(super) fn try_next_event<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        while !self.outbox.is_full() {
            let event = match self.decoder.take_whole(input) {
                Some((header, data)) => match data.try_into() {
                    Ok(body) if header.record_type.has_fixed_body() => self.on_body(header, body),
                    _ => self.on_content(header, data, true, true),
                },
                None => match self.decoder.poll(input)? {
                    Some(Piece::Body { header, body }) => self.on_body(header, body),
                    Some(piece @ Piece::Content { header, data, .. }) => {
                        self.on_content(header, data, piece.is_first(), piece.is_last())
                    }
                    None => return Ok(None),
                },
            };
            if !matches!(event, Ok(None)) {
                return event;
            }
        }
        Ok(None)
    }

    pub(super) fn next_aborted<'b>(&mut self, abort_from: u16) -> Option<Event<'b>> {
        if abort_from == 0 {
            // Those whose parameters are incomplete were never announced.
            self.slots.retain(|slot| !matches!(slot.phase, Phase::Params(_)));
        }
        let mut open = self.slots.starting_at(abort_from);
        let (key, slot) = open.find(|(_, slot)| !matches!(slot.phase, Phase::Aborted))?;
        slot.phase = Phase::Aborted;
        drop(open);
        self.state = State::Eof { abort_from: key.request_id() };
        Some(Event::Aborted { key })
    }

    fn on_body<'b>(&mut self, header: Header, body: [u8; BODY_LEN]) -> Next<'b> {
        match header.record_type {
            RecordType::BeginRequest => self.on_begin(header, BeginRequest::decode(body)),
            record_type => Err(ProtocolError::WrongDirection { record_type }),
        }
    }

    fn on_content<'b>(
        &mut self,
        header: Header,
        data: &'b [u8],
        is_first: bool,
        is_last: bool,
    ) -> Next<'b> {
        match header.record_type {
            RecordType::GetValues => self.on_get_values(header, data, is_first, is_last),
            RecordType::Other(_) => self.on_unknown(header, is_first),
            record_type if header.is_management() => match record_type {
                RecordType::Params
                | RecordType::Stdin
                | RecordType::Data
                | RecordType::AbortRequest => Err(ProtocolError::NullRequestId { record_type }),
                _ => Err(ProtocolError::WrongDirection { record_type }),
            },
            RecordType::Params => self.on_params(header, data, is_first),
            RecordType::Stdin | RecordType::Data => self.on_stream(header, data, is_first),
            RecordType::AbortRequest => self.on_abort(header, is_first),
            record_type => Err(ProtocolError::WrongDirection { record_type }),
        }
    }

    fn on_begin<'b>(&mut self, header: Header, begin: BeginRequest) -> Next<'b> {
        let request_id = header.request_id;
        if header.is_management() {
            return Err(ProtocolError::NullRequestId { record_type: header.record_type });
        }
        if self.slots.contains(request_id) {
            return Err(ProtocolError::RequestIdInUse { request_id });
        }
        if self.state == State::Closing {
            // Not answered, as the peer asked for the close. Its input must not use up what those still open may spend.
            self.draining.expect(request_id, Phase::last_record(begin.role));
            return self.on_free_record(true);
        }
        if self.slots.len() >= usize::from(self.config.max_requests.get()) {
            // Not a free record: a burst of requests is nothing bad, and the peer has to read each refusal before the
            // output is at its cap.
            self.draining.expect(request_id, Phase::last_record(begin.role));
            return Ok(Some(self.queue_refusal(request_id, RefusedReason::TooManyRequests)));
        }
        self.draining.forget(request_id);
        self.free_records.refill();
        if let State::Eof { abort_from } = &mut self.state {
            *abort_from = 0; // what had come before the end is read only now
        }
        let slot = Slot {
            role: begin.role,
            keep_conn: begin.keep_conn(),
            phase: Phase::Params(core::mem::take(&mut self.spare)),
            has_stderr: false,
        };
        self.slots.insert(request_id, slot);
        Ok(None)
    }

    fn on_params<'b>(&mut self, header: Header, data: &[u8], is_first: bool) -> Next<'b> {
        let request_id = header.request_id;
        let max_params = self.config.max_params;
        let Some((key, slot)) = self.slots.by_id(request_id) else {
            return self.on_late(header, data.is_empty(), is_first);
        };
        let Phase::Params(buffer) = &mut slot.phase else {
            return self.on_free_record(is_first);
        };
        if data.is_empty() {
            let (role, buffer) = (slot.role, core::mem::take(buffer));
            slot.phase = Phase::Stdin;
            return Ok(Some(self.announce(key, role, buffer)));
        }
        // Before it is judged, or the account would depend on how the record is cut.
        self.free_records.refill();
        if buffer.len() + data.len() > max_params {
            return Ok(Some(self.refuse(request_id, RefusedReason::ParamsTooLarge)));
        }
        buffer.extend_from_slice(data);
        Ok(None)
    }

    /// The parameters are complete: hands them out, or refuses the request for them.
    fn announce<'b>(&mut self, key: RequestKey, role: Role, buffer: Vec<u8>) -> Event<'b> {
        let request_id = key.request_id();
        let max_param_count = self.config.max_param_count;
        match Params::parse(buffer) {
            Ok(params) if params.len() <= max_param_count => Event::Request { key, role, params },
            Ok(_) => self.refuse(request_id, RefusedReason::TooManyParams),
            Err(_) => self.refuse(request_id, RefusedReason::MalformedParams),
        }
    }

    fn on_stream<'b>(&mut self, header: Header, data: &'b [u8], is_first: bool) -> Next<'b> {
        let Header { record_type, request_id, .. } = header;
        let is_end = data.is_empty();
        let Some((key, slot)) = self.slots.by_id(request_id) else {
            return self.on_late(header, is_end, is_first);
        };
        let is_stdin = record_type == RecordType::Stdin;
        let event = match slot.on_stream(record_type, is_end) {
            Verdict::Deliver if is_stdin => Event::Stdin { key, data },
            Verdict::Deliver => Event::Data { key, data },
            Verdict::End if is_stdin => Event::StdinEnd { key },
            Verdict::End => Event::DataEnd { key },
            Verdict::Ignore => return self.on_free_record(is_first),
            Verdict::OutOfOrder => {
                return Err(ProtocolError::OutOfOrder { record_type, request_id });
            }
        };
        self.free_records.refill();
        Ok(Some(event))
    }

    fn on_abort<'b>(&mut self, header: Header, is_first: bool) -> Next<'b> {
        let Some((key, slot)) = self.slots.by_id(header.request_id) else {
            return self.on_free_record(is_first);
        };
        match slot.phase {
            Phase::Params(_) => {
                self.free_records.spend()?;
                Ok(Some(self.refuse(header.request_id, RefusedReason::Aborted)))
            }
            Phase::Aborted => self.on_free_record(is_first),
            Phase::Stdin | Phase::Data | Phase::Complete => {
                slot.phase = Phase::Aborted;
                Ok(Some(Event::Aborted { key }))
            }
        }
    }

    fn on_get_values<'b>(
        &mut self,
        header: Header,
        data: &[u8],
        is_first: bool,
        is_last: bool,
    ) -> Next<'b> {
        if !header.is_management() {
            // An id makes it a record of a request, of a type that requests do not have.
            return self.on_free_record(is_first);
        }
        let limit = self.config.max_values;
        if header.content_len > limit {
            return Err(ProtocolError::ValuesTooLarge { limit });
        }
        self.values.extend_from_slice(data);
        if is_last {
            self.free_records.spend()?;
            let asked = core::mem::take(&mut self.values);
            let answer =
                values::answer(asked, &self.config).map_err(|_| ProtocolError::MalformedValues)?;
            self.outbox.management(RecordType::GetValuesResult, &answer);
        }
        Ok(None)
    }

    /// Answers an unknown management record (section 4.2); one of a request is skipped.
    fn on_unknown<'b>(&mut self, header: Header, is_first: bool) -> Next<'b> {
        if is_first && header.is_management() {
            let record_type = header.record_type.to_u8();
            self.outbox.body_record(
                RecordType::UnknownType,
                NULL_REQUEST_ID,
                UnknownType { record_type }.encode(),
            );
        }
        self.on_free_record(is_first)
    }

    /// A record for a request that is not open: expected while it drains, else a stray.
    fn on_late<'b>(&mut self, header: Header, is_end: bool, is_first: bool) -> Next<'b> {
        if self.draining.takes(header.request_id, header.record_type, is_end) {
            return Ok(None);
        }
        self.on_free_record(is_first)
    }

    fn on_free_record<'b>(&mut self, is_first: bool) -> Next<'b> {
        if is_first {
            self.free_records.spend()?;
        }
        Ok(None)
    }

    fn refuse<'b>(&mut self, request_id: u16, reason: RefusedReason) -> Event<'b> {
        self.close_slot(request_id);
        self.queue_refusal(request_id, reason)
    }

    fn queue_refusal<'b>(&mut self, request_id: u16, reason: RefusedReason) -> Event<'b> {
        let protocol_status = match reason {
            RefusedReason::TooManyRequests if self.config.max_requests.get() == 1 => {
                ProtocolStatus::CantMultiplex
            }
            // Neither is a matter of load, and the protocol has no word for a bad request.
            RefusedReason::Aborted | RefusedReason::MalformedParams => {
                ProtocolStatus::RequestComplete
            }
            _ => ProtocolStatus::Overloaded,
        };
        let end = EndRequest {
            app_status: u32::from(reason == RefusedReason::MalformedParams),
            protocol_status,
        };
        self.outbox.body_record(RecordType::EndRequest, request_id, end.encode());
        Event::Refused { request_id, reason }
    }
}
