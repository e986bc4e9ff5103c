use alloc::vec::Vec;
use core::fmt;

use super::draining::Draining;
use super::phase::{Phase, Slot};
use super::{Config, Event, Response};
use crate::Params;
use crate::decode::Decoder;
use crate::error::ProtocolError;
use crate::limits::{FreeRecords, MAX_DRAINING};
use crate::outbox::{Outbox, Outgoing};
use crate::slots::{RequestKey, Slots};
use crate::wire::{EndRequest, RecordType};

/// One connection from a web server; see the [module](super).
///
/// ```
/// use bytes::Buf;
/// use fcgi_proto::server::{Config, Connection, Event};
///
/// let mut conn = Connection::new(Config::default());
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0];
/// let Some(Event::Request { key, .. }) = conn.poll_event(&mut &read[..])? else { panic!() };
/// conn.response(key).expect("it is open").end(0);
/// assert!(!conn.is_closing()); // the web server keeps it
/// assert!(conn.response(key).is_none()); // it has ended
/// let all = conn.outgoing().remaining(); // the ends of the streams and END_REQUEST, for one write
/// conn.outgoing().advance(all);
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
pub struct Connection {
    pub(super) config: Config,
    pub(super) decoder: Decoder,
    pub(super) outbox: Outbox,
    pub(super) slots: Slots<Slot>,
    pub(super) draining: Draining,
    pub(super) free_records: FreeRecords,
    /// What has come of GET_VALUES.
    pub(super) values: Vec<u8>,
    /// The buffer of a request before, for the parameters of the next.
    pub(super) spare: Vec<u8>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// A request without FCGI_KEEP_CONN has ended: no other may begin, and the last one to end closes.
    Closing,
    /// The peer has closed; open requests from `abort_from` on are still to be reported as aborted.
    Eof {
        abort_from: u16,
    },
    Failed(ProtocolError),
}

pub(super) type Next<'b> = Result<Option<Event<'b>>, ProtocolError>;

impl Connection {
    /// A connection on which nothing has come.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let draining = usize::from(config.max_requests.get()) + MAX_DRAINING;
        Self {
            decoder: Decoder::new(),
            outbox: Outbox::new(config.max_buffered),
            slots: Slots::new(),
            draining: Draining::new(draining),
            free_records: FreeRecords::new(config.max_free_records),
            values: Vec::new(),
            spare: Vec::new(),
            state: State::Open,
            config,
        }
    }

    /// Takes the next event from the front of `input`.
    ///
    /// `None` with input left over means that output is at its cap: write some of it first.
    ///
    /// # Errors
    /// The peer broke the protocol. The connection is of no more use, and every later call says the same.
    #[inline]
    pub fn poll_event<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        match self.whole_stdin(input) {
            Some(event) => Ok(Some(event)),
            None => self.next_event(input),
        }
    }

    /// The short way for most of a body: STDIN of an open request, in a record that is here as a whole. `None` has taken
    /// nothing and decided nothing; [`next_event`](Self::next_event) does the same with all its cases.
    #[inline]
    fn whole_stdin<'b>(&mut self, input: &mut &'b [u8]) -> Option<Event<'b>> {
        let (header, data, rest) = self.decoder.peek_whole(input)?;
        let (key, slot) = self.slots.at_once(header.request_id)?;
        let is_stdin = header.record_type == RecordType::Stdin && !data.is_empty();
        if !is_stdin || !matches!(slot.phase, Phase::Stdin) || self.outbox.is_full() {
            return None;
        }
        *input = rest;
        self.decoder.skip_whole();
        self.free_records.refill();
        Some(Event::Stdin { key, data })
    }

    #[inline(never)]
    fn next_event<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let event = self.try_next_event(input).inspect_err(|error| {
            self.state = State::Failed(*error);
            self.decoder.fail(*error);
        })?;
        match self.state {
            State::Eof { abort_from } if event.is_none() && input.is_empty() => {
                Ok(self.next_aborted(abort_from))
            }
            _ => Ok(event),
        }
    }

    /// Says that the peer has closed its direction: for most web servers the way to abort. [`poll_event`] then gives
    /// [`Aborted`](Event::Aborted) for each open request; their responses may still be written, to a peer that has only
    /// closed its half.
    ///
    /// [`poll_event`]: Self::poll_event
    pub fn handle_eof(&mut self) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Eof { abort_from: 0 };
        }
    }

    /// The handle that answers this request; `None` once it has ended, or the connection has failed.
    pub fn response(&mut self, key: RequestKey) -> Option<Response<'_>> {
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        self.slots.by_key(key)?;
        Some(Response { conn: self, key })
    }

    /// Gives back the parameters of a request that is done with them, so that the next one needs no allocation.
    pub fn recycle(&mut self, params: Params) {
        let mut buffer = params.into_encoded();
        buffer.clear();
        if buffer.capacity() > self.spare.capacity() {
            self.spare = buffer;
        }
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

    /// Whether the output held is at its cap, so that stdout and stderr are refused until some of it is written.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.outbox.is_full()
    }

    /// Whether to read from the socket. False while output is at its cap, as input may call for more of it, and after
    /// the peer has closed or broken the protocol.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        matches!(self.state, State::Open | State::Closing) && !self.outbox.is_full()
    }

    /// How many requests have not ended, aborted ones among them.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.slots.len()
    }

    /// Whether to close once the output is written: no request is open, and none may begin. To close, shut down writing
    /// and read on for a moment: closing with unread input can cost TCP peers the end of the answer.
    ///
    /// A request that comes after the end of one without FCGI_KEEP_CONN is neither served nor refused: its sender has asked
    /// for the close itself, sees it, and knows then that nothing was begun.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        match self.state {
            State::Open => false,
            State::Closing | State::Eof { .. } => self.slots.is_empty(),
            State::Failed(_) => true,
        }
    }

    /// Takes the request from the table, then queues END_REQUEST: its id may come back the moment that is read.
    pub(super) fn end_request(&mut self, request_id: u16, end: EndRequest) {
        self.close_slot(request_id);
        self.outbox.body_record(RecordType::EndRequest, request_id, end.encode());
    }

    pub(super) fn close_slot(&mut self, request_id: u16) {
        let Some((_, slot)) = self.slots.remove(request_id) else {
            return;
        };
        if let Some(last) = slot.awaited_end() {
            self.draining.expect(request_id, last);
        }
        if !slot.keep_conn && self.state == State::Open {
            self.state = State::Closing;
        }
    }
}

impl fmt::Debug for Connection {
    /// Figures only: what is on its way may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("state", &self.state)
            .field("open_requests", &self.slots.len())
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}
