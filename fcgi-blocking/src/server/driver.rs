use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_proto::server::Settings;
use rustix::event::{PollFd, PollFlags};

use super::ConnectionError;
use super::link::{Link, State, Watched};
use crate::socket::{Socket, wait};

/// Waits for the socket of one connection, reads it, and does what no handler does; see [`Link`].
pub(super) struct Driver {
    link: Arc<Link>,
    /// What was read last, to use its memory again.
    last: Bytes,
    is_eof: bool,
    idle_timeout: Option<Duration>,
}

/// What to wait for.
#[derive(Clone, Copy, Debug)]
struct Plan {
    watched: Watched,
    limit: Option<Duration>,
}

impl Driver {
    pub(super) fn new(link: Arc<Link>, settings: &Settings) -> Self {
        Self { link, last: Bytes::new(), is_eof: false, idle_timeout: settings.idle_timeout }
    }

    /// Runs until the connection is over and closed.
    pub(super) fn run(mut self) -> Result<(), ConnectionError> {
        let result = loop {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(result)) => break result,
                Err(error) => break Err(error.into()),
            }
        };
        self.link.lose();
        if !self.is_eof {
            close(&self.link.socket);
        }
        result
    }

    /// Does what there is to do, then waits; gives the end once it is there.
    fn turn(&mut self) -> io::Result<Option<Result<(), ConnectionError>>> {
        let plan = {
            let mut state = self.link.lock();
            // Lost means that the server has stopped waiting for it.
            let Some(state) = &mut *state else { return Ok(Some(Ok(()))) };
            self.link.advance(state);
            self.is_eof = state.session.is_eof();
            if let Some(result) = state.result.take() {
                return Ok(Some(result));
            }
            // Within the lock: whoever changes something behind our back does so after it.
            self.link.wake.arm();
            self.plan(state)
        };
        let is_readable = self.wait(plan)?;
        let is_waited_for = match is_readable {
            Some(true) => self.read()?,
            Some(false) => false,
            None => true,
        };
        // The time is up, or a stop has found nothing more to read.
        Ok(if is_waited_for && self.is_idle() { Some(Ok(())) } else { None })
    }

    fn plan(&self, state: &mut State) -> Plan {
        let session = &state.session;
        state.watched = Watched { input: session.wants_read(), output: session.has_outgoing() };
        let limit = match self.idle_timeout {
            // What was in the socket before the stop is still served.
            _ if session.is_stopping() => Some(Duration::ZERO),
            Some(limit) if session.is_idle() => {
                Some(limit.saturating_sub(state.last_news.elapsed()))
            }
            // While it is not idle, too, so that nobody has to wake us when it becomes so.
            limit => limit,
        };
        Plan { watched: state.watched, limit }
    }

    /// Waits for the socket or news. Some when there is any: whether the socket can be read.
    fn wait(&self, plan: Plan) -> io::Result<Option<bool>> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, plan.watched.input);
        flags.set(PollFlags::OUT, plan.watched.output);
        let (wake, socket) = (&self.link.wake, &self.link.socket);
        let mut descriptors = [PollFd::new(wake, PollFlags::IN), PollFd::new(socket, flags)];
        // That a peer has hung up is told whether asked for or not, and would keep us from waiting.
        let count = if flags.is_empty() { 1 } else { 2 };
        let (asked, _) = descriptors.split_at_mut(count);
        let waited = wait(asked, plan.limit);
        let [woken, socket] = descriptors.map(|descriptor| descriptor.revents());
        wake.disarm(!woken.is_empty());
        waited?;
        if woken.is_empty() && socket.is_empty() {
            return Ok(None);
        }
        Ok(Some(plan.watched.input && !socket.difference(PollFlags::OUT).is_empty()))
    }

    /// Reads what is there; true when nothing is.
    fn read(&mut self) -> io::Result<bool> {
        // Asked for now, as a request may have ended since the wait began: an idle connection keeps a small buffer.
        let size = self.link.lock().as_ref().map_or(0, |state| state.session.read_size());
        if size == 0 {
            return Ok(false);
        }
        let last = std::mem::take(&mut self.last);
        let mut buf = if last.is_unique() { Vec::from(last) } else { Vec::new() };
        buf.clear();
        if buf.capacity() != size {
            buf = Vec::with_capacity(size);
        }
        match self.link.socket.read(&mut buf) {
            Ok(None) => return Ok(true),
            // A failure is the end as well.
            Ok(Some(0)) | Err(_) => buf.clear(),
            Ok(Some(_)) => {}
        }
        let data = Bytes::from(buf);
        if let Some(state) = &mut *self.link.lock() {
            state.session.handle_read(data.clone());
            state.last_news = Instant::now();
        }
        self.last = data;
        Ok(false)
    }

    /// Whether the connection has idled for too long, or is idle and to stop.
    fn is_idle(&self) -> bool {
        self.link.lock().as_ref().is_none_or(|state| {
            let is_over = |limit| state.last_news.elapsed() >= limit;
            state.session.is_stopping() || state.session.idle_timeout().is_some_and(is_over)
        })
    }
}

/// Closes so that the peer gets the whole answer: input is read and thrown away for a moment.
fn close(socket: &Socket) {
    if socket.shutdown_write().is_err() {
        return;
    }
    let (time, mut left) = Settings::LINGER;
    let end = Instant::now() + time;
    let mut buf = Vec::with_capacity(LINGER_READ);
    while left > 0 {
        buf.clear();
        match socket.read(&mut buf) {
            Ok(Some(0)) | Err(_) => return,
            Ok(Some(count)) => left = left.saturating_sub(count),
            Ok(None) => {
                let time = end.saturating_duration_since(Instant::now());
                let waited = wait(&mut [PollFd::new(socket, PollFlags::IN)], Some(time));
                if time.is_zero() || waited.is_err() {
                    return;
                }
            }
        }
    }
}

const LINGER_READ: usize = 16 * 1024;
