use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use bytes::Bytes;

use super::{Exchange, OutputError, OutputStream};

/// A handler's end of an output stream: what an adapter's `Stdout` and `Stderr` are made of.
///
/// ```
/// use core::pin::pin;
/// use core::task::{Context, Waker};
/// use fcgi_proto::server::{OutputStream, Writer};
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// let mut stdout = Writer::new(Arc::clone(&request.exchange), OutputStream::Stdout);
/// let write = pin!(stdout.write("Content-Type: text/plain\r\n\r\nhello".into()));
/// assert!(write.poll(&mut Context::from_waker(Waker::noop())).is_ready()); // there is room
/// assert!(session.poll_request()?.is_none() && session.has_outgoing());
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
pub struct Writer {
    exchange: Arc<Exchange>,
    stream: OutputStream,
}

impl Writer {
    /// To be made once for each stream, since only one may wait for it.
    #[must_use]
    pub const fn new(exchange: Arc<Exchange>, stream: OutputStream) -> Self {
        Self { exchange, stream }
    }

    /// Writes all of `data`, from 4 KiB on without copying it; the window is soft, so it may be of any size. Cancel safe:
    /// either all of the data was taken, or none of it.
    ///
    /// # Errors
    /// The request was aborted, the web server is gone, or the handler has returned.
    pub async fn write(&mut self, data: Bytes) -> Result<(), OutputError> {
        let mut data = Some(data);
        poll_fn(|cx| {
            self.exchange.poll_push(self.stream, cx, |output| {
                if let Some(data) = data.take() {
                    output.push(self.stream, data);
                }
            })
        })
        .await
    }

    /// Copies as much of `data` as there is room for, at least one byte.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, OutputError>> {
        self.exchange.poll_push(self.stream, cx, |output| {
            let count = data.len().min(output.room());
            output.push_slice(self.stream, data.split_at(count).0);
            count
        })
    }

    /// Waits until the session has taken all that was written, on either stream.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<Result<(), OutputError>> {
        self.exchange.poll_flush(self.stream, cx)
    }

    /// Gives the response up halfway: once the handler has returned, the web server gets what was written, but no end; see
    /// [`Response::cut`](crate::server::Response::cut). Of no effect when nothing was written to stdout.
    pub fn cut(&mut self) {
        self.exchange.cut();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("stream", &self.stream).finish_non_exhaustive()
    }
}
