use std::error::Error as StdError;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Take};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use fcgi_proto::BodyLen;

use super::feeder::Feeder;
use crate::wake::Wake;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of a request: nothing, bytes, a file, or whatever a reader gives.
///
/// A file or reader is read only as fast as the application takes it, 128 KiB ahead at most, and is dropped when the
/// application has answered without it. One of unknown length is sent without CONTENT_LENGTH: php reads no body then.
///
/// ```no_run
/// use std::fs::File;
/// use fcgi_blocking::{Body, Request};
///
/// let request = Request::post("/srv/upload.php").body("0"); // a body like any other
/// let request = Request::post("/srv/upload.php").body(Body::file(File::open("video.mp4")?)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    File(Take<File>),
    Reader {
        reader: Box<dyn Read + Send>,
        len: Option<u64>,
    },
}

impl Body {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// What is in a file from its current position on. What is appended to it later is not sent.
    ///
    /// A regular file is read by the thread that sends the request. Anything else, such as a pipe or a terminal, is taken
    /// for a [`reader`](Self::reader) of unknown length.
    ///
    /// # Errors
    /// The file does not tell its size or position.
    pub fn file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Self::reader(file, None));
        }
        let len = metadata.len().saturating_sub(file.stream_position()?);
        Ok(Self(if len == 0 { Kind::Empty } else { Kind::File(file.take(len)) }))
    }

    /// What a reader gives until its end. `len` is its true length in bytes, where that is known.
    ///
    /// As a reader may wait for something that the response brings about, another thread reads it, from the moment that
    /// the connection stands. That thread ends with the body, or at the first return of the reader after the response is
    /// complete or dropped.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Self {
        Self(Kind::Reader { reader: Box::new(reader), len })
    }
}

impl BodyLen for Body {
    fn content_length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::File(file) => Some(file.limit()),
            Kind::Reader { len, .. } => *len,
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

/// A body on its way.
#[derive(Debug)]
pub(super) enum Source {
    /// Nothing, or nothing more.
    Empty,
    Bytes(Bytes),
    File(Take<File>, BytesMut),
    Feeder(Feeder),
}

impl Source {
    pub(super) fn new(body: Body) -> io::Result<Self> {
        Ok(match body.0 {
            Kind::Empty => Self::Empty,
            Kind::Bytes(bytes) => Self::Bytes(bytes),
            Kind::File(file) => Self::File(file, BytesMut::new()),
            Kind::Reader { reader, .. } => Self::Feeder(Feeder::spawn(reader)?),
        })
    }

    /// The next piece, `None` at the end; pending only with a [`wake`](Self::wake) to wait for, which is armed then.
    pub(super) fn poll_chunk(&mut self) -> Poll<Option<Result<Bytes, BoxError>>> {
        let chunk = match self {
            Self::Empty => None,
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                return Poll::Ready(Some(Ok(bytes)));
            }
            Self::File(file, buf) => read_chunk(file, buf).map_err(Into::into).transpose(),
            Self::Feeder(feeder) => match feeder.poll_chunk() {
                Poll::Ready(chunk) => chunk,
                Poll::Pending => return Poll::Pending,
            },
        };
        if !matches!(chunk, Some(Ok(_))) {
            *self = Self::Empty;
        }
        Poll::Ready(chunk)
    }

    /// What tells that there is more.
    pub(super) fn wake(&self) -> Option<&Wake> {
        match self {
            Self::Feeder(feeder) => Some(feeder.wake()),
            _ => None,
        }
    }
}

/// Reads once; `None` at the end. Short pieces share one buffer.
pub(super) fn read_chunk(reader: &mut impl Read, buf: &mut BytesMut) -> io::Result<Option<Bytes>> {
    if buf.len() < MIN_READ {
        *buf = BytesMut::zeroed(READ_SIZE);
    }
    loop {
        match reader.read(buf) {
            Ok(0) => return Ok(None),
            Ok(count) if count > buf.len() => {
                return Err(io::Error::other("reader says that it read more than there was room"));
            }
            Ok(count) => return Ok(Some(buf.split_to(count).freeze())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const READ_SIZE: usize = 16 * 1024;
/// A buffer with less room than this is not worth a read.
const MIN_READ: usize = 2 * 1024;
