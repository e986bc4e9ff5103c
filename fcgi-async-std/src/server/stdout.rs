use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::server::{Exchange, OutputError, OutputStream, Writer};
use futures_io::AsyncWrite;

/// Where a handler writes a response: a CGI head such as `Status: 404 Not Found`, `Content-Type: text/plain`, an empty
/// line, and the body (FCGI_STDOUT, section 5.3).
///
/// Writes wait while [`stdout_window`](super::Server::stdout_window) bytes of this request are on their way, so a handler
/// runs no faster than the web server reads. What was written goes out as soon as the handler waits for something, be it a
/// timer, a database or more of the body: there is no need to flush between pieces of a stream. Writes without a pause
/// between them leave together, with the end of the response if the handler returns right after them.
///
/// No body belongs behind the head when the parameter `REQUEST_METHOD` is `HEAD`; HAProxy answers 502 for one.
#[derive(Debug)]
pub struct Stdout(Writer);

/// Where a handler writes messages for the web server's error log (FCGI_STDERR, section 5.3).
#[derive(Debug)]
pub struct Stderr(Writer);

macro_rules! writer {
    ($name:ident, $stream:ident) => {
        impl $name {
            pub(super) fn new(exchange: Arc<Exchange>) -> Self {
                Self(Writer::new(exchange, OutputStream::$stream))
            }

            /// Writes all of `data`. From 4 KiB on it is not copied; the window is soft, so it may be of any size.
            ///
            /// Cancel safe: either all of the data was taken, or none of it.
            ///
            /// # Errors
            /// The request was aborted, or the web server is gone: there is nobody to answer.
            pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<(), OutputError> {
                self.0.write(data.into()).await
            }

            /// Waits until the task of the connection has taken all that was written, on either stream. This is never
            /// needed to get it sent.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub async fn flush(&mut self) -> Result<(), OutputError> {
                poll_fn(|cx| self.0.poll_flush(cx)).await
            }
        }

        /// `close` is `flush`: the stream ends when the handler returns.
        impl AsyncWrite for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_write(cx, data).map_err(io::Error::from)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_flush(cx).map_err(io::Error::from)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
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
        self.0.cut();
    }
}

writer!(Stdout, Stdout);
writer!(Stderr, Stderr);
