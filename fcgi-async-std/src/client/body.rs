use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fcgi_proto::BodyLen;
use futures_core::Stream;
use futures_io::AsyncRead;

use crate::io::ReadBuf;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// The body of a request: nothing, bytes, or a stream.
///
/// A stream is read only as fast as the application takes it, 64 KiB ahead at most, and is dropped when the application
/// has answered without it. A stream of unknown length is sent without CONTENT_LENGTH: php reads no body then.
///
/// ```
/// use fcgi_async_std::{Body, Request};
///
/// let request = Request::post("/srv/upload.php").body("0"); // a body like any other
/// # async fn f() -> std::io::Result<()> {
/// let file = smol::fs::File::open("video.mp4").await?;
/// let len = file.metadata().await?.len();
/// let request = Request::post("/srv/upload.php").body(Body::reader(file, Some(len)));
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    Stream {
        stream: BoxStream,
        len: Option<u64>,
    },
}

impl Body {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// What a stream gives. `len` is its true length in bytes, where that is known.
    #[must_use]
    pub fn stream<S, E>(stream: S, len: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self(Kind::Stream { stream: Box::pin(MapErr(Box::pin(stream))), len })
    }

    /// The body of an HTTP message; its length is known where its size hint is exact. Trailers are dropped, as CGI has
    /// none.
    #[cfg(feature = "http-body")]
    #[must_use]
    pub fn http<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let len = body.size_hint().exact();
        if len == Some(0) {
            return Self::empty();
        }
        Self(Kind::Stream { stream: Box::pin(HttpStream(Box::pin(body))), len })
    }

    /// What a reader gives until its end. `len` is its true length in bytes, where that is known.
    #[must_use]
    pub fn reader(reader: impl AsyncRead + Send + 'static, len: Option<u64>) -> Self {
        let stream = ReaderStream { reader: Box::pin(reader), buf: ReadBuf::default() };
        Self(Kind::Stream { stream: Box::pin(stream), len })
    }

    /// The same body once more, unless it is a stream, which can be read only once.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(Self::empty()),
            Kind::Bytes(bytes) => Some(Self(Kind::Bytes(bytes.clone()))),
            Kind::Stream { .. } => None,
        }
    }

    /// The next piece of the body.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(bytes)))
            }
            Kind::Stream { stream, .. } => {
                let chunk = ready!(stream.as_mut().poll_next(cx));
                if !matches!(chunk, Some(Ok(_))) {
                    self.0 = Kind::Empty;
                }
                Poll::Ready(chunk)
            }
        }
    }
}

impl BodyLen for Body {
    fn content_length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::Stream { len, .. } => *len,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Bytes(bytes) })
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {$(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Bytes::from(bytes).into()
            }
        }
    )*};
}

from_bytes!(Vec<u8>, String, &'static str, &'static [u8]);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content_length() {
            Some(len) => write!(f, "Body({len} bytes)"),
            None => f.write_str("Body(of unknown length)"),
        }
    }
}

struct MapErr<S>(Pin<Box<S>>);

impl<S, E> Stream for MapErr<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map_err(Into::into)
    }
}

#[cfg(feature = "http-body")]
struct HttpStream<B>(Pin<Box<B>>);

#[cfg(feature = "http-body")]
impl<B> Stream for HttpStream<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(frame) = ready!(self.0.as_mut().poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(mut data)) => {
                    let len = bytes::Buf::remaining(&data);
                    return Poll::Ready(Some(Ok(bytes::Buf::copy_to_bytes(&mut data, len))));
                }
                Ok(Err(_trailers)) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}

struct ReaderStream<R> {
    reader: Pin<Box<R>>,
    buf: ReadBuf,
}

impl<R: AsyncRead> Stream for ReaderStream<R> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let data = ready!(this.buf.poll_read(this.reader.as_mut(), READ_SIZE, cx));
        Poll::Ready(match data {
            Ok(data) if data.is_empty() => None,
            Ok(data) => Some(Ok(data)),
            Err(error) => Some(Err(error.into())),
        })
    }
}

const READ_SIZE: usize = 32 * 1024;
