use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Instant;

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Probe, Session};
use fcgi_proto::{Address, Params};
use rustix::event::{PollFd, PollFlags};

use super::clock::Line;
use crate::connect::{Failure, connect};
use crate::socket::{Socket, wait};
use crate::wake::Wake;

/// How much is read at once from a connection that requests share.
const READ_SIZE: usize = 32 * 1024;

/// Carries bytes between a socket and its session in a thread of its own, until nobody needs the connection any more.
pub(super) struct Carrier {
    socket: Socket,
    wake: Arc<Wake>,
    epoch: Instant,
    can_read: bool,
    can_write: bool,
    /// What was read last, to use its memory again.
    last: Bytes,
}

impl Carrier {
    /// Time counts from `epoch`.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub(super) fn new(socket: Socket, epoch: Instant) -> io::Result<Self> {
        let wake = Arc::new(Wake::new()?);
        // Whether an answer is there is asked when it is waited for.
        Ok(Self { socket, wake, epoch, can_read: false, can_write: true, last: Bytes::new() })
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads; session and connection are gone then.
    pub(super) fn spawn(self, session: Session, line: Line) -> io::Result<()> {
        let thread = thread::Builder::new().name("fcgi-carrier".to_owned());
        thread.spawn(move || self.run(session, &line)).map(drop)
    }

    fn run(mut self, mut session: Session, line: &Line) {
        let waker = Waker::from(Arc::clone(&self.wake));
        let cx = Context::from_waker(&waker);
        while !session.is_over() {
            let is_written = self.write(&mut session);
            let is_read = self.read(&mut session);
            if let Some(values) = session.take_values() {
                line.on_values(&values);
            }
            if is_written || is_read {
                continue;
            }
            // Before the look: whoever changes something behind it wakes us.
            self.wake.arm();
            if session.poll_news(&cx).is_ready() {
                self.wake.disarm(false);
            } else if let Err(error) = self.wait(&session) {
                session.handle_read_error(error);
            }
        }
    }

    /// Writes what the socket takes at once, and says whether that was anything.
    fn write(&mut self, session: &mut Session) -> bool {
        if !self.can_write || !session.has_outgoing() {
            return false;
        }
        let Self { socket, epoch, .. } = self;
        let (written, is_rest) = session.write_with(epoch.elapsed(), |outgoing| {
            let written = socket.write(outgoing);
            (written, outgoing.has_remaining())
        });
        match written {
            // A write that was cut short would not be taken now.
            Ok(Some(_)) => self.can_write = !is_rest,
            Ok(None) => {
                self.can_write = false;
                return false;
            }
            Err(error) => session.handle_write_error(error),
        }
        true
    }

    /// Reads what is there, and says whether that was anything.
    fn read(&mut self, session: &mut Session) -> bool {
        if !self.can_read || !session.wants_read() {
            return false;
        }
        let last = std::mem::take(&mut self.last);
        let mut buf = if last.is_unique() { Vec::from(last) } else { Vec::new() };
        buf.clear();
        buf.reserve_exact(READ_SIZE);
        match self.socket.read(&mut buf) {
            Ok(Some(_)) => {
                // Less than there was room for is most often all; the end is for the session to see.
                self.can_read = buf.len() == buf.capacity();
                let data = Bytes::from(buf);
                session.handle_read(data.clone(), self.epoch.elapsed());
                self.last = data;
            }
            Ok(None) => {
                self.can_read = false;
                return false;
            }
            Err(error) => session.handle_read_error(error),
        }
        true
    }

    /// Waits for the socket, as far as the session does, and for its callers.
    fn wait(&mut self, session: &Session) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, session.wants_read());
        flags.set(PollFlags::OUT, session.has_outgoing());
        let (wake, socket) = (&*self.wake, &self.socket);
        let mut descriptors = [PollFd::new(wake, PollFlags::IN), PollFd::new(socket, flags)];
        // That a peer has hung up is told whether asked for or not, and would keep us from waiting.
        let count = if flags.is_empty() { 1 } else { 2 };
        let (asked, _) = descriptors.split_at_mut(count);
        let waited = wait(asked, None);
        let [woken, socket] = descriptors.map(|descriptor| descriptor.revents());
        wake.disarm(!woken.is_empty());
        // Trouble shows in reading and writing, whichever goes on.
        self.can_read |= !socket.difference(PollFlags::OUT).is_empty();
        self.can_write |= !socket.difference(PollFlags::IN).is_empty();
        waited
    }
}

/// Asks the application what it can do, on a connection of its own.
pub(super) fn probe(address: &Address) -> Option<Params> {
    ask(address, Instant::now() + Probe::TIMEOUT).ok().flatten()
}

fn ask(address: &Address, deadline: Instant) -> Result<Option<Params>, Failure> {
    let socket = connect(address, Some(deadline))?;
    let mut probe = Probe::new();
    let mut buf = Vec::with_capacity(1024);
    loop {
        if probe.outgoing().has_remaining() {
            socket.write(&mut probe.outgoing())?;
        }
        buf.clear();
        if socket.read(&mut buf)?.is_some() {
            if let Some(outcome) = probe.handle_read(&buf) {
                return Ok(outcome);
            }
            continue;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::TimedOut);
        }
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, probe.outgoing().has_remaining());
        wait(&mut [PollFd::new(&socket, flags)], Some(left))?;
    }
}
