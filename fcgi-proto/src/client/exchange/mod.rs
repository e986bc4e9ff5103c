mod error;
mod output;
#[cfg(feature = "std")]
mod shared;

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

pub use error::ExchangeError;
pub use output::{End, Output};

use super::deadlines::{Deadlines, Waiting};
use super::timings::Clock;
use super::{Connection, Event, Timings};
use crate::cgi::{BodyError, Piece, ResponseDecoder, ResponseError};
use crate::error::{BeginError, SendError};
use crate::request::Account;
use crate::telemetry::ClientSpan;
use crate::{Parts, Phase, ProtocolStatus, RequestKey, Timeouts};

/// One request and its response on a [`Connection`]: the decisions that every adapter's client shares.
///
/// An adapter owns the socket, the clock and the source of the body. It tells what happened (`handle_*`), asks what to do
/// next (`wants_*`), and passes on what [`handle_event`](Self::handle_event) gives. Several exchanges can share one
/// connection; events are routed to them by [`key`](Self::key).
///
/// ```
/// use core::time::Duration;
/// use bytes::Buf;
/// use fcgi_proto::client::{Config, Connection, Exchange, Output};
/// use fcgi_proto::{Request, Timeouts};
///
/// let mut conn = Connection::new(Config::default());
/// let (parts, ()) = Request::get("/srv/hello.php").into_parts()?;
/// let mut exchange = Exchange::begin(&mut conn, &parts, Timeouts::default(), Duration::ZERO)?;
/// exchange.finish_body(&mut conn)?;
/// # let all = conn.outgoing().remaining(); conn.outgoing().advance(all);
/// exchange.handle_written(&conn, 420, Duration::ZERO); // wrote conn.outgoing() and advanced
/// # let read = b"\x01\x06\0\x01\0\x06\0\0A: b\n\n\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
/// let mut input: &[u8] = read; // what the socket gave
/// exchange.handle_read(input.len(), Duration::from_millis(3));
/// while let Some(event) = conn.poll_event(&mut input)? {
///     match exchange.handle_event(event)? {
///         Some(Output::Head { head, body }) => assert_eq!((head.status(), body), (200, &b""[..])),
///         Some(Output::End(end)) => assert_eq!(end.app_status, 0),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Exchange {
    key: RequestKey,
    sending: Sending,
    /// What CONTENT_LENGTH announced.
    body: Account,
    response: ResponseDecoder,
    max_excess: u64,
    has_head: bool,
    stderr: Stderr,
    deadlines: Deadlines,
    clock: Clock,
    bytes_sent: u64,
    bytes_received: u64,
    end: Option<End>,
    span: ClientSpan,
}

/// ```text
/// Body ──finish_body──> Finished
///   └────────┬─────────────┴──handle_write_error──> Refused: the peer takes no more; what it has answered is read
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Body,
    Finished,
    Refused,
}

impl Exchange {
    /// How many bytes of error output are kept by default; what exceeds it is counted. nginx logs 4 KiB of a line, rama
    /// keeps 256 KiB too.
    pub const MAX_STDERR: usize = 256 * 1024;

    /// How many bytes a response may have by default beyond its `Content-Length`, or where it has no body, as with HEAD. They
    /// are dropped, but read to the end, so that the connection can be used again; who goes on and on is cut off instead.
    pub const MAX_EXCESS: u64 = 1024 * 1024;

    /// Begins a request. The body is held to the `content_length` of `parts`, where it has one.
    ///
    /// `now` here and in other calls is the time since the call began, connecting included, by any clock that does not
    /// go backwards.
    ///
    /// # Errors
    /// See [`Connection::begin`].
    pub fn begin(
        conn: &mut Connection,
        parts: &Parts,
        timeouts: Timeouts,
        now: Duration,
    ) -> Result<Self, BeginError> {
        let key = conn.begin_encoded(parts.role, &parts.params)?;
        let is_head = parts.params.get("REQUEST_METHOD") == Some(b"HEAD");
        Ok(Self {
            key,
            sending: Sending::Body,
            body: Account::new(parts.content_length),
            response: ResponseDecoder::new().head_only(is_head),
            max_excess: Self::MAX_EXCESS,
            has_head: false,
            stderr: Stderr { kept: Vec::new(), limit: Self::MAX_STDERR, dropped: 0 },
            deadlines: Deadlines::new(timeouts, now),
            clock: Clock::new(now),
            bytes_sent: 0,
            bytes_received: 0,
            end: None,
            span: ClientSpan::new(parts.role, &parts.params, conn.peer()),
        })
    }

    /// Limits the response's head in bytes. Default: 256 KiB.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.response = self.response.head_limit(bytes);
        self
    }

    /// Limits what a response may have beyond its length, in bytes. Default: [`MAX_EXCESS`](Self::MAX_EXCESS). More is
    /// [`BodyError::TooLong`].
    #[must_use]
    pub const fn max_excess(mut self, bytes: u64) -> Self {
        self.max_excess = bytes;
        self
    }

    /// Limits the error output that is kept, in bytes. Default: [`MAX_STDERR`](Self::MAX_STDERR).
    #[must_use]
    pub fn max_stderr(mut self, bytes: usize) -> Self {
        self.stderr.limit = bytes;
        self
    }

    /// The request on the connection.
    #[must_use]
    pub const fn key(&self) -> RequestKey {
        self.key
    }

    /// Whether to ask the body's source for more.
    #[must_use]
    pub fn wants_body(&self, conn: &Connection) -> bool {
        self.sending == Sending::Body && self.end.is_none() && !conn.is_blocked()
    }

    /// Queues more of the body; call it when [`wants_body`](Self::wants_body) says so.
    ///
    /// # Errors
    /// [`LengthError::TooLong`](crate::LengthError); the request must be aborted then, as its length was a lie.
    pub fn send_body(&mut self, conn: &mut Connection, data: Bytes) -> Result<(), ExchangeError> {
        self.body.take(data.len())?;
        match conn.request(self.key).map(|mut request| request.stdin(data)) {
            // The request has ended meanwhile; its body is of no interest any more.
            None | Some(Ok(()) | Err(SendError::Finished | SendError::Blocked)) => Ok(()),
        }
    }

    /// Ends the body: nothing more comes from its source.
    ///
    /// # Errors
    /// [`LengthError::TooShort`](crate::LengthError). The stream was not ended then, since php would wait for the rest for
    /// ever; the connection must be closed or the request aborted.
    pub fn finish_body(&mut self, conn: &mut Connection) -> Result<(), ExchangeError> {
        self.body.finish()?;
        if self.sending == Sending::Body {
            self.sending = Sending::Finished;
            if let Some(mut request) = conn.request(self.key) {
                let _ = request.finish();
            }
        }
        Ok(())
    }

    /// Whether to write to the socket.
    #[must_use]
    pub fn wants_write(&self, conn: &Connection) -> bool {
        conn.has_outgoing() && self.sending != Sending::Refused && self.end.is_none()
    }

    /// Says that so many bytes of the connection's output were written.
    pub fn handle_written(&mut self, conn: &Connection, count: usize, now: Duration) {
        self.bytes_sent += count as u64;
        let is_sent = self.sending == Sending::Finished && !conn.has_outgoing();
        self.deadlines.on_progress(
            now,
            if is_sent && self.bytes_received == 0 {
                Waiting::FirstByte
            } else {
                Waiting::Progress
            },
        );
    }

    /// Says that writing failed. The application may have answered before: go on reading, and the answer counts.
    pub fn handle_write_error(&mut self) {
        self.sending = Sending::Refused;
    }

    /// Says that so many bytes were read.
    pub fn handle_read(&mut self, count: usize, now: Duration) {
        if self.bytes_received == 0 && count > 0 {
            self.span.first_byte(now);
        }
        self.bytes_received += count as u64;
        self.clock.on_read(count, now);
        self.deadlines.on_progress(now, Waiting::Progress);
    }

    /// Says what the connection told about this request.
    ///
    /// # Errors
    /// [`Response`](ExchangeError::Response) and [`Refused`](ExchangeError::Refused). The request may still be open then:
    /// abort it or close the connection.
    pub fn handle_event<'b>(
        &mut self,
        event: Event<'b>,
    ) -> Result<Option<Output<'b>>, ExchangeError> {
        match event {
            Event::Stdout { data, .. } => self.on_stdout(data),
            Event::Stderr { data, .. } => {
                self.stderr.push(data);
                Ok(Some(Output::Stderr))
            }
            Event::End { protocol_status, app_status, .. } => {
                self.on_end(protocol_status, app_status).map(|end| Some(Output::End(end)))
            }
            Event::Values(_) | Event::UnknownType { .. } => Ok(None),
        }
    }

    /// When to call [`check_time`](Self::check_time) at the latest, counted as `now` is.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadlines.next().map(|(deadline, _)| deadline)
    }

    /// The phase whose time is up, if one's is.
    #[must_use]
    pub fn check_time(&self, now: Duration) -> Option<Phase> {
        self.deadlines.expired(now)
    }

    /// How far the exchange has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match (self.bytes_received, self.sending) {
            _ if self.has_head => Phase::Body,
            (0, Sending::Body) => Phase::Send,
            (0, _) => Phase::FirstByte,
            _ => Phase::Head,
        }
    }

    /// How the response ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// The error output so far, up to the limit.
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        &self.stderr.kept
    }

    /// Takes the error output so far, which makes room for more.
    pub fn take_stderr(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.stderr.kept)
    }

    /// How many bytes of error output came beyond the limit and were not kept.
    #[must_use]
    pub const fn stderr_dropped(&self) -> u64 {
        self.stderr.dropped
    }

    /// How long each phase took, as far as it is over.
    #[must_use]
    pub const fn timings(&self) -> Timings {
        self.clock.timings()
    }

    /// Says how long this request waited for a place on a connection, and for that to be established.
    pub const fn handle_connection(&mut self, queue: Duration, connect: Duration) {
        self.clock.on_connection(queue, connect);
    }

    /// Bytes written for this exchange, protocol included.
    #[must_use]
    pub const fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Bytes read for this exchange, protocol included.
    #[must_use]
    pub const fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Whether another request may follow on this connection: this one has ended, was sent in full, and nothing is left
    /// over on either side.
    #[must_use]
    pub fn is_reusable(&self, conn: &Connection) -> bool {
        self.end.is_some_and(|end| end.is_body_sent) && conn.is_idle()
    }

    /// For the log.
    #[cfg(feature = "std")]
    pub(crate) fn note_failure(&self, error: &str) {
        self.span.failed(error, self.phase(), self.bytes_sent, self.bytes_received);
    }

    fn on_stdout<'b>(&mut self, mut data: &'b [u8]) -> Result<Option<Output<'b>>, ExchangeError> {
        match self.poll_response(&mut data)? {
            None => Ok(None),
            Some(Piece::Body(data)) => Ok(Some(Output::Body(data))),
            Some(Piece::Head) => {
                self.has_head = true;
                self.clock.on_head();
                let head = self.response.take_head().unwrap_or_default();
                self.span.head(head.status());
                let body = match self.poll_response(&mut data)? {
                    Some(Piece::Body(body)) => body,
                    _ => &[],
                };
                Ok(Some(Output::Head { head, body }))
            }
        }
    }

    fn poll_response<'b>(
        &mut self,
        data: &mut &'b [u8],
    ) -> Result<Option<Piece<'b>>, ExchangeError> {
        let polled = self.response.poll(data);
        let piece = polled.map_err(|error| ExchangeError::Response(error.into()))?;
        match self.response.too_long() {
            Some(error @ BodyError::TooLong { announced, received })
                if received - announced > self.max_excess =>
            {
                Err(ExchangeError::Response(error.into()))
            }
            _ => Ok(piece),
        }
    }

    fn on_end(
        &mut self,
        protocol_status: ProtocolStatus,
        app_status: u32,
    ) -> Result<End, ExchangeError> {
        self.deadlines.on_progress(Duration::ZERO, Waiting::Nothing);
        if protocol_status != ProtocolStatus::RequestComplete {
            return Err(ExchangeError::Refused(protocol_status));
        }
        let body_excess = match self.response.finish() {
            Ok(()) => 0,
            Err(ResponseError::Body(BodyError::TooLong { announced, received })) => {
                received - announced
            }
            Err(error) => return Err(ExchangeError::Response(error)),
        };
        let is_body_sent = self.sending == Sending::Finished;
        let end = End { app_status, is_body_sent, body_excess };
        self.end = Some(end);
        self.clock.on_end();
        self.span.ended(end, self.bytes_sent, self.bytes_received);
        Ok(end)
    }
}

#[derive(Debug)]
struct Stderr {
    kept: Vec<u8>,
    limit: usize,
    dropped: u64,
}

impl Stderr {
    fn push(&mut self, data: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len());
        let (kept, dropped) = data.split_at_checked(room).unwrap_or((data, &[]));
        self.kept.extend_from_slice(kept);
        self.dropped += dropped.len() as u64;
    }
}
