//! The body of a request, received for the application under limits: of length, of silence, and of slowness.

mod pace;

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyDataStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::pace::Pace;
pub(crate) use self::pace::TooSlow;
use crate::BoxError;
use crate::memory::{Memory, Reserved};
use crate::pages::Page;
use crate::spool::{SpoolError, Spooled, spool};

/// How bodies are received.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    /// Bytes of one in memory, of those that are spooled.
    pub(crate) in_memory: usize,
    /// Bytes of one whose length is not announced.
    pub(crate) spool_limit: u64,
    /// Bytes of one whose length is.
    pub(crate) limit: Option<u64>,
    /// Of silence.
    pub(crate) timeout: Option<Duration>,
    /// Bytes per second.
    pub(crate) min_rate: u32,
    /// Whether long ones of known length are passed on as they come.
    pub(crate) stream: bool,
    spools: Arc<Semaphore>,
    memory: Memory,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            in_memory: 256 * 1024,
            spool_limit: 128 * 1024 * 1024,
            limit: None,
            timeout: Some(Duration::from_secs(30)),
            min_rate: 500,
            stream: true,
            spools: Arc::new(Semaphore::new(256)),
            memory: Memory::new(2 * 1024 * 1024),
        }
    }
}

impl Inbound {
    pub(crate) fn set_max_spools(&mut self, bodies: usize) {
        self.spools = Arc::new(Semaphore::new(bodies.min(Semaphore::MAX_PERMITS)));
    }

    /// Bytes of all bodies together.
    pub(crate) fn set_memory(&mut self, bytes: usize) {
        self.memory = Memory::new(bytes);
    }
}

/// The body as the application gets it.
///
/// A short one is collected first: then a slow client does not keep a worker of the application waiting, and a client
/// that leaves early has already said everything. A longer one of known length is streamed, and so is a short one when the
/// memory for them is full. One of unknown length is spooled until its length is known.
pub(crate) async fn receive<B>(body: B, inbound: &Inbound) -> Result<fcgi_tokio::Body, Page>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(fcgi_tokio::Body::empty());
    }
    let length = body.size_hint().exact();
    if let (Some(length), Some(limit)) = (length, inbound.limit) {
        if length > limit {
            return Err(Page::TOO_LARGE);
        }
    }
    let pace = Pace::new(inbound.timeout, inbound.min_rate, Instant::now());
    let body = Paced { body: Box::pin(body), pace };
    let short = length.and_then(|length| usize::try_from(length).ok());
    let short = short.filter(|&length| length <= SHORT);
    let reserved = short.and_then(|length| inbound.memory.reserve(length));
    let memory = &inbound.memory;
    let spooled = match (length, reserved) {
        (Some(length), Some(reserved)) => spool(body, usize::MAX, length, memory, reserved).await,
        (Some(length), None) if inbound.stream => {
            return Ok(fcgi_tokio::Body::stream(BodyDataStream::new(body), Some(length)));
        }
        _ => {
            let limit = length.and(inbound.limit).unwrap_or(inbound.spool_limit);
            let Ok(_permit) = inbound.spools.try_acquire() else {
                tracing::warn!("too many request bodies are being spooled; one more was refused");
                return Err(Page::TOO_MANY_BODIES);
            };
            spool(body, inbound.in_memory, limit, memory, Reserved::EMPTY).await
        }
    };
    match spooled {
        Ok(Spooled::Memory(data)) => Ok(data.into()),
        Ok(Spooled::File(file, length)) => Ok(fcgi_tokio::Body::reader(file, Some(length))),
        Err(SpoolError::TooLarge) => Err(Page::TOO_LARGE),
        Err(SpoolError::Body(error)) => {
            tracing::debug!(%error, "the request body broke off");
            Err(page_for(&*error))
        }
        Err(SpoolError::File(error)) => {
            tracing::error!(%error, "cannot keep a request body in a temporary file");
            Err(Page::INTERNAL)
        }
    }
}

/// The length of bodies that are collected before the application is asked; most forms are shorter.
const SHORT: usize = 64 * 1024;

/// What a client is told whose body failed.
pub(crate) fn page_for(error: &(dyn core::error::Error + 'static)) -> Page {
    if is_too_slow(error) { Page::STALLED } else { Page::BAD_BODY }
}

fn is_too_slow(error: &(dyn core::error::Error + 'static)) -> bool {
    error.is::<TooSlow>() || error.source().is_some_and(is_too_slow)
}

/// A body that fails when its client is too slow.
struct Paced<B> {
    body: Pin<Box<B>>,
    pace: Pace,
}

impl<B> http_body::Body for Paced<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match this.body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    this.pace.handle_data(frame.data_ref().map_or(0, Bytes::len), Instant::now());
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => this.pace.poll_too_slow(cx).map(|too_slow| Some(Err(too_slow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;
    use http_body_util::Full;

    /// A body that never comes.
    struct Announced(u64);

    impl http_body::Body for Announced {
        type Data = Bytes;
        type Error = core::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    /// Whether the application is asked before the body has come.
    async fn is_passed_on(inbound: &Inbound, length: usize) -> bool {
        let mut body = core::pin::pin!(receive(Announced(length as u64), inbound));
        poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test]
    async fn short_ones_are_collected_while_there_is_memory() {
        let mut inbound = Inbound::default();
        assert!(!is_passed_on(&inbound, SHORT).await && is_passed_on(&inbound, SHORT + 1).await);
        inbound.set_memory(100 * 1024);
        let data = Bytes::from(vec![7; 64 * 1024]);
        let first = receive(Full::new(data), &inbound).await.ok().unwrap();
        // There is room for a shorter one, not for another of this length.
        assert!(!is_passed_on(&inbound, 30_000).await && is_passed_on(&inbound, SHORT).await);
        inbound.stream = false;
        assert!(!is_passed_on(&inbound, SHORT).await, "a file has room");
        inbound.stream = true;
        drop(first);
        assert!(!is_passed_on(&inbound, SHORT).await);
    }

    /// The default, and that what is held is given back.
    #[tokio::test]
    async fn memory_is_bounded() {
        let inbound = Inbound::default();
        let body = || Full::new(Bytes::from(vec![7; 64 * 1024]));
        let mut held = Vec::new();
        for _ in 0..32 {
            assert!(!is_passed_on(&inbound, 1).await);
            held.push(receive(body(), &inbound).await.ok().unwrap());
        }
        assert!(is_passed_on(&inbound, 1).await, "2 MiB are in use");
        held.clear();
        assert!(!is_passed_on(&inbound, SHORT).await);
    }
}
