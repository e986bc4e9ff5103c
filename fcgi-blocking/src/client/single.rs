use std::fmt;
use std::io;
use std::ops::Range;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Config, Connection, Exchange, Output, ReadSize};
use fcgi_proto::pool;
use fcgi_proto::{Error, ErrorKind, Parts, ProtocolError, Timeouts};
use rustix::event::{PollFd, PollFlags};

use super::body::Body;
use super::clock::Lease;
use super::driver::News;
use super::patience::Patience;
use crate::socket::{Socket, wait};
use crate::wake::Wake;

/// One request on one connection, driven by whoever reads the response.
///
/// Each turn feeds the body, writes and reads, and waits for both directions at once, so that an application that answers
/// early neither waits nor makes us wait. Dropping it closes the socket, which is the only way to abort that every
/// application understands.
pub(super) struct Single {
    /// Gone once the exchange is over, so that a response that is kept holds no connection.
    link: Option<Box<Link>>,
    lease: Option<Lease>,
    exchange: Exchange,
    body: Body,
    buf: Vec<u8>,
    /// How much of `buf` was looked at.
    seen: usize,
    /// Where in `buf` the piece of the body is that was told last and not consumed.
    piece: Range<usize>,
    can_read: bool,
    can_write: bool,
    is_eof: bool,
    /// Why writing failed, for the error in case that no answer comes.
    write_error: Option<io::Error>,
    timeouts: Timeouts,
    started: Instant,
}

/// A connection that carries one request at a time. It goes from hand to hand, and is boxed for that.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    conn: Connection,
    /// What the request before has left.
    buf: Vec<u8>,
    read_size: ReadSize,
    patience: Patience,
}

impl Link {
    pub(super) fn new(socket: Socket, config: Config) -> Box<Self> {
        let (conn, buf) = (Connection::new(config), Vec::new());
        let (read_size, patience) = (ReadSize::default(), Patience::default());
        Box::new(Self { socket, conn, buf, read_size, patience })
    }
}

impl pool::Link for Link {
    fn is_stale(&self) -> bool {
        let news = self.socket.read(&mut Vec::with_capacity(1));
        !self.conn.is_idle() || !matches!(news, Ok(None))
    }
}

impl Single {
    pub(super) fn begin(
        mut link: Box<Link>,
        lease: Option<Lease>,
        parts: &Parts,
        body: Body,
        timeouts: Timeouts,
        started: Instant,
    ) -> Result<Box<Self>, Error> {
        let exchange = Exchange::begin(&mut link.conn, parts, timeouts, started.elapsed())
            .map_err(|error| Error::new(ErrorKind::Request(error.into())))?;
        Ok(Box::new(Self {
            buf: std::mem::take(&mut link.buf),
            link: Some(link),
            lease,
            exchange,
            body,
            seen: 0,
            piece: 0..0,
            // The answer is waited for, while a connection without a request before takes one at once.
            can_read: false,
            can_write: true,
            is_eof: false,
            write_error: None,
            timeouts,
            started,
        }))
    }

    pub(super) const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(super) const fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// What is left of the piece of the body that was told last.
    pub(super) fn piece(&self) -> &[u8] {
        self.buf.get(self.piece.clone()).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.piece.start = self.piece.end.min(self.piece.start.saturating_add(count));
    }

    pub(super) fn take_piece(&mut self) -> Bytes {
        let piece = Bytes::copy_from_slice(self.piece());
        self.consume(piece.len());
        piece
    }

    /// Waits for the next news of the response. After an error or [`News::End`] the connection is gone, and every further
    /// call gives [`News::End`].
    pub(super) fn next(&mut self) -> Result<News, Error> {
        let news = self.next_of_link();
        if let (Err(error), Some(lease)) = (&news, &self.lease) {
            lease.on_error(error);
        }
        if matches!(news, Ok(News::End) | Err(_)) {
            if news.is_ok() {
                self.give_back();
            }
            self.link = None;
            // Nobody asks for the rest of it, so its reader need not wait for that.
            self.body = Body::empty();
        }
        news
    }

    /// Nothing more is wanted of it.
    pub(super) fn end(&mut self) {
        (self.link, self.lease) = (None, None);
        // Nobody asks for the rest of it, so its reader need not wait for that.
        self.body = Body::empty();
    }

    /// Whether the request that failed so may be sent again.
    pub(super) fn may_retry(&self, error: &Error, is_replayable: bool, number: u32) -> bool {
        let has_response = self.exchange.bytes_received() > 0;
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.may_retry(error, has_response, is_replayable, number))
    }

    /// The response is complete: another request may have the connection, if it is fit for one.
    fn give_back(&mut self) {
        let (Some(mut link), Some(lease)) = (self.link.take(), self.lease.take()) else { return };
        if self.exchange.is_reusable(&link.conn) && self.seen == self.buf.len() {
            if link.read_size.may_idle() {
                link.buf = std::mem::take(&mut self.buf);
                link.buf.clear();
                self.seen = 0;
            }
            lease.give_back(link);
        }
    }

    fn next_of_link(&mut self) -> Result<News, Error> {
        loop {
            if let Some(news) = self.take_news()? {
                return Ok(news);
            }
            let Some(link) = &mut self.link else { return Ok(News::End) };
            if self.is_eof {
                return Err(closed(&mut link.conn, &self.exchange, self.write_error.take()));
            }
            self.pull_body()?;
            let is_written = self.write();
            if self.read()? || is_written {
                // No waiting, no timer; but the limit on the whole exchange holds while bytes flow, too.
                self.check_time()?;
            } else {
                self.wait()?;
            }
        }
    }

    fn take_news(&mut self) -> Result<Option<News>, Error> {
        self.piece = 0..0;
        let Some(link) = &mut self.link else { return Ok(Some(News::End)) };
        let mut rest = self.buf.get(self.seen..).unwrap_or_default();
        let mut news = None;
        while news.is_none() {
            let event = link.conn.poll_event(&mut rest);
            let Some(event) = event.map_err(|error| self.exchange.failed(error))? else { break };
            let output = self.exchange.handle_event(event);
            news = match output.map_err(|error| self.exchange.failed(error))? {
                Some(Output::Head { head, body }) => {
                    self.piece = range_of(body, &self.buf);
                    Some(News::Head(head))
                }
                Some(Output::Body(data)) => {
                    self.piece = range_of(data, &self.buf);
                    Some(News::Body)
                }
                Some(Output::Stderr) => Some(News::Stderr),
                Some(Output::End(_)) => Some(News::End),
                _ => None,
            };
        }
        self.seen = self.buf.len() - rest.len();
        Ok(news)
    }

    /// Feeds the body until the output is at its cap.
    fn pull_body(&mut self) -> Result<(), Error> {
        let Some(Link { conn, .. }) = self.link.as_deref_mut() else { return Ok(()) };
        while self.exchange.wants_body(conn) {
            let Poll::Ready(chunk) = self.body.poll_chunk() else { break };
            let result = match chunk {
                Some(Ok(data)) => self.exchange.send_body(conn, data),
                None => self.exchange.finish_body(conn),
                Some(Err(error)) => return Err(self.exchange.failed_body(error)),
            };
            result.map_err(|error| self.exchange.failed(error))?;
        }
        Ok(())
    }

    /// Writes what the socket takes at once, and says whether that was anything.
    fn write(&mut self) -> bool {
        let Some(Link { socket, conn, .. }) = self.link.as_deref_mut() else { return false };
        if !self.can_write || !self.exchange.wants_write(conn) {
            return false;
        }
        let mut outgoing = conn.outgoing();
        match socket.write(&mut outgoing) {
            Ok(Some(count)) => {
                // A write that was cut short would not be taken now.
                self.can_write = !outgoing.has_remaining();
                self.exchange.handle_written(conn, count, self.started.elapsed());
            }
            Ok(None) => {
                self.can_write = false;
                return false;
            }
            Err(error) => {
                self.exchange.handle_write_error();
                self.write_error = Some(error);
                self.body = Body::empty();
            }
        }
        true
    }

    /// Reads what is there, and says whether that was anything.
    fn read(&mut self) -> Result<bool, Error> {
        let Some(link) = self.link.as_ref().filter(|link| link.conn.wants_read()) else {
            return Ok(false);
        };
        if !self.can_read {
            return Ok(false);
        }
        make_room(&mut self.buf, link.read_size);
        self.seen = 0;
        let count = link.socket.read(&mut self.buf);
        self.handle_read(count)
    }

    /// Waits for something to read where nothing else is to be done, and reads it.
    fn wait_and_read(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let left = self.exchange.deadline();
        let left = left.map(|limit| limit.saturating_sub(self.started.elapsed()));
        make_room(&mut self.buf, link.read_size);
        self.seen = 0;
        let changed = link.patience.change(left).map_or(Ok(()), |to| link.socket.set_patience(to));
        let count = changed.and_then(|()| link.socket.wait_and_read(&mut self.buf));
        if self.handle_read(count)? { Ok(()) } else { self.check_time() }
    }

    fn handle_read(&mut self, count: io::Result<Option<usize>>) -> Result<bool, Error> {
        let count = count.map_err(|error| self.exchange.failed_io(error))?;
        // Less than there was room for is most often all.
        self.can_read = count.is_some() && self.buf.len() == self.buf.capacity();
        let Some(count) = count else { return Ok(false) };
        if let Some(link) = &mut self.link {
            link.read_size.handle_read(count, self.buf.capacity());
        }
        self.is_eof = count == 0;
        self.exchange.handle_read(count, self.started.elapsed());
        if let Some(lease) = self.lease.as_mut().filter(|_| count > 0) {
            lease.on_first_byte();
        }
        Ok(true)
    }

    /// Waits until either direction or the body goes on. A limit counts only when nothing does.
    fn wait(&mut self) -> Result<(), Error> {
        let Some(Link { socket, conn, .. }) = self.link.as_deref() else { return Ok(()) };
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.exchange.wants_write(conn));
        let wake = self.body.wake().filter(|_| self.exchange.wants_body(conn));
        if wake.is_none() && flags == PollFlags::IN && conn.wants_read() {
            return self.wait_and_read();
        }
        let limit = self.exchange.deadline();
        let limit = limit.map(|limit| limit.saturating_sub(self.started.elapsed()));
        let (socket, body) =
            wait_for(socket, flags, wake, limit).map_err(|error| self.exchange.failed_io(error))?;
        // Trouble shows in reading, and an answer that came before it, too.
        self.can_read |= !socket.difference(PollFlags::OUT).is_empty();
        self.can_write |= socket.contains(PollFlags::OUT);
        if socket.is_empty() && body.is_empty() { self.check_time() } else { Ok(()) }
    }

    fn check_time(&self) -> Result<(), Error> {
        match self.exchange.check_time(self.started.elapsed()) {
            Some(phase) => Err(self.exchange.timed_out(phase, &self.timeouts)),
            None => Ok(()),
        }
    }
}

/// Waits for a socket, and for whoever reads the body; what has happened to each.
fn wait_for(
    socket: &Socket,
    flags: PollFlags,
    wake: Option<&Wake>,
    limit: Option<Duration>,
) -> io::Result<(PollFlags, PollFlags)> {
    let socket = PollFd::new(socket, flags);
    let Some(wake) = wake else {
        let mut descriptors = [socket];
        wait(&mut descriptors, limit)?;
        let [socket] = descriptors.map(|descriptor| descriptor.revents());
        return Ok((socket, PollFlags::empty()));
    };
    let mut descriptors = [socket, PollFd::new(wake, PollFlags::IN)];
    let waited = wait(&mut descriptors, limit);
    let [socket, body] = descriptors.map(|descriptor| descriptor.revents());
    wake.disarm(!body.is_empty());
    waited?;
    Ok((socket, body))
}

/// The peer has closed and the response is not complete.
fn closed(conn: &mut Connection, exchange: &Exchange, write_error: Option<io::Error>) -> Error {
    match (conn.handle_eof(), write_error) {
        (Err(ProtocolError::UnexpectedEof { .. }), Some(error)) => exchange.failed_io(error),
        (Err(error), _) => exchange.failed(error),
        (Ok(()), _) => exchange.failed_io(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// All of the buffer was looked at.
fn make_room(buf: &mut Vec<u8>, size: ReadSize) {
    buf.clear();
    if !size.is_enough(buf.capacity()) {
        buf.reserve_exact(size.bytes());
    }
}

/// Where in `whole` a part of it is.
fn range_of(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Single")
            .field("link", &self.link)
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
