use bytes::Bytes;

use super::super::{End, Output};
use crate::cgi::ResponseHead;

/// What a response has brought: an [`Output`] whose data is shared with what was read.
///
/// ```
/// use bytes::Bytes;
/// use fcgi_proto::client::{Output, Received};
///
/// let input = Bytes::from_static(b"what was read");
/// let Received::Body(data) = Received::new(Output::Body(&input[9..]), &input) else { panic!() };
/// assert_eq!(data, "read");
/// assert_eq!(data.as_ptr(), input[9..].as_ptr()); // shared, not copied
/// ```
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
    /// Shares the data with the buffer that it was lent from, for a caller who uses it at once.
    #[must_use]
    pub fn new(output: Output<'_>, input: &Bytes) -> Self {
        Self::of(output, input, 0)
    }

    /// The same for one who may be slow: pieces that are small beside the buffer are copied, since each would keep all of
    /// it in memory.
    pub(super) fn to_keep(output: Output<'_>, input: &Bytes) -> Self {
        Self::of(output, input, COPIED_BELOW.max(input.len() / 4))
    }

    fn of(output: Output<'_>, input: &Bytes, copied_below: usize) -> Self {
        let own = |data: &[u8]| {
            if data.len() < copied_below {
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
