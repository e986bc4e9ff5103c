use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use fcgi_proto::cgi::ResponseHead;
use fcgi_proto::client::{Config, Connection, Exchange, Output};
use fcgi_proto::{Error, ErrorKind, Parts, ProtocolError, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::body::Body;
use super::stream::Stream;

/// How much is read at once, and so the most that a slow consumer holds besides what it was given.
const READ_SIZE: usize = 16 * 1024;

/// One request on one connection, driven by whoever polls it: no task, no channel, no lock.
///
/// Each poll feeds the body, writes and reads, so that an application that answers early neither waits nor makes us
/// wait. Dropping it closes the socket, which is the only way to abort that every application understands.
pub(super) struct Driver {
    io: Stream,
    conn: Connection,
    exchange: Exchange,
    body: Body,
    /// What was read and not yet looked at.
    input: Bytes,
    buf: BytesMut,
    is_eof: bool,
    /// Why writing failed, for the error in case that no answer comes.
    write_error: Option<io::Error>,
    timeouts: Timeouts,
    started: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

/// [`Output`] with the data shared from the read buffer.
#[derive(Debug)]
pub(super) enum Owned {
    Head(ResponseHead, Bytes),
    Body(Bytes),
    Stderr,
    End,
}

impl Driver {
    pub(super) fn begin(
        io: Stream,
        parts: &Parts,
        body: Body,
        timeouts: Timeouts,
        started: Instant,
    ) -> Result<Self, Error> {
        let mut conn = Connection::new(Config::default());
        let exchange = Exchange::begin(&mut conn, parts, timeouts, started.elapsed())
            .map_err(|error| Error::new(ErrorKind::Request(error.into())))?;
        Ok(Self {
            io,
            conn,
            exchange,
            body,
            input: Bytes::new(),
            buf: BytesMut::new(),
            is_eof: false,
            write_error: None,
            timeouts,
            started,
            timer: None,
        })
    }

    pub(super) const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(super) const fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// The next news of the response. After an error or [`Owned::End`] there is nothing more to poll for.
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<Owned, Error>> {
        loop {
            if let Some(output) = self.next_output()? {
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

    fn next_output(&mut self) -> Result<Option<Owned>, Error> {
        let mut rest: &[u8] = &self.input;
        let mut owned = None;
        while owned.is_none() {
            let event = self.conn.poll_event(&mut rest);
            let Some(event) = event.map_err(|error| self.exchange.failed(error))? else { break };
            let output = self.exchange.handle_event(event);
            let output = output.map_err(|error| self.exchange.failed(error))?;
            owned = output.and_then(|output| own(output, &self.input));
        }
        let used = self.input.len() - rest.len();
        self.input.advance(used);
        Ok(owned)
    }

    /// Feeds the body until the output is at its cap. Ready when something was queued.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut is_moving = false;
        while self.exchange.wants_body(&self.conn) {
            let Poll::Ready(chunk) = self.body.poll_chunk(cx) else { break };
            is_moving = true;
            let result = match chunk {
                Some(Ok(data)) => self.exchange.send_body(&mut self.conn, data),
                None => self.exchange.finish_body(&mut self.conn),
                Some(Err(error)) => return Poll::Ready(Err(self.exchange.failed_body(error))),
            };
            result.map_err(|error| self.exchange.failed(error))?;
        }
        if is_moving { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Writes as much as the socket takes. Ready when something was written, or when writing has failed for good.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut is_moving = false;
        while self.exchange.wants_write(&self.conn) {
            // `write_buf` keeps no state, so that a new future can take over at each poll.
            let written = pin!(self.io.write_buf(&mut self.conn.outgoing())).poll(cx);
            let error = match written {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => {
                    is_moving = true;
                    self.exchange.handle_written(&self.conn, count, self.started.elapsed());
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
        if !self.conn.wants_read() {
            return Poll::Pending;
        }
        self.buf.reserve(READ_SIZE);
        let count = ready!(pin!(self.io.read_buf(&mut self.buf)).poll(cx))
            .map_err(|error| self.exchange.failed_io(error))?;
        let now = self.started.elapsed();
        self.is_eof = count == 0;
        self.exchange.handle_read(count, now);
        self.input = self.buf.split().freeze();
        // The timer is not asked while bytes flow, but the limit on the whole exchange holds then too.
        if let Some(phase) = self.exchange.check_time(now) {
            return Poll::Ready(Err(self.exchange.timed_out(phase, &self.timeouts)));
        }
        Poll::Ready(Ok(()))
    }

    /// Ready with the error when a limit has passed. The timer is set anew only once it has fired, since most exchanges
    /// end long before.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            if let Some(phase) = self.exchange.check_time(self.started.elapsed()) {
                return Poll::Ready(self.exchange.timed_out(phase, &self.timeouts));
            }
            let deadline =
                self.exchange.deadline().and_then(|limit| self.started.checked_add(limit));
            let Some(deadline) = deadline else { return Poll::Pending };
            let timer =
                self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    /// The peer has closed and the response is not complete.
    fn closed(&mut self) -> Error {
        match (self.conn.handle_eof(), self.write_error.take()) {
            (Err(ProtocolError::UnexpectedEof { .. }), Some(error)) => {
                self.exchange.failed_io(error)
            }
            (Err(error), _) => self.exchange.failed(error),
            (Ok(()), _) => self.exchange.failed_io(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Shares the data with the buffer that it was lent from.
fn own(output: Output<'_>, input: &Bytes) -> Option<Owned> {
    Some(match output {
        Output::Head { head, body } => Owned::Head(head, input.slice_ref(body)),
        Output::Body(data) => Owned::Body(input.slice_ref(data)),
        Output::Stderr => Owned::Stderr,
        Output::End(_) => Owned::End,
        _ => return None,
    })
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("io", &self.io).field("exchange", &self.exchange).finish()
    }
}
