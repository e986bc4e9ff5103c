//! What the application sends: a method for each kind of record.

use super::Event;
use super::connection::{Connection, State};
use super::phase::Phase;
use crate::Params;
use crate::decode::Piece;
use crate::error::ProtocolError;
use crate::wire::{BODY_LEN, EndRequest, Header, RecordType, UnknownType};

impl Connection {
    pub(super) fn next_event<'b>(
        &mut self,
        input: &mut &'b [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        if input.is_empty() {
            return Ok(None);
        }
        if let Some(event) = self.whole_end(input) {
            return Ok(Some(event));
        }
        let event = self.try_next_event(input);
        if let Err(error) = event {
            self.fail(error);
        }
        event
    }

    fn try_next_event<'b>(
        &mut self,
        input: &mut &'b [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        loop {
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
    }

    fn on_content<'b>(
        &mut self,
        header: Header,
        data: &'b [u8],
        is_first: bool,
        is_last: bool,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match header.record_type {
            RecordType::Stdout | RecordType::Stderr => self.on_output(header, data, is_first),
            RecordType::GetValuesResult => self.on_values(header, data, is_first, is_last),
            RecordType::Other(_) => self.on_free_record(is_first),
            record_type => Err(ProtocolError::WrongDirection { record_type }),
        }
    }

    fn on_body<'b>(
        &mut self,
        header: Header,
        body: [u8; BODY_LEN],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match header.record_type {
            RecordType::EndRequest => self.on_end(header, EndRequest::decode(body)),
            RecordType::UnknownType => {
                self.free_records.spend()?;
                let UnknownType { record_type } = UnknownType::decode(body);
                Ok(Some(Event::UnknownType { record_type }))
            }
            record_type => Err(ProtocolError::WrongDirection { record_type }),
        }
    }

    fn on_end<'b>(
        &mut self,
        header: Header,
        end: EndRequest,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match self.end(header, end) {
            Some(event) => {
                self.free_records.refill();
                Ok(Some(event))
            }
            None => self.on_stray(header, true),
        }
    }

    /// Ends a request; `None` when it is not open.
    pub(super) fn end<'b>(&mut self, header: Header, end: EndRequest) -> Option<Event<'b>> {
        let (key, mut open) = self.slots.remove(header.request_id)?;
        self.account.release_all(&mut open.share);
        // Input that is still held for it would come as strays, or has told the peer to give up: php, libfcgi, uWSGI and
        // ruby then close or wedge the connection. A peer that multiplexes is known to skip strays.
        let is_single = self.config.max_requests.get() == 1;
        if is_single && open.phase != Phase::Sent && self.state == State::Open {
            self.state = State::Closing;
        }
        Some(Event::End { key, protocol_status: end.protocol_status, app_status: end.app_status })
    }

    fn on_output<'b>(
        &mut self,
        header: Header,
        data: &'b [u8],
        is_first: bool,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let Some((key, open)) = self.slots.by_id(header.request_id) else {
            return self.on_stray(header, is_first);
        };
        if data.is_empty() {
            // The end of a stream means nothing: sloppy applications leave it out, send it twice or go on after it.
            return self.on_free_record(is_first);
        }
        self.free_records.refill();
        if open.phase == Phase::Aborted {
            return Ok(None);
        }
        Ok(Some(match header.record_type {
            RecordType::Stderr => Event::Stderr { key, data },
            _ => Event::Stdout { key, data },
        }))
    }

    fn on_values<'b>(
        &mut self,
        header: Header,
        data: &[u8],
        is_first: bool,
        is_last: bool,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        // Go answers twice, the second time with nothing. What was unasked when it began to come stays so.
        let is_collected = is_first || !self.values.is_empty();
        if self.values_due == 0 || !is_collected {
            return self.on_free_record(is_first);
        }
        let limit = self.config.max_values;
        if header.content_len > limit {
            return Err(ProtocolError::ValuesTooLarge { limit });
        }
        self.values.extend_from_slice(data);
        if !is_last {
            return Ok(None);
        }
        self.values_due -= 1;
        let values = core::mem::take(&mut self.values);
        match Params::parse(values) {
            Ok(values) => Ok(Some(Event::Values(values))),
            Err(_) => Err(ProtocolError::MalformedValues),
        }
    }

    /// A record for a request that is not open: late when it once was, an error when it never was.
    fn on_stray<'b>(
        &mut self,
        header: Header,
        is_first: bool,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let (record_type, request_id) = (header.record_type, header.request_id);
        if header.is_management() {
            return Err(ProtocolError::NullRequestId { record_type });
        }
        if !self.ids.was_used(request_id) {
            return Err(ProtocolError::UnknownRequestId { record_type, request_id });
        }
        self.on_free_record(is_first)
    }

    fn on_free_record<'b>(&mut self, is_first: bool) -> Result<Option<Event<'b>>, ProtocolError> {
        if is_first {
            self.free_records.spend()?;
        }
        Ok(None)
    }
}
