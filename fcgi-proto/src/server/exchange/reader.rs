use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};

use super::{Exchange, InputError, InputStream};

/// A handler's end of an input stream: what an adapter's `Stdin` is made of. Dropping it lets what still comes be thrown
/// away.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// use fcgi_proto::server::{InputStream, Reader};
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// assert!(session.poll_request()?.is_none()); // reads on, and hands the body out
/// let mut stdin = Reader::new(request.exchange, InputStream::Stdin);
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(matches!(stdin.poll_chunk(&mut cx), Poll::Ready(Ok(Some(chunk))) if chunk == "hi"));
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
pub struct Reader {
    exchange: Arc<Exchange>,
    stream: InputStream,
    /// What is left of a chunk of which a part was read.
    rest: Bytes,
}

impl Reader {
    /// To be made once for each stream.
    #[must_use]
    pub const fn new(exchange: Arc<Exchange>, stream: InputStream) -> Self {
        Self { exchange, stream, rest: Bytes::new() }
    }

    /// The next piece of the stream, of any size but never empty; `None` at its end. Cancel safe.
    ///
    /// # Errors
    /// [`Aborted`](InputError::Aborted): the web server gave up or was cut off amid the stream.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, InputError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`chunk`](Self::chunk) for a hand-written future.
    ///
    /// # Errors
    /// As there.
    pub fn poll_chunk(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, InputError>> {
        if self.rest.is_empty() {
            return self.exchange.poll_chunk(self.stream, cx);
        }
        Poll::Ready(Ok(Some(core::mem::take(&mut self.rest))))
    }

    /// The rest of the stream, if it is no more than `limit` bytes. Not cancel safe.
    ///
    /// # Errors
    /// [`TooLarge`](InputError::TooLarge) as soon as the limit is passed, with what follows left unread;
    /// [`Aborted`](InputError::Aborted) as [`chunk`](Self::chunk).
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, InputError> {
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let mut whole = Whole::One(first);
        loop {
            if whole.len() > limit {
                return Err(InputError::TooLarge { limit });
            }
            match self.chunk().await? {
                Some(next) => whole = whole.with(&next),
                None => return Ok(whole.into_bytes()),
            }
        }
    }

    /// The front of the stream, empty at its end; say with [`consume`](Self::consume) how much of it was used.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn poll_fill(&mut self, cx: &Context<'_>) -> Poll<Result<&[u8], InputError>> {
        if self.rest.is_empty() {
            match self.exchange.poll_chunk(self.stream, cx)? {
                Poll::Ready(chunk) => self.rest = chunk.unwrap_or_default(),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(&self.rest))
    }

    /// Drops so many bytes of what [`poll_fill`](Self::poll_fill) has given.
    pub fn consume(&mut self, count: usize) {
        self.rest.advance(count.min(self.rest.len()));
    }
}

/// A small body comes in one piece, which needs no copy.
enum Whole {
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn with(self, next: &Bytes) -> Self {
        let mut bytes = match self {
            Self::One(first) => BytesMut::from(&first[..]),
            Self::Many(bytes) => bytes,
        };
        bytes.extend_from_slice(next);
        Self::Many(bytes)
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.exchange.refuse_input(self.stream);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("stream", &self.stream).finish_non_exhaustive()
    }
}
