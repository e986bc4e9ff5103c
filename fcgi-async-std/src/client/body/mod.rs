mod sources;
mod spool;

use std::error::Error as StdError;
use std::fs::File;
use std::io::Seek;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use blocking::Unblock;
use bytes::Bytes;
use fcgi_proto::BodyLen;
use fcgi_proto::multipart::Encoded;
use futures_core::Stream;
use futures_io::AsyncRead;
#[cfg(feature = "http-body")]
use sources::HttpStream;
use sources::{MapErr, ReaderStream};
pub(super) use spool::prepare;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// The body of a request: nothing, bytes, a file, a stream, or a form of them all.
///
/// A stream or file is read only as fast as the application takes it, 64 KiB ahead at most, and is dropped when the
/// application has answered without it. One that is not as long as it said is an error with a
/// [`LengthError`](fcgi_proto::LengthError) behind it. One of unknown length is collected before anything is sent, since
/// php reads no body without its length; see [`SpoolConfig`](fcgi_proto::SpoolConfig).
///
/// ```
/// use fcgi_async_std::{Body, Request};
///
/// let request = Request::post("/srv/upload.php").body("0"); // a body like any other
/// # async fn f() -> std::io::Result<()> {
/// let request = Request::post("/srv/upload.php").body(Body::open("video.mp4").await?);
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
    Form(Box<Encoded<Body>>),
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
        Self(Kind::Stream { stream: Box::pin(ReaderStream::new(reader)), len })
    }

    /// The content of the file with this name; see [`file`](Self::file).
    ///
    /// # Errors
    /// As there, and when it cannot be opened.
    pub async fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        blocking::unblock(|| Self::of_file(File::open(path)?)).await
    }

    /// What is in a file from its current position on.
    ///
    /// The length is what the file has now. When it grows or is cut before it was sent, that is an error of the request.
    /// Anything but a regular file, such as a pipe, is a [`reader`](Self::reader) of unknown length. Reading never blocks
    /// the executor.
    ///
    /// # Errors
    /// The file does not tell its size or position.
    pub async fn file(file: File) -> io::Result<Self> {
        blocking::unblock(|| Self::of_file(file)).await
    }

    fn of_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let len = match metadata.is_file() {
            true => Some(metadata.len().saturating_sub(file.stream_position()?)),
            false => None,
        };
        Ok(Self::unblocked(file, len))
    }

    /// A file, read where blocking harms nobody.
    fn unblocked(file: File, len: Option<u64>) -> Self {
        Self::reader(Unblock::with_capacity(READ_AHEAD, file), len)
    }

    /// The same body once more, unless it is a stream, which can be read only once.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(Self::empty()),
            Kind::Bytes(bytes) => Some(Self(Kind::Bytes(bytes.clone()))),
            Kind::Stream { .. } => None,
            Kind::Form(form) => {
                form.try_clone(Self::try_clone).map(|form| Self(Kind::Form(Box::new(form))))
            }
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
            Kind::Form(form) => form.poll_chunk(|body| body.poll_chunk(cx)),
        }
    }
}

impl BodyLen for Body {
    fn content_length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::Stream { len, .. } => *len,
            Kind::Form(form) => form.content_length(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Bytes(bytes) })
    }
}

impl From<Encoded<Self>> for Body {
    fn from(form: Encoded<Self>) -> Self {
        Self(Kind::Form(Box::new(form)))
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

/// How far a file is read ahead.
const READ_AHEAD: usize = 64 * 1024;
