//! The one error type of all clients.

mod as_io;
mod display;
mod exchange;
mod kind;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error as StdError;
use core::time::Duration;
use std::io;

pub use kind::ErrorKind;

use crate::address::{Address, AddressError};
use crate::cgi::{BodyError, FullResponse, HeadError, ResponseError};
use crate::error::{BeginError, ProtocolError};
use crate::request::RequestError;
use crate::telemetry;
use crate::timeouts::{Phase, Wait};

type Source = Box<dyn StdError + Send + Sync>;

/// A call to an application failed.
///
/// One line for a person says what happened, where in the exchange, with whom, how far it got and what usually helps;
/// [`kind`](Self::kind) and [`code`](Self::code) are for programs. The message holds that of the cause, which
/// [`source`](StdError::source) gives as a value.
///
/// Clients put it together with [`new`](Self::new) and the setters behind it.
///
/// ```
/// use std::io;
/// use fcgi_proto::{Address, Error};
///
/// let error = Error::connect(&Address::tcp("127.0.0.1", 9000), io::ErrorKind::ConnectionRefused.into());
/// assert_eq!(error.code(), "connect");
/// assert!(error.is_safe_to_retry());
/// assert_eq!(
///     error.to_string(),
///     "cannot connect to 127.0.0.1:9000: connection refused; is php-fpm running and listening there?",
/// );
/// ```
#[derive(Debug)]
pub struct Error {
    /// Boxed, so that a `Result` with it stays small.
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    phase: Option<Phase>,
    address: Option<Address>,
    script: Option<String>,
    limit: Option<Duration>,
    bytes_sent: u64,
    bytes_received: u64,
    is_begun: bool,
    stderr: Vec<u8>,
    response: Option<FullResponse>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind, about which nothing else is known yet.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        let inner = Inner {
            kind,
            phase: None,
            address: None,
            script: None,
            limit: None,
            bytes_sent: 0,
            bytes_received: 0,
            is_begun: false,
            stderr: Vec::new(),
            response: None,
            source: None,
        };
        Self { inner: Box::new(inner) }
    }

    /// No connection could be made.
    #[must_use]
    pub fn connect(address: &Address, error: io::Error) -> Self {
        telemetry::connect_failed(address, &error);
        Self::new(ErrorKind::Connect).at(Phase::Connect).to(address).caused_by(error)
    }

    /// A time limit has passed. For [`Phase::Connect`] and [`Phase::Queue`] nothing was sent.
    #[must_use]
    pub fn timeout(phase: Phase, limit: Duration) -> Self {
        if matches!(phase, Phase::Connect | Phase::Queue) {
            telemetry::timed_out(phase, limit);
        }
        let mut error = Self::new(ErrorKind::Timeout).at(phase);
        error.inner.limit = Some(limit);
        error
    }

    /// A wait has ended without what it was for; see [`Timeouts::wait`](crate::Timeouts::wait).
    #[must_use]
    pub fn expired(wait: Wait) -> Self {
        Self::timeout(wait.phase, wait.limit)
    }

    /// Reading or writing an established connection failed, or it was closed ([`io::ErrorKind::UnexpectedEof`]).
    #[must_use]
    pub fn io(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => ErrorKind::Reset,
            _ => ErrorKind::Io,
        };
        Self::new(kind).caused_by(error)
    }

    /// The source of the request's body failed.
    #[must_use]
    pub fn request_body(error: impl Into<Source>) -> Self {
        Self::new(ErrorKind::RequestBody).caused_by(error)
    }

    /// The temporary file for a body of unknown length failed.
    #[must_use]
    pub fn spool(error: io::Error) -> Self {
        Self::new(ErrorKind::Spool).at(Phase::Spool).caused_by(error)
    }

    /// Where it happened.
    #[must_use]
    pub fn at(mut self, phase: Phase) -> Self {
        self.inner.phase = Some(phase);
        self
    }

    /// With whom.
    #[must_use]
    pub fn to(mut self, address: &Address) -> Self {
        self.inner.address = Some(address.clone());
        self
    }

    /// For which script: `SCRIPT_FILENAME`.
    #[must_use]
    pub fn with_script(mut self, script: impl AsRef<[u8]>) -> Self {
        self.inner.script = Some(String::from_utf8_lossy(script.as_ref()).into_owned());
        self
    }

    /// How many bytes went to and came from the application for this request.
    #[must_use]
    pub fn with_bytes(mut self, sent: u64, received: u64) -> Self {
        self.inner.bytes_sent = sent;
        self.inner.bytes_received = received;
        self
    }

    /// Whether a part of the request may have reached the application.
    #[must_use]
    pub fn begun(mut self, is_begun: bool) -> Self {
        self.inner.is_begun = is_begun;
        self
    }

    /// What the application wrote to its standard error before it failed.
    #[must_use]
    pub fn with_stderr(mut self, stderr: impl Into<Vec<u8>>) -> Self {
        self.inner.stderr = stderr.into();
        self
    }

    /// What came of the response, for those who want to look.
    #[must_use]
    pub fn with_response(mut self, response: FullResponse) -> Self {
        self.inner.response = Some(response);
        self
    }

    /// What is behind it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// A short name of the kind that stays the same between versions, see [`ErrorKind::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.inner.kind.code()
    }

    /// Where in the exchange it happened. Of a timeout: which limit has passed.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.inner.phase
    }

    /// The application's address.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        self.inner.address.as_ref()
    }

    /// `SCRIPT_FILENAME` of the request.
    #[must_use]
    pub fn script(&self) -> Option<&str> {
        self.inner.script.as_deref()
    }

    /// The limit that has passed, of a timeout.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.inner.limit
    }

    /// Bytes written for this request.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.inner.bytes_sent
    }

    /// Bytes read for this request.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.inner.bytes_received
    }

    /// Whether a part of the request may have reached the application, which then may have acted on it.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.inner.is_begun
    }

    /// What usually helps; it is also the end of the message.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.inner.hint()
    }

    /// Whether a time limit has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Timeout)
    }

    /// Whether the same request may be sent again, even if it is not idempotent, and that could help.
    ///
    /// So it is when no part of it was sent, and when the application refused it unread (`OVERLOADED`,
    /// `CANT_MPX_CONN`). A body that was streamed is spent all the same.
    #[must_use]
    pub fn is_safe_to_retry(&self) -> bool {
        match self.inner.kind {
            ErrorKind::PoolFull { .. } | ErrorKind::Overloaded | ErrorKind::CantMultiplex => true,
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Reset | ErrorKind::Io => {
                !self.inner.is_begun
            }
            _ => false,
        }
    }

    /// What the application wrote to its standard error before the call failed, and nobody has taken: often the reason.
    /// Empty when it is the response that is the error; see [`FullResponse::stderr`].
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        &self.inner.stderr
    }

    /// The response, when it is the response that is the error ([`ErrorKind::Status`], [`ErrorKind::ScriptNotFound`]).
    #[must_use]
    pub fn response(&self) -> Option<&FullResponse> {
        self.inner.response.as_ref()
    }

    /// Moves the response out.
    #[must_use]
    pub fn into_response(self) -> Option<FullResponse> {
        self.inner.response
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.inner.source {
            Some(source) => Some(&**source),
            None => self.inner.kind.as_error(),
        }
    }
}

impl FullResponse {
    /// The response, unless its status is 400 or above or PHP-FPM ran no script: what a one-line call returns.
    ///
    /// # Errors
    /// [`ErrorKind::ScriptNotFound`] or [`ErrorKind::Status`], with the response inside.
    pub fn error_for_status(self) -> Result<Self, Error> {
        let kind = match (self.script_error(), self.status()) {
            (Some(error), _) => ErrorKind::ScriptNotFound(error),
            (None, status @ 400..) => ErrorKind::Status(status),
            (None, _) => return Ok(self),
        };
        Err(Error::new(kind).at(Phase::Body).begun(true).with_response(self))
    }
}

impl From<ProtocolError> for Error {
    /// A connection closed early is a reset, not a breach of the protocol.
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::NotFastCgi(first) => Self::new(ErrorKind::NotFastCgi(first)),
            ProtocolError::UnexpectedEof { .. } => Self::new(ErrorKind::Reset).caused_by(error),
            error => Self::new(ErrorKind::Protocol(error)),
        }
        .begun(true)
    }
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Self {
        Self::new(ErrorKind::Head(error)).at(Phase::Head).begun(true)
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Self::new(ErrorKind::Body(error)).at(Phase::Body).begun(true)
    }
}

impl From<ResponseError> for Error {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Head(error) => error.into(),
            ResponseError::Body(error) => error.into(),
        }
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::new(ErrorKind::Request(error))
    }
}

impl From<BeginError> for Error {
    fn from(error: BeginError) -> Self {
        RequestError::from(error).into()
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::new(ErrorKind::Address(error.kind())).caused_by(error)
    }
}

/// So that `impl TryInto<Address, Error: Into<Error>>` takes an [`Address`] itself.
impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}
