use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use fcgi_proto::client::{Config, Connection, Exchange, ReadSize, Received};
use fcgi_proto::pool;
use fcgi_proto::{Error, ErrorKind, Parts, ProtocolError, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::body::Body;
use super::clock::Lease;
use super::home::Home;
use super::stream::Stream;

/// One request on one connection, driven by whoever polls it: no task, no channel, no lock.
///
/// Each poll feeds the body, writes and reads, so that an application that answers early neither waits nor makes us
/// wait. Dropping it closes the socket, which is the only way to abort that every application understands.
pub(super) struct Single {
    /// Gone once the exchange is over: given back to its pool, or closed.
    link: Option<Box<Link>>,
    lease: Option<Lease>,
    exchange: Exchange,
    body: Body,
    /// What was read and not yet looked at.
    input: Bytes,
    is_eof: bool,
    /// Why writing failed, for the error in case that no answer comes.
    write_error: Option<io::Error>,
    timeouts: Timeouts,
    started: Instant,
}

/// A connection that carries one request at a time. It goes from hand to hand, and is boxed for that.
#[derive(Debug)]
pub(super) struct Link {
    io: Stream,
    home: Home,
    conn: Connection,
    buf: BytesMut,
    read_size: ReadSize,
    /// Stays set to a moment of an earlier request, which is before any of a later one: it is set anew only when it fires.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Link {
    pub(super) fn new(io: Stream, config: Config) -> Box<Self> {
        let (conn, buf) = (Connection::new(config), BytesMut::new());
        let (home, read_size) = (Home::current(), ReadSize::default());
        Box::new(Self { io, home, conn, buf, read_size, timer: None })
    }
}

impl Link {
    /// Moves it to where it is used now, if it was used elsewhere.
    pub(super) fn at(self: Box<Self>, home: Home) -> io::Result<Box<Self>> {
        if self.home == home {
            return Ok(self);
        }
        // Its timer stays behind: that is the other runtime's.
        let Self { io, conn, buf, read_size, .. } = *self;
        Ok(Box::new(Self { io: io.into_this_runtime()?, home, conn, buf, read_size, timer: None }))
    }
}

impl pool::Link for Link {
    fn is_stale(&self) -> bool {
        !self.conn.is_idle() || self.io.has_news()
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
            link: Some(link),
            lease,
            exchange,
            body,
            input: Bytes::new(),
            is_eof: false,
            write_error: None,
            timeouts,
            started,
        }))
    }

    /// Whether the request that failed so may be sent again.
    pub(super) fn may_retry(&self, error: &Error, is_replayable: bool, number: u32) -> bool {
        let has_response = self.exchange.bytes_received() > 0;
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.may_retry(error, has_response, is_replayable, number))
    }

    /// Nothing more is wanted of it.
    pub(super) fn end(&mut self) {
        (self.link, self.lease) = (None, None);
    }

    pub(super) const fn handle_connection(&mut self, queue: Duration, connect: Duration) {
        self.exchange.handle_connection(queue, connect);
    }

    pub(super) const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(super) const fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// The next news of the response. After an error or [`Received::End`] the connection is gone, and there is no other.
    pub(super) fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        let output = ready!(self.poll_link(cx));
        match output {
            Ok(Received::End(_)) => self.give_back(),
            Ok(_) => {}
            Err(ref error) => {
                if let Some(lease) = &self.lease {
                    lease.on_error(error);
                }
                self.link = None;
            }
        }
        Poll::Ready(output)
    }

    fn poll_link(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        loop {
            let Some(link) = &mut self.link else {
                return Poll::Ready(Err(self
                    .exchange
                    .failed_io(io::ErrorKind::NotConnected.into())));
            };
            if let Some(output) = next_output(link, &mut self.exchange, &mut self.input)? {
                return Poll::Ready(Ok(output));
            }
            if self.is_eof {
                return Poll::Ready(Err(self.closed()));
            }
            // All three, always: each leaves its waker behind, and none may wait for another.
            let mut is_moving = self.poll_body(cx)?.is_ready();
            is_moving |= self.poll_write(cx).is_ready();
            is_moving |= self.poll_read(cx)?.is_ready();
            if !is_moving {
                return self.poll_timer(cx).map(Err);
            }
        }
    }

    /// Feeds the body until the output is at its cap. Ready when something was queued.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(link) = &mut self.link else { return Poll::Pending };
        let mut is_moving = false;
        while self.exchange.wants_body(&link.conn) {
            let Poll::Ready(chunk) = self.body.poll_chunk(cx) else { break };
            is_moving = true;
            let result = match chunk {
                Some(Ok(data)) => self.exchange.send_body(&mut link.conn, data),
                None => self.exchange.finish_body(&mut link.conn),
                Some(Err(error)) => return Poll::Ready(Err(self.exchange.failed_body(error))),
            };
            result.map_err(|error| self.exchange.failed(error))?;
        }
        if is_moving { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Writes as much as the socket takes. Ready when something was written, or when writing has failed for good.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(link) = &mut self.link else { return Poll::Pending };
        let mut is_moving = false;
        while self.exchange.wants_write(&link.conn) {
            // `write_buf` keeps no state, so that a new future can take over at each poll.
            let written = pin!(link.io.write_buf(&mut link.conn.outgoing())).poll(cx);
            let error = match written {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => {
                    is_moving = true;
                    self.exchange.handle_written(&link.conn, count, self.started.elapsed());
                    continue;
                }
                Poll::Ready(Ok(_)) => io::ErrorKind::WriteZero.into(),
                Poll::Ready(Err(error)) => error,
            };
            is_moving = true;
            self.exchange.handle_write_error();
            self.write_error = Some(error);
        }
        if is_moving { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(link) = self.link.as_mut().filter(|link| link.conn.wants_read()) else {
            return Poll::Pending;
        };
        if !link.read_size.is_enough(link.buf.capacity()) {
            // Not before there is something to read, so that who waits holds no memory.
            ready!(link.io.poll_read_ready(cx)).map_err(|error| self.exchange.failed_io(error))?;
            link.buf.reserve(link.read_size.bytes());
        }
        if link.buf.capacity() < link.read_size.bytes() {
            // From its front again, which is in the processor's cache, if nobody holds what was read before.
            let _ = link.buf.try_reclaim(link.read_size.bytes());
        }
        let room = link.buf.capacity();
        let count = ready!(pin!(link.io.read_buf(&mut link.buf)).poll(cx))
            .map_err(|error| self.exchange.failed_io(error))?;
        link.read_size.handle_read(count, room);
        self.input = link.buf.split().freeze();
        let now = self.started.elapsed();
        self.is_eof = count == 0;
        self.exchange.handle_read(count, now);
        if let Some(lease) = self.lease.as_mut().filter(|_| count > 0) {
            lease.on_first_byte();
        }
        // The timer is not asked while bytes flow, but the limit on the whole exchange holds then too.
        if let Some(phase) = self.exchange.check_time(now) {
            return Poll::Ready(Err(self.exchange.timed_out(phase, &self.timeouts)));
        }
        Poll::Ready(Ok(()))
    }

    /// Ready with the error when a limit has passed. The timer is set anew only once it has fired, since most exchanges
    /// end long before, and stays with the connection.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            if let Some(phase) = self.exchange.check_time(self.started.elapsed()) {
                return Poll::Ready(self.exchange.timed_out(phase, &self.timeouts));
            }
            let limit = self.exchange.deadline();
            let deadline = limit.and_then(|limit| self.started.checked_add(limit));
            let (Some(deadline), Some(link)) = (deadline, &mut self.link) else {
                return Poll::Pending;
            };
            let timer =
                link.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    /// The response is complete: another request may have the connection, if it is fit for one.
    fn give_back(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if let Some(lease) = self.lease.take() {
            if self.exchange.is_reusable(&link.conn) && self.input.is_empty() {
                if !link.read_size.may_idle() {
                    link.buf = BytesMut::new();
                }
                lease.give_back(link);
            }
        }
    }

    /// The peer has closed and the response is not complete.
    fn closed(&mut self) -> Error {
        let result = self.link.as_mut().map_or(Ok(()), |link| link.conn.handle_eof());
        match (result, self.write_error.take()) {
            (Err(ProtocolError::UnexpectedEof { .. }), Some(error)) => {
                self.exchange.failed_io(error)
            }
            (Err(error), _) => self.exchange.failed(error),
            (Ok(()), _) => self.exchange.failed_io(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn next_output(
    link: &mut Link,
    exchange: &mut Exchange,
    input: &mut Bytes,
) -> Result<Option<Received>, Error> {
    let mut rest: &[u8] = input;
    let mut received = None;
    while received.is_none() {
        let event = link.conn.poll_event(&mut rest);
        let Some(event) = event.map_err(|error| exchange.failed(error))? else { break };
        let output = exchange.handle_event(event).map_err(|error| exchange.failed(error))?;
        received = output.map(|output| Received::new(output, input));
    }
    let used = input.len() - rest.len();
    input.advance(used);
    Ok(received)
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Single")
            .field("link", &self.link)
            .field("exchange", &self.exchange)
            .finish()
    }
}
