use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Instant;

use bytes::Buf;
use fcgi_proto::client::{Probe, Session};
use fcgi_proto::{Address, Params};

use super::clock::Line;
use crate::io::{ReadBuf, poll_write};
use crate::socket::Stream;
use crate::time::until;

/// How much is read at once from a connection that requests share.
const READ_SIZE: usize = 32 * 1024;
/// How often in a row a connection may read or write before the reactor serves others.
const TURNS: u32 = 32;

/// Carries bytes between a socket and its session, until nobody needs the connection any more.
///
/// It is the waker of its own socket, so that it needs neither a task nor an executor: whoever drives the reactor carries
/// the bytes, which is `async-io`'s own thread if nobody else does. Nothing in here waits.
pub(super) struct Carrier {
    /// Gone once the connection is over, and with it what keeps this here: the wakers in the session and at the socket.
    work: Mutex<Option<Work>>,
    /// How often it was called since somebody runs it, who goes round again for them.
    calls: AtomicUsize,
}

struct Work {
    io: Stream,
    session: Session,
    line: Line,
    epoch: Instant,
    buf: ReadBuf,
    /// The last read took all there was: the reactor says when there is more.
    is_drained: bool,
}

/// The waker of the session, which callers call. They get the reactor to run the connection instead of doing so
/// themselves: what many callers have to send in one go of their executor is written at once then, and none of them
/// meets a lock that he holds.
struct Bell(Arc<Carrier>);

impl Carrier {
    /// Starts to carry; it stops by itself.
    pub(super) fn start(io: Stream, session: Session, line: Line, epoch: Instant) {
        let buf = ReadBuf::default();
        let work = Work { io, session, line, epoch, buf, is_drained: true };
        let calls = AtomicUsize::new(0);
        Arc::new(Bell(Arc::new(Self { work: Mutex::new(Some(work)), calls }))).ring();
    }

    /// Does `first`, and carries if somebody else has called meanwhile; or leaves it to who is at it.
    fn enter(self: &Arc<Self>, first: impl FnOnce(&Arc<Self>)) {
        if self.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let mut seen = 1;
        first(self);
        while let Err(now) =
            self.calls.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire)
        {
            seen = now;
            self.carry();
        }
    }

    fn carry(self: &Arc<Self>) {
        let mut place = self.lock();
        let Some(work) = &mut *place else { return };
        let socket = Waker::from(Arc::clone(self));
        let news = Waker::from(Arc::new(Bell(Arc::clone(self))));
        let is_over = work.poll_run(&mut Context::from_waker(&socket), &news).is_ready();
        if is_over {
            let work = place.take();
            drop(place);
            drop(work); // tells the callers, and the pool
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Carrier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.enter(Self::carry);
    }
}

impl Bell {
    fn ring(self: &Arc<Self>) {
        self.0.enter(|carrier| {
            let (socket, news) = (Arc::clone(carrier).into(), Arc::clone(self).into());
            let mut place = carrier.lock();
            let Some(work) = &mut *place else { return };
            work.call_reactor(&Context::from_waker(&socket));
            // The reactor may call late, when the socket takes nothing, and there may be more news before.
            while work.session.poll_news(&Context::from_waker(&news)).is_ready() {
                work.call_reactor(&Context::from_waker(&socket));
            }
            let is_over = work.session.is_over();
            drop(place);
            if is_over {
                carrier.carry();
            }
        });
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl Work {
    fn poll_run(&mut self, cx: &mut Context<'_>, news: &Waker) -> Poll<()> {
        let mut turns = 0;
        while !self.session.is_over() {
            let is_written = self.poll_write(cx).is_ready();
            let is_read = self.poll_read(cx).is_ready();
            if !is_written && !is_read {
                ready!(self.session.poll_news(&Context::from_waker(news)));
            }
            turns += 1;
            if turns == TURNS {
                self.call_reactor(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Has the waker called at the reactor's next turn, or when the socket takes bytes again, or brings some: a peer that
    /// waits for us to read takes none.
    fn call_reactor(&mut self, cx: &Context<'_>) {
        let mut cx = Context::from_waker(cx.waker());
        // Ready means that it was so at an earlier turn.
        while self.session.wants_read() && self.io.poll_readable(&mut cx).is_ready() {
            self.is_drained = false;
        }
        while let Poll::Ready(result) = self.io.poll_writable(&mut cx) {
            if let Err(error) = result {
                return self.session.handle_read_error(error);
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.has_outgoing() {
            return Poll::Pending;
        }
        let Self { io, session, epoch, .. } = self;
        let written = session.write_with(epoch.elapsed(), |outgoing| poll_write(io, outgoing, cx));
        if let Err(error) = ready!(written) {
            session.handle_write_error(error);
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.session.wants_read() {
            return Poll::Pending;
        }
        if self.is_drained {
            // An error of the reactor's shows in the read as well.
            let _ = ready!(self.io.poll_readable(cx));
            self.is_drained = false;
        }
        match ready!(self.buf.poll_read(Pin::new(&mut self.io), READ_SIZE, cx)) {
            Ok(data) => {
                // A small read has most likely brought all there was; if not, the reactor says so at once.
                self.is_drained = data.len() < READ_SIZE / 2;
                self.session.handle_read(data, self.epoch.elapsed());
            }
            Err(error) => self.session.handle_read_error(error),
        }
        if let Some(values) = self.session.take_values() {
            self.line.on_values(&values);
        }
        Poll::Ready(())
    }
}

/// Asks the application what it can do, on a connection of its own.
pub(super) async fn probe(address: &Address) -> Option<Params> {
    let deadline = Instant::now().checked_add(Probe::TIMEOUT);
    until(deadline, ask(address)).await?.ok()?
}

async fn ask(address: &Address) -> io::Result<Option<Params>> {
    let mut io = Stream::connect(address).await?;
    let mut probe = Probe::new();
    while probe.outgoing().has_remaining() {
        poll_fn(|cx| poll_write(&mut io, &mut probe.outgoing(), cx)).await?;
    }
    let mut buf = ReadBuf::default();
    loop {
        let data = poll_fn(|cx| buf.poll_read(Pin::new(&mut io), 1024, cx)).await?;
        if let Some(outcome) = probe.handle_read(&data) {
            return Ok(outcome);
        }
    }
}
