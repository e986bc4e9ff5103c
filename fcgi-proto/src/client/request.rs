use core::fmt;

use bytes::Bytes;

use super::account::Account;
use super::phase::{Open, Phase};
use crate::error::SendError;
use crate::outbox::Outbox;
use crate::wire::RecordType;

/// Sends for one open request; from [`Connection::request`](super::Connection::request).
///
/// ```
/// use fcgi_proto::Role;
/// use fcgi_proto::client::{Config, Connection};
///
/// let mut conn = Connection::new(Config::default());
/// let key = conn.begin(Role::Responder, [("SCRIPT_NAME", "/a"), ("CONTENT_LENGTH", "5")])?;
/// let mut request = conn.request(key).expect("it is open");
/// request.stdin("hello")?;
/// request.finish()?;
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct Request<'c> {
    pub(super) request_id: u16,
    pub(super) open: &'c mut Open,
    pub(super) outbox: &'c mut Outbox,
    pub(super) account: &'c mut Account,
}

impl Request<'_> {
    /// Queues more of the body (section 5.3), by handle: payloads of 1 KiB and more are not copied. Empty data is
    /// nothing, since only [`finish`](Self::finish) ends the stream.
    ///
    /// CONTENT_LENGTH among the parameters must be the true length of all of it: php reads exactly so many bytes.
    ///
    /// # Errors
    /// [`Blocked`](SendError::Blocked): the output is at its cap, and none of the data was taken.
    /// [`Finished`](SendError::Finished): the stream was ended before.
    pub fn stdin(&mut self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.stream(RecordType::Stdin, data.into())
    }

    /// [`stdin`](Self::stdin) with a copy of borrowed data.
    ///
    /// # Errors
    /// As [`stdin`](Self::stdin).
    pub fn stdin_slice(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.check(RecordType::Stdin)?;
        self.outbox.stream_slice(RecordType::Stdin, self.request_id, data, |_| 0);
        Ok(())
    }

    /// Ends the body, exactly once. A request without a body needs it as well: all but php wait for it.
    ///
    /// A body that fell short of its CONTENT_LENGTH must not be ended so; [`abort`](Self::abort) and close the
    /// connection instead, as php would wait for the rest for ever.
    ///
    /// # Errors
    /// [`Finished`](SendError::Finished) the second time. This never blocks.
    pub fn finish(&mut self) -> Result<(), SendError> {
        self.end_stream(RecordType::Stdin)
    }

    /// Queues more of the file that a Filter is given (FCGI_DATA, section 6.4), after the end of stdin.
    ///
    /// # Errors
    /// As [`stdin`](Self::stdin); also [`Finished`](SendError::Finished) before the end of stdin and in other roles.
    pub fn data(&mut self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.stream(RecordType::Data, data.into())
    }

    /// Ends the file that a Filter is given, exactly once.
    ///
    /// # Errors
    /// As [`data`](Self::data), without blocking.
    pub fn finish_data(&mut self) -> Result<(), SendError> {
        self.end_stream(RecordType::Data)
    }

    /// Asks the application to give the request up (section 5.4). What still arrives for it is swallowed, and its id
    /// stays taken until [`Event::End`](super::Event::End) tells that the application agreed.
    ///
    /// php and libfcgi do not listen while they run: on a connection with a single request, closing it is what works.
    pub fn abort(self) {
        self.open.phase = Phase::Aborted;
        self.account.release_all(&mut self.open.share);
        self.outbox.empty_record(RecordType::AbortRequest, self.request_id);
    }

    fn stream(&mut self, stream: RecordType, data: Bytes) -> Result<(), SendError> {
        self.check(stream)?;
        self.outbox.stream(stream, self.request_id, data);
        Ok(())
    }

    fn check(&self, stream: RecordType) -> Result<(), SendError> {
        self.open.phase.check_open(stream)?;
        if self.outbox.is_full() {
            return Err(SendError::Blocked);
        }
        Ok(())
    }

    fn end_stream(&mut self, stream: RecordType) -> Result<(), SendError> {
        self.open.phase = self.open.phase.finish(stream)?;
        self.outbox.empty_record(stream, self.request_id);
        Ok(())
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("request_id", &self.request_id)
            .field("phase", &self.open.phase)
            .finish()
    }
}
