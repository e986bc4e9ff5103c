use alloc::vec::Vec;

use super::ids::Ids;
use super::phase::Phase;
use super::{Config, Event, Request};
use crate::Params;
use crate::decode::{Decoder, Piece};
use crate::error::{BeginError, ProtocolError};
use crate::limits::FreeRecords;
use crate::outbox::{Outbox, Outgoing, SLICE_CONTENT};
use crate::params::{OversizedPair, PairError, encode_pairs, push_pair};
use crate::slots::{RequestKey, Slots};
use crate::wire::{
    BODY_LEN, BeginRequest, EndRequest, Header, NULL_REQUEST_ID, RecordType, Role, UnknownType,
};

/// One connection to an application; see the [module](super).
#[derive(Debug)]
pub struct Connection {
    config: Config,
    decoder: Decoder,
    outbox: Outbox,
    slots: Slots<Phase>,
    ids: Ids,
    free_records: FreeRecords,
    /// How many answers to GET_VALUES are due, and what has come of the next.
    values_due: usize,
    values: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A request without keep_conn has begun, or one has left its connection in doubt.
    Closing,
    /// The peer has closed, with nothing left open.
    Eof,
    Failed(ProtocolError),
}

impl Connection {
    /// A connection on which nothing has been sent.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            decoder: Decoder::new(),
            outbox: Outbox::new(config.max_buffered),
            slots: Slots::new(),
            ids: Ids::default(),
            free_records: FreeRecords::new(config.max_free_records),
            values_due: 0,
            values: Vec::new(),
            state: State::Open,
            config,
        }
    }

    /// Takes the next event from the front of `input`; `None` means that `input` is used up.
    ///
    /// # Errors
    /// The peer broke the protocol. The connection is of no more use, and every later call says the same.
    #[inline]
    pub fn poll_event<'b>(
        &mut self,
        input: &mut &'b [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match self.whole_output(input) {
            Some(event) => Ok(Some(event)),
            None => self.next_event(input),
        }
    }

    /// Says that the peer has closed its direction.
    ///
    /// # Errors
    /// [`UnexpectedEof`](ProtocolError::UnexpectedEof) when a request is open or a record was cut. An application that
    /// closes after END_REQUEST although asked to keep the connection is within its rights.
    pub fn handle_eof(&mut self) -> Result<(), ProtocolError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let in_record = !self.decoder.is_between_records();
        let open_requests = self.slots.len();
        if open_requests > 0 || in_record {
            return Err(self.fail(ProtocolError::UnexpectedEof { open_requests, in_record }));
        }
        self.state = State::Eof;
        Ok(())
    }

    /// Begins a request and queues its parameters, the whole of them (sections 5.1 and 5.2).
    ///
    /// Ids count up from 1 and wrap behind 65,535; one stays taken until its END_REQUEST has come. So a late answer can
    /// never be taken for the next request's.
    ///
    /// # Errors
    /// See [`BeginError`]; nothing was queued then.
    pub fn begin<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        role: Role,
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Result<RequestKey, BeginError> {
        let request_id = self.next_id()?;
        let keep_conn = self.config.keep_conn;
        let oversized = if self.config.split_large_pairs {
            OversizedPair::Split
        } else {
            OversizedPair::Refuse
        };
        self.outbox.append(|out| {
            let start = out.len();
            out.extend(Header::new(RecordType::BeginRequest, request_id, 8).encode());
            out.extend(BeginRequest::new(role, keep_conn).encode());
            encode_pairs(out, request_id, params, oversized)
                .inspect_err(|_| out.truncate(start))
                .map_err(begin_error)
        })?;
        if !keep_conn {
            self.state = State::Closing;
        }
        self.ids.use_id(request_id);
        let key = self.slots.insert(request_id, Phase::begin(role));
        Ok(key.expect("next_id gives a free id"))
    }

    /// The handle that sends for this request; `None` once it was aborted or has ended.
    pub fn request(&mut self, key: RequestKey) -> Option<Request<'_>> {
        let phase = self.slots.by_key(key)?;
        if *phase == Phase::Aborted {
            return None;
        }
        Some(Request { request_id: key.request_id(), phase, outbox: &mut self.outbox })
    }

    /// Asks for values such as `FCGI_MPXS_CONNS` (section 4.1); [`Event::Values`] brings the answer, if one comes.
    ///
    /// Some applications never answer (uWSGI, AnyEvent::FCGI), others close the connection after it (php-fpm, gevent):
    /// ask on a connection of its own, with a timeout. The record is padded, since libfcgi answers only once a byte
    /// beyond its content has arrived.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); the names must fit [`Config::max_values`] and one record. No names at all ask nothing.
    pub fn get_values<N: AsRef<[u8]>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<(), BeginError> {
        if self.state != State::Open {
            return Err(BeginError::Closing);
        }
        let mut content = Vec::new();
        for name in names {
            push_pair(&mut content, name.as_ref(), b"").map_err(begin_error)?;
        }
        if content.is_empty() {
            return Ok(());
        }
        let limit = usize::from(self.config.max_values).min(SLICE_CONTENT);
        if content.len() > limit {
            return Err(BeginError::PairTooLarge { name_len: content.len(), value_len: 0 });
        }
        let pad = |len: u16| 8 - u8::try_from(len % 8).unwrap_or(0);
        self.outbox.stream_slice(RecordType::GetValues, NULL_REQUEST_ID, &content, pad);
        self.values_due += 1;
        Ok(())
    }

    /// The bytes to write.
    pub fn outgoing(&mut self) -> Outgoing<'_> {
        self.outbox.outgoing()
    }

    /// Whether there are bytes to write.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether the output held is at its cap, so that stdin is refused until some of it is written.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.outbox.is_full()
    }

    /// Whether to read from the socket: true until the peer has closed or broken the protocol.
    #[must_use]
    pub const fn wants_read(&self) -> bool {
        matches!(self.state, State::Open | State::Closing)
    }

    /// How many requests may begin now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match self.state {
            State::Open => usize::from(self.config.max_requests.get()) - self.slots.len(),
            State::Closing | State::Eof | State::Failed(_) => 0,
        }
    }

    /// How many requests have not ended, aborted ones among them.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.slots.len()
    }

    /// Whether no request may begin any more: close once [`open_requests`](Self::open_requests) is 0.
    ///
    /// It is so without [`keep_conn`](Config::keep_conn); after END_REQUEST for a request that was aborted or whose
    /// stdin had not ended, unless the connection multiplexes; after the peer has closed; after an error.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state != State::Open
    }

    /// Whether the connection is at rest: nothing open, nothing to write, no record half read. Bytes that arrive in
    /// this state are not asked for, and a connection on which they do is better closed than used again.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Open
            && self.slots.is_empty()
            && self.values_due == 0
            && self.outbox.is_empty()
            && self.decoder.is_between_records()
    }

    fn next_id(&self) -> Result<u16, BeginError> {
        if self.state != State::Open {
            return Err(BeginError::Closing);
        }
        if self.outbox.is_full() {
            return Err(BeginError::Blocked);
        }
        let too_many = BeginError::TooManyRequests { limit: self.config.max_requests.get() };
        if self.capacity() == 0 {
            return Err(too_many);
        }
        self.ids.candidates().find(|id| !self.slots.contains(*id)).ok_or(too_many)
    }

    /// The short way for nearly all of a response: output of an open request, in a record that is here as a whole.
    /// `None` has taken nothing and decided nothing; [`next_event`](Self::next_event) does the same with all its cases.
    #[inline]
    fn whole_output<'b>(&mut self, input: &mut &'b [u8]) -> Option<Event<'b>> {
        let (header, data, rest) = self.decoder.peek_whole(input)?;
        let (key, phase) = self.slots.at_once(header.request_id)?;
        if data.is_empty() || *phase == Phase::Aborted {
            return None;
        }
        let event = match header.record_type {
            RecordType::Stdout => Event::Stdout { key, data },
            RecordType::Stderr => Event::Stderr { key, data },
            _ => return None,
        };
        *input = rest;
        self.decoder.skip_whole();
        self.free_records.refill();
        Some(event)
    }

    #[inline(never)]
    fn next_event<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        if input.is_empty() {
            return Ok(None);
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
        let Some((key, phase)) = self.slots.remove(header.request_id) else {
            return self.on_stray(header, true);
        };
        // Input that is still held for it would come as strays, or has told the peer to give up: php, libfcgi, uWSGI and
        // ruby then close or wedge the connection. A peer that multiplexes is known to skip strays.
        let is_single = self.config.max_requests.get() == 1;
        if is_single && phase != Phase::Sent && self.state == State::Open {
            self.state = State::Closing;
        }
        self.free_records.refill();
        Ok(Some(Event::End {
            key,
            protocol_status: end.protocol_status,
            app_status: end.app_status,
        }))
    }

    fn on_output<'b>(
        &mut self,
        header: Header,
        data: &'b [u8],
        is_first: bool,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let Some((key, phase)) = self.slots.by_id(header.request_id) else {
            return self.on_stray(header, is_first);
        };
        if data.is_empty() {
            // The end of a stream means nothing: sloppy applications leave it out, send it twice or go on after it.
            return self.on_free_record(is_first);
        }
        self.free_records.refill();
        if *phase == Phase::Aborted {
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

    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error);
        self.decoder.fail(error)
    }
}

fn begin_error(error: PairError) -> BeginError {
    match error {
        PairError::TooLarge { name_len, value_len } => {
            BeginError::PairTooLarge { name_len, value_len }
        }
        PairError::LengthTooLarge { found } => BeginError::LengthTooLarge { found },
    }
}
