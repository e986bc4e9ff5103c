use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fcgi_proto::server::{InputError, InputStream, Reader};

use super::handling::Handling;

/// The body of a request, as it comes from the web server (FCGI_STDIN, section 5.3).
///
/// Read it with [`chunk`](Self::chunk) or as a [`BufRead`], which copy nothing, as a [`Read`], or whole with
/// [`collect`](Self::collect). A body that was cut off ends with an error, never with an end. CONTENT_LENGTH is only a
/// hint: web servers that pass a body on as it comes leave it empty or out.
///
/// Before it waits, what the handler has written so far is sent.
///
/// What is not read is held up to [`stdin_window`](super::Server::stdin_window); then the web server has to wait, and with
/// it the other requests on the same connection, as FastCGI has no flow control of its own. Drop this to let the rest
/// of the body be thrown away.
#[derive(Debug)]
pub struct Stdin {
    handling: Arc<Handling>,
    /// Taken when it is dropped.
    reader: Option<Reader>,
    /// How much of a piece is there and not consumed.
    left: usize,
}

impl Stdin {
    pub(super) fn new(handling: Arc<Handling>, stream: InputStream) -> Self {
        let reader = Some(Reader::new(handling.exchange(), stream));
        Self { handling, reader, left: 0 }
    }

    /// The next piece of the body, of any size but never empty; `None` at its end.
    ///
    /// # Errors
    /// [`Aborted`](InputError::Aborted): the web server gave up or was cut off amid the body.
    pub fn chunk(&mut self) -> Result<Option<Bytes>, InputError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        self.left = 0;
        let chunk = self.handling.wait_for(|cx| reader.poll_chunk(cx));
        self.handling.link().pump_input();
        chunk
    }

    /// The rest of the body, if it is no more than `limit` bytes.
    ///
    /// # Errors
    /// [`TooLarge`](InputError::TooLarge) as soon as the limit is passed, with what follows left unread;
    /// [`Aborted`](InputError::Aborted) as [`chunk`](Self::chunk).
    pub fn collect(&mut self, limit: usize) -> Result<Bytes, InputError> {
        // A small body comes in one piece, which needs no copy.
        let mut whole = self.chunk()?.unwrap_or_default();
        let mut rest = Vec::new();
        while whole.len() + rest.len() <= limit {
            let Some(next) = self.chunk()? else {
                return Ok(if rest.is_empty() { whole } else { rest.into() });
            };
            rest.extend_from_slice(&std::mem::take(&mut whole));
            rest.extend_from_slice(&next);
        }
        Err(InputError::TooLarge { limit })
    }
}

impl BufRead for Stdin {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Some(reader) = &mut self.reader else { return Ok(&[]) };
        if self.left == 0 {
            // What this lends cannot leave the closure; it is there when it is asked for again.
            let len = |data: &[u8]| data.len();
            self.left = self.handling.wait_for(|cx| reader.poll_fill(cx).map_ok(len))?;
            self.handling.link().pump_input();
        }
        match reader.poll_fill(&Context::from_waker(Waker::noop()))? {
            Poll::Ready(data) if self.left > 0 => Ok(data),
            _ => Ok(&[]),
        }
    }

    fn consume(&mut self, count: usize) {
        let Some(reader) = &mut self.reader else { return };
        self.left = self.left.saturating_sub(count);
        reader.consume(count);
    }
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.reader = None;
        self.handling.link().pump_input();
    }
}
