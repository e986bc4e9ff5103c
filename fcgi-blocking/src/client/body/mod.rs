mod spool;

use std::error::Error as StdError;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use fcgi_proto::BodyLen;
use fcgi_proto::multipart::Encoded;

use super::feeder::Feeder;
use crate::wake::Wake;

pub(super) use spool::prepare;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of a request: nothing, bytes, a file, whatever a reader gives, or a form of them all.
///
/// A file or reader is read only as fast as the application takes it, 128 KiB ahead at most, and is dropped when the
/// application has answered without it. One that is not as long as it said is an error with a
/// [`LengthError`](fcgi_proto::LengthError) behind it. One of unknown length is collected before anything is sent, since
/// php reads no body without its length; see [`SpoolConfig`](fcgi_proto::SpoolConfig).
///
/// ```no_run
/// use fcgi_blocking::{Body, Request};
///
/// let request = Request::post("/srv/upload.php").body("0"); // a body like any other
/// let request = Request::post("/srv/upload.php").body(Body::open("video.mp4")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    File {
        file: File,
        len: u64,
        buf: BytesMut,
    },
    /// Nothing was asked for yet, so that a form does not start the threads of all its readers at once.
    Reader {
        reader: Box<dyn Read + Send>,
        len: Option<u64>,
    },
    Feeder {
        feeder: Feeder,
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

    /// The same body once more, unless it can be read only once.
    pub(super) fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(Self::empty()),
            Kind::Bytes(bytes) => Some(Self(Kind::Bytes(bytes.clone()))),
            _ => None,
        }
    }

    /// The content of the file with this name; see [`file`](Self::file).
    ///
    /// # Errors
    /// As there, and when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::file(File::open(path)?)
    }

    /// What is in a file from its current position on.
    ///
    /// The length is what the file has now. When it grows or is cut before it was sent, that is an error of the request.
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
        Ok(Self::file_of(file, len))
    }

    /// So many bytes of a file from its current position on.
    fn file_of(file: File, len: u64) -> Self {
        Self(Kind::File { file, len, buf: BytesMut::new() })
    }

    /// What a reader gives until its end. `len` is its true length in bytes, where that is known.
    ///
    /// As a reader may wait for something that the response brings about, another thread reads it, from the moment that
    /// the connection stands; one of unknown length from the beginning, as it is collected first. That thread ends with
    /// the body, or at the first return of the reader after the response is complete or dropped.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Self {
        Self(Kind::Reader { reader: Box::new(reader), len })
    }

    /// The next piece, `None` at the end; pending only with a [`wake`](Self::wake) to wait for, which is armed then.
    pub(super) fn poll_chunk(&mut self) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.start_reading()?;
        let chunk = match &mut self.0 {
            Kind::Empty | Kind::Reader { .. } => None,
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                return Poll::Ready(Some(Ok(bytes)));
            }
            Kind::File { file, buf, .. } => read_chunk(file, buf).map_err(Into::into).transpose(),
            Kind::Feeder { feeder, .. } => ready!(feeder.poll_chunk()),
            Kind::Form(form) => ready!(form.poll_chunk(Self::poll_chunk)),
        };
        if !matches!(chunk, Some(Ok(_))) {
            self.0 = Kind::Empty;
        }
        Poll::Ready(chunk)
    }

    /// What tells that there is more.
    pub(super) fn wake(&self) -> Option<&Wake> {
        match &self.0 {
            Kind::Feeder { feeder, .. } => Some(feeder.wake()),
            Kind::Form(form) => form.current().and_then(Self::wake),
            _ => None,
        }
    }

    /// Gives a reader its thread.
    fn start_reading(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.0) {
            Kind::Reader { reader, len } => {
                self.0 = Kind::Feeder { feeder: Feeder::spawn(reader)?, len };
            }
            other => self.0 = other,
        }
        Ok(())
    }
}

impl BodyLen for Body {
    fn content_length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::File { len, .. } => Some(*len),
            Kind::Reader { len, .. } | Kind::Feeder { len, .. } => *len,
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
