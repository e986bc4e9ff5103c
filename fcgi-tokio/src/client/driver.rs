use std::task::{Context, Poll};
use std::time::Duration;

use fcgi_proto::Error;
use fcgi_proto::client::{End, Received, Timings};

use super::shared::Shared;
use super::single::Single;

/// One request, whoever else uses its connection.
#[derive(Debug)]
pub(super) enum Driver {
    Single(Box<Single>),
    Shared(Shared),
}

impl Driver {
    /// The next news of the response; none after an error or the end.
    pub(super) fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        match self {
            Self::Single(single) => single.poll_received(cx),
            Self::Shared(shared) => shared.poll_received(cx),
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
            Self::Single(single) => single.handle_connection(queue, connect),
            Self::Shared(shared) => shared.handle_connection(queue, connect),
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
