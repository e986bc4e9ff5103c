use bytes::Bytes;

use super::super::{End, Output};
use crate::cgi::ResponseHead;

/// What a response has brought: an [`Output`] whose data is shared with what was read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received {
    /// The response's head, once.
    Head {
        /// Status, reason and headers.
        head: ResponseHead,
        /// The first bytes of the body where they came with it, else empty.
        body: Bytes,
    },
    /// More of the body, at least one byte.
    Body(Bytes),
    /// Error output has come.
    Stderr,
    /// The response is complete.
    End(End),
}

impl Received {
    /// Shares the data with the buffer that it was lent from. Pieces below 4 KiB are copied when `copies_small`, as each
    /// that waits would keep the whole buffer in memory.
    #[must_use]
    pub fn new(output: Output<'_>, input: &Bytes, copies_small: bool) -> Self {
        let own = |data: &[u8]| {
            if copies_small && data.len() < COPIED_BELOW {
                Bytes::copy_from_slice(data)
            } else {
                input.slice_ref(data)
            }
        };
        match output {
            Output::Head { head, body } => Self::Head { head, body: own(body) },
            Output::Body(data) => Self::Body(own(data)),
            Output::Stderr => Self::Stderr,
            Output::End(end) => Self::End(end),
        }
    }

    /// How much of the body this is.
    pub(super) fn body_len(&self) -> usize {
        match self {
            Self::Head { body, .. } | Self::Body(body) => body.len(),
            Self::Stderr | Self::End(_) => 0,
        }
    }
}

const COPIED_BELOW: usize = 4096;
