use alloc::vec::Vec;
use core::fmt;

use super::account::Account;
use super::begin::begin_error;
use super::ids::Ids;
use super::phase::{Open, Phase};
use super::{Config, Event, Request};
use crate::Address;
use crate::decode::Decoder;
use crate::error::{BeginError, ProtocolError};
use crate::limits::FreeRecords;
use crate::outbox::{Outbox, Outgoing, SLICE_CONTENT};
use crate::params::push_pair;
use crate::slots::{RequestKey, Slots};
use crate::wire::{EndRequest, NULL_REQUEST_ID, RecordType};

/// One connection to an application; see the [module](super).
///
/// ```
/// use bytes::Buf;
/// use fcgi_proto::Role;
/// use fcgi_proto::client::{Config, Connection};
///
/// let mut conn = Connection::new(Config::default());
/// let key = conn.begin(Role::Responder, [("SCRIPT_NAME", "/a")])?;
/// conn.request(key).expect("it is open").finish()?;
/// assert!(conn.outgoing().has_remaining()); // write these, then `advance`
/// assert!(conn.wants_read());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct Connection {
    pub(super) config: Config,
    pub(super) decoder: Decoder,
    pub(super) outbox: Outbox,
    pub(super) slots: Slots<Open>,
    pub(super) account: Account,
    pub(super) ids: Ids,
    pub(super) free_records: FreeRecords,
    /// How many answers to GET_VALUES are due, and what has come of the next.
    pub(super) values_due: usize,
    pub(super) values: Vec<u8>,
    pub(super) state: State,
    /// Whoever drives this holds bodies back by itself: requests begin also while the output is at its cap.
    pub(super) begins_when_full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// A request without keep_conn has begun, or one has left its connection in doubt.
    Closing,
    /// The peer has closed, with nothing left open.
    Eof,
    Failed(ProtocolError),
}

impl Connection {
    /// [`Config::peer`].
    pub(super) const fn peer(&self) -> Option<&Address> {
        self.config.peer.as_ref()
    }

    /// A connection on which nothing has been sent.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            decoder: Decoder::new(),
            outbox: Outbox::new(config.max_buffered),
            slots: Slots::new(),
            account: Account::new(&config),
            ids: Ids::default(),
            free_records: FreeRecords::new(config.max_free_records),
            values_due: 0,
            values: Vec::new(),
            state: State::Open,
            begins_when_full: false,
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

    /// The handle that sends for this request; `None` once it was aborted or has ended, or the connection has failed.
    pub fn request(&mut self, key: RequestKey) -> Option<Request<'_>> {
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        let open = self.slots.by_key(key)?;
        if open.phase == Phase::Aborted {
            return None;
        }
        let (outbox, account) = (&mut self.outbox, &mut self.account);
        Some(Request { request_id: key.request_id(), open, outbox, account })
    }

    /// Says that so many bytes from this request's events are kept, because whoever consumes them is slow. Past
    /// [`Config::request_window`] or [`Config::connection_window`] the connection no longer
    /// [wants to read](Self::wants_read).
    ///
    /// Data that is used up before the next event needs no account. A request that has ended or was aborted holds nothing:
    /// no more comes of it that a pause could keep away.
    pub fn hold(&mut self, key: RequestKey, len: usize) {
        if let Some(open) = self.slots.by_key(key).filter(|open| open.phase != Phase::Aborted) {
            self.account.hold(&mut open.share, len);
        }
    }

    /// Says that so many of the bytes that were [held](Self::hold) have been passed on.
    pub fn release(&mut self, key: RequestKey, len: usize) {
        if let Some(open) = self.slots.by_key(key) {
            self.account.release(&mut open.share, len);
        }
    }

    /// How many bytes are [held](Self::hold), over all requests.
    #[must_use]
    pub fn held(&self) -> usize {
        self.account.held()
    }

    /// Whether this request keeps the connection from reading: it holds more than its window, or a part of more than the
    /// window of the connection.
    #[must_use]
    pub fn is_stalled_by(&self, key: RequestKey) -> bool {
        let open = self.slots.get(key);
        open.is_some_and(|open| self.account.is_cause(&open.share))
    }

    /// Asks for values such as `FCGI_MPXS_CONNS` (section 4.1); [`Event::Values`] brings the answer, if one comes.
    ///
    /// Some applications never answer (uWSGI, AnyEvent::FCGI), others close the connection after it (php-fpm, gevent):
    /// ask on a connection of its own, with a timeout. The record is padded, since libfcgi answers only once a byte
    /// beyond its content has arrived.
    ///
    /// # Errors
    /// [`Closing`](BeginError::Closing), [`Blocked`](BeginError::Blocked), and
    /// [`ValuesTooLarge`](BeginError::ValuesTooLarge) when the names do not fit [`Config::max_values`] and one record.
    /// No names at all ask nothing.
    pub fn get_values<N: AsRef<[u8]>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<(), BeginError> {
        if self.state != State::Open {
            return Err(BeginError::Closing);
        }
        if self.outbox.is_full() {
            return Err(BeginError::Blocked);
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
            return Err(BeginError::ValuesTooLarge { found: content.len(), limit });
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

    /// Whether to read from the socket: true until the peer has closed or broken the protocol, but for pauses while more
    /// is [held](Self::hold) than the windows allow.
    #[must_use]
    pub const fn wants_read(&self) -> bool {
        matches!(self.state, State::Open | State::Closing) && !self.account.is_over()
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

    /// Whether it is what the caller holds that keeps the connection from reading.
    #[cfg(feature = "std")]
    pub(super) const fn is_paused(&self) -> bool {
        self.account.is_over()
    }

    /// Lets requests begin while the output is at its cap. What is held is bounded by the requests that may be open.
    #[cfg(feature = "std")]
    pub(super) fn begin_when_full(&mut self) {
        self.begins_when_full = true;
    }

    /// How many bytes there are to write.
    #[cfg(feature = "std")]
    pub(super) fn outgoing_len(&self) -> usize {
        self.outbox.len()
    }

    /// The short way for nearly all of a response: output of an open request, in a record that is here as a whole.
    /// `None` has taken nothing and decided nothing; [`next_event`](Self::next_event) does the same with all its cases.
    #[inline]
    fn whole_output<'b>(&mut self, input: &mut &'b [u8]) -> Option<Event<'b>> {
        let (header, data, rest) = self.decoder.peek_whole(input)?;
        let (key, open) = self.slots.at_once(header.request_id)?;
        if data.is_empty() || open.phase == Phase::Aborted {
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

    /// The short way for the end of a response, END_REQUEST and the end of stdout before it, as
    /// [`whole_output`](Self::whole_output).
    #[inline]
    pub(super) fn whole_end<'b>(&mut self, input: &mut &'b [u8]) -> Option<Event<'b>> {
        let (mut header, mut data, mut rest) = self.decoder.peek_whole(input)?;
        if header.record_type == RecordType::Stdout
            && data.is_empty()
            && self.free_records.is_left()
        {
            let request_id = header.request_id;
            (header, data, rest) = self.decoder.peek_whole(rest)?;
            if header.request_id != request_id {
                return None;
            }
        }
        if header.record_type != RecordType::EndRequest {
            return None;
        }
        let event = self.end(header, EndRequest::decode(data.try_into().ok()?))?;
        *input = rest;
        self.decoder.skip_whole();
        self.free_records.refill();
        Some(event)
    }

    #[inline(never)]
    pub(super) fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error);
        self.decoder.fail(error)
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
