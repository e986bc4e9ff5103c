//! What passes on the application's socket, as readable lines, kept for the page that shows it.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fcgi_proto::RecordType;
use fcgi_proto::trace::Trace;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// The exchanges of late, by number.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    exchanges: VecDeque<Arc<Exchange>>,
    last: u64,
}

impl Book {
    pub(super) fn find(&self, number: u64) -> Option<Arc<Exchange>> {
        let pages = lock(&self.0);
        pages.exchanges.iter().find(|exchange| exchange.number == number).cloned()
    }

    fn begin(&self) -> Arc<Exchange> {
        let mut pages = lock(&self.0);
        pages.last += 1;
        let exchange = Arc::new(Exchange {
            number: pages.last,
            began: Instant::now(),
            lines: Mutex::default(),
        });
        if pages.exchanges.len() >= KEPT_EXCHANGES {
            pages.exchanges.pop_front();
        }
        pages.exchanges.push_back(Arc::clone(&exchange));
        exchange
    }
}

/// The records of one request and its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) number: u64,
    began: Instant,
    lines: Mutex<Lines>,
}

/// The first and the last lines; of a large upload the middle is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) first: Vec<Line>,
    pub(super) left_out: usize,
    pub(super) last: VecDeque<Line>,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) direction: Direction,
    pub(super) millis: f64,
    pub(super) text: String,
}

/// As the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

impl Exchange {
    pub(super) fn lines(&self) -> Lines {
        lock(&self.lines).clone()
    }

    fn add(&self, direction: Direction, mut text: String) {
        if let Some((at, _)) = text.char_indices().nth(LONGEST_LINE) {
            text.truncate(at);
            text.push('…');
        }
        let line = Line { direction, millis: 1000.0 * self.began.elapsed().as_secs_f64(), text };
        let mut lines = lock(&self.lines);
        if lines.first.len() < KEPT_FIRST {
            lines.first.push(line);
            return;
        }
        if lines.last.len() >= KEPT_LAST {
            lines.last.pop_front();
            lines.left_out += 1;
        }
        lines.last.push_back(line);
    }
}

/// The exchange that a connection is at. Requests come one after the other, as the application does not multiplex.
#[derive(Clone, Debug, Default)]
pub(super) struct Current(Arc<Mutex<Option<Arc<Exchange>>>>);

impl Current {
    pub(super) fn number(&self) -> u64 {
        lock(&self.0).as_ref().map_or(0, |exchange| exchange.number)
    }
}

/// A socket that writes down what passes.
#[derive(Debug)]
pub(super) struct Recorder {
    io: UnixStream,
    book: Arc<Book>,
    current: Current,
    incoming: Trace,
    outgoing: Trace,
}

impl Recorder {
    pub(super) fn new(io: UnixStream, book: Arc<Book>) -> Self {
        Self {
            io,
            book,
            current: Current::default(),
            incoming: Trace::new(),
            outgoing: Trace::new(),
        }
    }

    pub(super) fn current(&self) -> Current {
        self.current.clone()
    }

    fn note_incoming(&mut self, bytes: &[u8]) {
        let mut current = lock(&self.current.0);
        self.incoming.feed(bytes, |line| {
            if line.record_type() == Some(RecordType::BeginRequest) {
                *current = Some(self.book.begin());
            }
            if let Some(exchange) = &*current {
                exchange.add(Direction::In, line.to_string());
            }
        });
    }

    fn note_outgoing(&mut self, bytes: &[u8]) {
        let current = lock(&self.current.0);
        self.outgoing.feed(bytes, |line| {
            if let Some(exchange) = &*current {
                exchange.add(Direction::Out, line.to_string());
            }
        });
    }
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if let Some(read) = buf.filled().get(before..) {
            self.note_incoming(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        let mut left = count;
        for slice in slices {
            let (written, _) = slice.split_at(left.min(slice.len()));
            self.note_outgoing(written);
            left -= written.len();
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const KEPT_EXCHANGES: usize = 64;
const KEPT_FIRST: usize = 24;
const KEPT_LAST: usize = 16;
/// Characters. A page of parameters has about 2000.
const LONGEST_LINE: usize = 16_000;
