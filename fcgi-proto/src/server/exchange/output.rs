use alloc::collections::VecDeque;
use core::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

/// The two streams that a handler writes.
///
/// ```
/// use fcgi_proto::server::{OutputStream, Writer};
/// use std::sync::Arc;
/// use fcgi_proto::server::{Hub, Session, Settings};
///
/// let mut session = Session::new(Arc::new(Settings::default()), Arc::new(Hub::default()));
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 2, 0, 0, b'h', b'i', 1, 5, 0, 1, 0, 0, 0, 0];
/// session.handle_read(bytes::Bytes::from_static(read)); // what the socket gave
/// let request = session.poll_request()?.expect("a request");
/// let stderr = Writer::new(Arc::clone(&request.exchange), OutputStream::Stderr); // for the web server's log
/// # drop(stderr);
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// The response.
    Stdout,
    /// Messages for the web server's log.
    Stderr,
}

/// What a handler has written and the session has not taken yet; bounded by a window.
///
/// Small writes are put together, so that a head written line by line goes out in one record.
#[derive(Debug)]
pub(super) struct Output {
    /// Before what is in `small`.
    pieces: VecDeque<(OutputStream, Bytes)>,
    small: BytesMut,
    small_stream: OutputStream,
    held: usize,
    /// Soft: the write that reaches it is taken whole.
    window: usize,
    has_stdout: bool,
    stdout_writer: Option<Waker>,
    stderr_writer: Option<Waker>,
}

impl Output {
    pub(super) fn new(window: usize) -> Self {
        Self {
            pieces: VecDeque::new(),
            small: BytesMut::new(),
            small_stream: OutputStream::Stdout,
            held: 0,
            window: window.max(1),
            has_stdout: false,
            stdout_writer: None,
            stderr_writer: None,
        }
    }

    pub(super) fn poll_room(&mut self, stream: OutputStream, cx: &Context<'_>) -> Poll<()> {
        if !self.is_full() {
            return Poll::Ready(());
        }
        *self.writer(stream) = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_empty(&mut self, stream: OutputStream, cx: &Context<'_>) -> Poll<()> {
        if self.held == 0 {
            return Poll::Ready(());
        }
        *self.writer(stream) = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn push(&mut self, stream: OutputStream, data: Bytes) {
        if data.len() < COPIED_BELOW {
            self.push_slice(stream, &data);
            return;
        }
        self.note(stream, data.len());
        self.seal();
        self.pieces.push_back((stream, data));
    }

    pub(super) fn push_slice(&mut self, stream: OutputStream, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.note(stream, data.len());
        if stream != self.small_stream {
            self.seal();
            self.small_stream = stream;
        }
        self.small.extend_from_slice(data);
    }

    pub(super) fn pop(&mut self) -> Option<(OutputStream, Bytes)> {
        if self.pieces.is_empty() {
            self.seal();
        }
        let (stream, data) = self.pieces.pop_front()?;
        self.held -= data.len();
        Some((stream, data))
    }

    /// Whoever waits for room, if there is some.
    pub(super) fn writers_with_room(&mut self) -> [Option<Waker>; 2] {
        if self.is_full() { [None, None] } else { self.take_writers() }
    }

    pub(super) fn take_writers(&mut self) -> [Option<Waker>; 2] {
        [self.stdout_writer.take(), self.stderr_writer.take()]
    }

    /// Nobody is there to take anything any more.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.small.clear();
        self.held = 0;
    }

    pub(super) fn is_full(&self) -> bool {
        self.held >= self.window
    }

    pub(super) fn has_stdout(&self) -> bool {
        self.has_stdout
    }

    /// How many bytes a copying write may add: at least one.
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.held).max(1)
    }

    fn note(&mut self, stream: OutputStream, len: usize) {
        self.held += len;
        self.has_stdout |= stream == OutputStream::Stdout;
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            let data = self.small.split().freeze();
            self.pieces.push_back((self.small_stream, data));
        }
    }

    fn writer(&mut self, stream: OutputStream) -> &mut Option<Waker> {
        match stream {
            OutputStream::Stdout => &mut self.stdout_writer,
            OutputStream::Stderr => &mut self.stderr_writer,
        }
    }
}

/// Larger writes go to the socket by handle, without a copy; each is a record of its own.
const COPIED_BELOW: usize = 4096;
