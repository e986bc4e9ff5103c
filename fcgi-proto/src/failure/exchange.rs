//! What a failed exchange tells its caller.

use alloc::boxed::Box;
use core::time::Duration;
use std::io;

use super::{Error, ErrorKind};
use crate::cgi::ResponseError;
use crate::client::{Exchange, ExchangeError};
use crate::timeouts::{Phase, Timeouts};

impl Exchange {
    /// The caller's error for what the connection or this exchange reported.
    #[must_use]
    pub fn failed(&self, error: impl Into<ExchangeError>) -> Error {
        self.tell(match error.into() {
            ExchangeError::Protocol(error) => error.into(),
            ExchangeError::Refused(status) => Error::new(
                ErrorKind::from_protocol_status(status).unwrap_or(ErrorKind::UnknownStatus(0)),
            ),
            ExchangeError::Response(ResponseError::Head(error)) => error.into(),
            ExchangeError::Response(ResponseError::Body(error)) => error.into(),
            ExchangeError::BodyLength(error) => Error::request_body(error),
        })
    }

    /// The caller's error for what the socket reported.
    #[must_use]
    pub fn failed_io(&self, error: io::Error) -> Error {
        self.tell(Error::io(error))
    }

    /// The caller's error for what the source of the request's body reported.
    #[must_use]
    pub fn failed_body(
        &self,
        error: impl Into<Box<dyn core::error::Error + Send + Sync>>,
    ) -> Error {
        self.tell(Error::request_body(error))
    }

    /// The caller's error for a limit that has passed; see [`check_time`](Self::check_time).
    #[must_use]
    pub fn timed_out(&self, phase: Phase, timeouts: &Timeouts) -> Error {
        let limit = timeouts.limit(phase).unwrap_or(Duration::ZERO);
        self.tell(Error::timeout(phase, limit)).at(phase)
    }

    /// The caller's error for a response that is larger than the caller's limit in bytes.
    #[must_use]
    pub fn too_large(&self, limit: usize) -> Error {
        self.tell(Error::new(ErrorKind::TooLarge { limit }))
    }

    /// Adds how far this exchange has come.
    fn tell(&self, error: Error) -> Error {
        self.note_failure(error.code());
        error
            .at(self.phase())
            .with_bytes(self.bytes_sent(), self.bytes_received())
            .begun(self.bytes_sent() > 0)
            .with_stderr(self.stderr())
    }
}
