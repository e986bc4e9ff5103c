use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::Error;
use fcgi_proto::cgi::ResponseHead;
use fcgi_proto::client::{End, Timings};

use super::shared::Shared;
use super::single::Single;

/// One request, whoever else uses its connection.
#[derive(Debug)]
pub(super) enum Driver {
    Single(Box<Single>),
    Shared(Shared),
}

/// What a response has brought. Data is in [`Driver::piece`].
#[derive(Debug)]
pub(super) enum News {
    Head(ResponseHead),
    Body,
    Stderr,
    End,
}

impl Driver {
    /// Waits for the next news of the response. After an error or [`News::End`] every further call gives [`News::End`].
    pub(super) fn next(&mut self) -> Result<News, Error> {
        match self {
            Self::Single(single) => single.next(),
            Self::Shared(shared) => shared.next(),
        }
    }

    /// What is left of the piece of the body that was told last.
    pub(super) fn piece(&self) -> &[u8] {
        match self {
            Self::Single(single) => single.piece(),
            Self::Shared(shared) => shared.piece(),
        }
    }

    pub(super) fn consume(&mut self, count: usize) {
        match self {
            Self::Single(single) => single.consume(count),
            Self::Shared(shared) => shared.consume(count),
        }
    }

    /// Takes what is left of that piece.
    pub(super) fn take_piece(&mut self) -> Bytes {
        match self {
            Self::Single(single) => single.take_piece(),
            Self::Shared(shared) => shared.take_piece(),
        }
    }

    /// Nothing more is wanted of it.
    pub(super) fn end(&mut self) {
        match self {
            Self::Single(single) => single.end(),
            Self::Shared(shared) => shared.end(),
        }
    }

    /// Whether the request that failed so may be sent again.
    pub(super) fn may_retry(&self, error: &Error, is_replayable: bool, number: u32) -> bool {
        match self {
            Self::Single(single) => single.may_retry(error, is_replayable, number),
            Self::Shared(shared) => shared.may_retry(error, is_replayable, number),
        }
    }

    /// The error of a body that is longer than its reader wants.
    pub(super) fn too_large(&self, limit: usize) -> Error {
        match self {
            Self::Single(single) => single.exchange().too_large(limit),
            Self::Shared(shared) => shared.call().too_large(limit),
        }
    }

    /// How long it took until the request could begin.
    pub(super) fn handle_connection(&mut self, queue: Duration, connect: Duration) {
        match self {
            Self::Single(single) => single.exchange_mut().handle_connection(queue, connect),
            Self::Shared(shared) => shared.call_mut().handle_connection(queue, connect),
        }
    }

    pub(super) fn timings(&self) -> Timings {
        match self {
            Self::Single(single) => single.exchange().timings(),
            Self::Shared(shared) => shared.call().timings(),
        }
    }

    pub(super) fn stderr(&self) -> &[u8] {
        match self {
            Self::Single(single) => single.exchange().stderr(),
            Self::Shared(shared) => shared.stderr(),
        }
    }

    pub(super) fn take_stderr(&mut self) -> Vec<u8> {
        match self {
            Self::Single(single) => single.exchange_mut().take_stderr(),
            Self::Shared(shared) => shared.take_stderr(),
        }
    }

    pub(super) fn stderr_dropped(&self) -> u64 {
        match self {
            Self::Single(single) => single.exchange().stderr_dropped(),
            Self::Shared(shared) => shared.call().stderr_dropped(),
        }
    }

    pub(super) fn how_ended(&self) -> Option<End> {
        match self {
            Self::Single(single) => single.exchange().end(),
            Self::Shared(shared) => shared.call().end(),
        }
    }
}
