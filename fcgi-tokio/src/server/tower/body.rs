use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use fcgi_proto::server::InputError;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};

use super::super::Stdin;

/// The body of a request to a [`Tower`](super::Tower) service, as it comes from the web server.
///
/// When the web server says how long it is, exactly so much is given: a body that ends before is an error, and what comes
/// behind is dropped (RFC 3875 section 4.2). Not reading it holds the web server back; dropping it lets the rest be thrown
/// away.
#[derive(Debug)]
pub struct RequestBody {
    stdin: Stdin,
    received: u64,
    /// CONTENT_LENGTH, if there is one.
    length: Option<u64>,
    is_over: bool,
}

impl RequestBody {
    pub(super) const fn new(stdin: Stdin, length: Option<u64>) -> Self {
        Self { stdin, received: 0, length, is_over: false }
    }

    fn left(&self) -> Option<u64> {
        Some(self.length?.saturating_sub(self.received))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = InputError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InputError>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let chunk = ready!(Pin::new(&mut self.stdin).poll_next(cx));
        match chunk {
            Some(Ok(mut data)) => {
                let left = self.left().and_then(|left| usize::try_from(left).ok());
                data.truncate(left.unwrap_or(usize::MAX));
                self.received += data.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => {
                self.is_over = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.is_over = true;
                let short = |expected| InputError::Short { received: self.received, expected };
                Poll::Ready(self.length.map(|expected| Err(short(expected))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
