use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::server::{OutputError, OutputStream, Writer};

use super::handling::Handling;

/// Where a handler writes a response: a CGI head such as `Status: 404 Not Found`, `Content-Type: text/plain`, an empty
/// line, and the body (FCGI_STDOUT, section 5.3).
///
/// What is written is sent when [`stdout_window`](super::Server::stdout_window) bytes are there, when the handler returns,
/// when it waits for its input or an abort, and at [`flush`](Self::flush): flush between pieces of a stream that are worth
/// having apart. So a small answer leaves in one system call. Writes wait while the connection is not taking a full window,
/// so a handler runs no faster than the web server reads.
///
/// No body belongs behind the head when the parameter `REQUEST_METHOD` is `HEAD`; HAProxy answers 502 for one.
#[derive(Debug)]
pub struct Stdout(Output);

/// Where a handler writes messages for the web server's error log (FCGI_STDERR, section 5.3).
#[derive(Debug)]
pub struct Stderr(Output);

#[derive(Debug)]
struct Output {
    handling: Arc<Handling>,
    writer: Writer,
}

impl Output {
    fn write(&mut self, data: Bytes) -> Result<(), OutputError> {
        let mut written = pin!(self.writer.write(data));
        self.handling.wait_for(|cx| written.as_mut().poll(cx))
    }

    fn write_some(&mut self, data: &[u8]) -> Result<usize, OutputError> {
        self.handling.wait_for(|cx| self.writer.poll_write(cx, data))
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.handling.wait_for(|cx| self.writer.poll_flush(cx))
    }
}

macro_rules! writer {
    ($name:ident, $stream:ident) => {
        impl $name {
            pub(super) fn new(handling: Arc<Handling>) -> Self {
                let writer = Writer::new(handling.exchange(), OutputStream::$stream);
                Self(Output { handling, writer })
            }

            /// Writes all of `data`. From 4 KiB on it is not copied; the window is soft, so it may be of any size. For borrowed data there is [`write_all`](Write::write_all).
            ///
            /// # Errors
            /// The request was aborted, or the web server is gone: there is nobody to answer.
            pub fn write(&mut self, data: impl Into<Bytes>) -> Result<(), OutputError> {
                self.0.write(data.into())
            }

            /// Sends what was written so far, on either stream. It waits until the connection has taken it, which holds up to
            /// [`max_buffered`](super::Config::max_buffered) bytes, and not until the web server has.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub fn flush(&mut self) -> Result<(), OutputError> {
                self.0.flush()
            }
        }

        impl Write for $name {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                Ok(self.0.write_some(data)?)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(self.0.flush()?)
            }
        }
    };
}

impl Stdout {
    /// Gives the response up halfway, as when what it is made from has failed: once the handler has returned, the web
    /// server gets what was written, but no end of it, and the connection closes when no other request is open on it.
    ///
    /// A client of the web server then sees a response that is cut, and not one that looks whole. lighttpd alone passes it
    /// on as whole, and so does any web server whose client was told no length and speaks HTTP/1.0. Of no effect when
    /// nothing was written yet: return an error then.
    pub fn cut(&mut self) {
        self.0.writer.cut();
    }
}

writer!(Stdout, Stdout);
writer!(Stderr, Stderr);
