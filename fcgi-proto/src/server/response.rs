use core::fmt;

use bytes::Bytes;

use super::Connection;
use super::connection::State;
use crate::RequestKey;
use crate::error::SendError;
use crate::wire::{EndRequest, NULL_REQUEST_ID, ProtocolStatus, RecordType, UnknownType};

/// Answers one open request; from [`Connection::response`].
///
/// ```
/// use fcgi_proto::SendError;
/// use fcgi_proto::server::{Config, Connection, Event};
///
/// let mut conn = Connection::new(Config::default().max_buffered(10));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0];
/// let Ok(Some(Event::Request { key, .. })) = conn.poll_event(&mut &read[..]) else { panic!() };
/// let mut response = conn.response(key).expect("it is open");
/// response.stdout("Content-Type: text/plain\r\n\r\n")?; // the cap is soft: taken whole
/// assert_eq!(response.stdout("hello"), Err(SendError::Blocked)); // write first, then offer it again
/// response.end(0); // never blocks
/// # Ok::<(), SendError>(())
/// ```
pub struct Response<'c> {
    pub(super) conn: &'c mut Connection,
    pub(super) key: RequestKey,
}

/// Why a request is not served (section 5.5).
///
/// ```
/// use fcgi_proto::server::{Config, Connection, Event, Refusal};
///
/// let mut conn = Connection::new(Config::default());
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0];
/// let Ok(Some(Event::Request { key, .. })) = conn.poll_event(&mut &read[..]) else { panic!() };
/// conn.response(key).expect("it is open").refuse(Refusal::Overloaded);
/// assert!(conn.has_outgoing() && conn.response(key).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Only one request at a time is served on a connection.
    CantMultiplex,
    /// Some resource is exhausted.
    Overloaded,
    /// The role asked for is not served.
    UnknownRole,
}

impl Response<'_> {
    /// Queues more of the response (section 5.3), by handle: payloads of 1 KiB and more are not copied. Empty data is
    /// nothing, since only [`end`](Self::end) ends the stream.
    ///
    /// Put the whole CGI head into the first call: HAProxy 2.6 crashes on one that comes in several records.
    ///
    /// # Errors
    /// [`Blocked`](SendError::Blocked): the output is at its cap, and none of the data was taken.
    pub fn stdout(&mut self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.check()?;
        let data = data.into();
        self.conn.outbox.stream(RecordType::Stdout, self.request_id(), data);
        Ok(())
    }

    /// [`stdout`](Self::stdout) with a copy of borrowed data.
    ///
    /// # Errors
    /// As [`stdout`](Self::stdout).
    pub fn stdout_slice(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.check()?;
        let id = self.request_id();
        self.conn.outbox.stream_slice(RecordType::Stdout, id, data, |_| 0);
        Ok(())
    }

    /// Queues a copy of error output (section 5.3), which web servers write to their error log.
    ///
    /// The record gets 1 to 8 bytes of padding: HAProxy 2.6 crashes when a read ends with an unpadded one.
    ///
    /// # Errors
    /// As [`stdout`](Self::stdout).
    pub fn stderr(&mut self, data: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.check()?;
        let (id, data) = (self.request_id(), data.as_ref());
        if let Some(slot) = self.conn.slots.by_key(self.key) {
            slot.has_stderr |= !data.is_empty();
        }
        let pad = |len: u16| 8 - u8::try_from(len % 8).unwrap_or(0);
        self.conn.outbox.stream_slice(RecordType::Stderr, id, data, pad);
        Ok(())
    }

    /// Ends the response with a CGI program's exit status; 0 is success. Never blocks.
    ///
    /// The ends of the streams and END_REQUEST (section 5.5) follow the last data in one piece, for a single write. Input
    /// of the request that still comes is skipped, and the key finds nothing any more.
    pub fn end(self, app_status: u32) {
        let id = self.request_id();
        let Some(slot) = self.conn.slots.by_key(self.key) else {
            return;
        };
        if slot.has_stderr {
            self.conn.outbox.empty_record(RecordType::Stderr, id);
        }
        self.conn.outbox.empty_record(RecordType::Stdout, id);
        self.conn.end_request(
            id,
            EndRequest { app_status, protocol_status: ProtocolStatus::RequestComplete },
        );
    }

    /// Gives the response up halfway: what was queued is sent, but no end, so that the web server can tell. The connection
    /// takes no more requests and closes once those open on it have ended. Never blocks.
    ///
    /// nginx without `fastcgi_keep_conn`, Caddy and h2o take the end of a connection for the end of a response; an
    /// UNKNOWN_TYPE record (section 4.2), which may come at any time but means nothing to them, makes them break the HTTP
    /// response off as well. lighttpd passes on what it got as if it were whole.
    pub fn cut(self) {
        let id = self.request_id();
        let body = UnknownType { record_type: RecordType::EndRequest.to_u8() }.encode();
        self.conn.outbox.body_record(RecordType::UnknownType, NULL_REQUEST_ID, body);
        self.conn.close_slot(id);
        if self.conn.state == State::Open {
            self.conn.state = State::Closing;
        }
    }

    /// Ends the request unserved, before anything was written for it. Never blocks.
    pub fn refuse(self, refusal: Refusal) {
        let protocol_status = match refusal {
            Refusal::CantMultiplex => ProtocolStatus::CantMultiplex,
            Refusal::Overloaded => ProtocolStatus::Overloaded,
            Refusal::UnknownRole => ProtocolStatus::UnknownRole,
        };
        let id = self.request_id();
        self.conn.end_request(id, EndRequest { app_status: 0, protocol_status });
    }

    fn request_id(&self) -> u16 {
        self.key.request_id()
    }

    fn check(&self) -> Result<(), SendError> {
        if self.conn.outbox.is_full() {
            return Err(SendError::Blocked);
        }
        Ok(())
    }
}

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("key", &self.key).finish()
    }
}
