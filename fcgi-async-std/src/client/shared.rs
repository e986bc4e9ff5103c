use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;
use fcgi_proto::pool::{AcquireError, ConnId, Depot, Pool, Turn, WaitError, WaiterId};

use super::driver::Link;
use super::lease::Lease;
use super::pool::Metrics;

/// What the clones of a pool share: the policy, its idle connections, and who waits.
pub(super) struct Shared {
    state: Mutex<State>,
    /// The moment from which the policy's time is counted.
    epoch: Instant,
    /// Acts when a limit has passed; see [`Alarm`].
    alarm: Waker,
}

struct State {
    depot: Depot<Link>,
    waiting: HashMap<WaiterId, Seat>,
    counts: Metrics,
    last_connect_error: Option<io::ErrorKind>,
    /// When the alarm goes off, in the policy's time.
    alarm: Option<(Duration, Timer)>,
}

/// Where a caller in the queue finds its turn.
#[derive(Default)]
struct Seat {
    turn: Option<Turn<Link>>,
    waker: Option<Waker>,
}

/// A place for one request: on a connection that is there, or on one to be dialled.
pub(super) struct Place {
    pub(super) lease: Lease,
    pub(super) link: Option<Link>,
    pub(super) upstream: usize,
}

/// Why there is no place.
#[derive(Debug)]
pub(super) enum NoPlace {
    Full { limit: usize },
    Expired,
    Unreachable(io::ErrorKind),
}

impl Shared {
    pub(super) fn new(policy: Pool) -> Arc<Self> {
        let state = State {
            depot: Depot::new(policy),
            waiting: HashMap::new(),
            counts: Metrics::default(),
            last_connect_error: None,
            alarm: None,
        };
        Arc::new_cyclic(|shared| Self {
            state: Mutex::new(state),
            epoch: Instant::now(),
            alarm: Arc::new(Alarm(Weak::clone(shared))).into(),
        })
    }

    /// Waits for a place. Dropping the future gives it back.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Place, NoPlace> {
        loop {
            let turn = match self.ask()? {
                Ok(turn) => turn,
                Err(mut waiting) => poll_fn(|cx| waiting.poll_turn(cx)).await,
            };
            let (conn, upstream, link) = match turn {
                Turn::Reuse { conn, upstream, link } => (conn, upstream, Some(link)),
                Turn::Dial { conn, upstream } => (conn, upstream, None),
                Turn::Fail(error) => return Err(self.failed(error)),
            };
            let lease = Lease::new(Arc::clone(self), conn, link.is_some());
            if link.as_ref().is_none_or(|link| !link.is_stale()) {
                return Ok(Place { lease, link, upstream });
            }
            self.count(|counts| counts.stale += 1);
        }
    }

    pub(super) fn on_connected(&self, conn: ConnId) {
        self.act(|state, now| state.depot.handle_connected(conn, now));
    }

    pub(super) fn on_connect_error(&self, conn: ConnId, error: io::ErrorKind) {
        self.act(|state, now| {
            state.last_connect_error = Some(error);
            state.depot.handle_connect_error(conn, now);
        });
    }

    pub(super) fn on_first_byte(&self, conn: ConnId) {
        self.act(|state, _| state.depot.handle_first_byte(conn));
    }

    pub(super) fn on_closed(&self, conn: ConnId) {
        self.act(|state, now| state.depot.handle_closed(conn, now));
    }

    pub(super) fn release(&self, conn: ConnId, link: Link) {
        self.act(|state, now| state.depot.release(conn, link, now));
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Metrics)) {
        count(&mut self.lock().counts);
    }

    pub(super) fn metrics(&self) -> Metrics {
        let state = self.lock();
        Metrics { pool: state.depot.snapshot(), ..state.counts }
    }

    /// Asks the policy for a place: one that is there, or a place in the queue.
    fn ask(self: &Arc<Self>) -> Result<Result<Turn<Link>, Waiting>, NoPlace> {
        self.act(|state, now| match state.depot.acquire(now) {
            Ok(Ok(turn)) => Ok(Ok(turn)),
            Ok(Err(waiter)) => {
                state.waiting.insert(waiter, Seat::default());
                Ok(Err(Waiting { shared: Arc::clone(self), waiter }))
            }
            Err(AcquireError::QueueFull { limit }) => Err(NoPlace::Full { limit }),
            Err(_) => Err(NoPlace::Expired),
        })
    }

    fn failed(&self, error: WaitError) -> NoPlace {
        let reason = self.lock().last_connect_error;
        match (error, reason) {
            (WaitError::Unreachable, Some(reason)) => NoPlace::Unreachable(reason),
            _ => NoPlace::Expired,
        }
    }

    /// Tells the policy something, then does what it says.
    fn act<T>(&self, tell: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.lock();
        let now = self.epoch.elapsed();
        let answer = tell(&mut state, now);
        let called = state.call_turns(now);
        state.set_alarm(now, self.epoch, &self.alarm);
        drop(state);
        // Outside the lock: who is woken may want it at once.
        called.into_iter().for_each(Waker::wake);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts turns on the seats of those who wait, and gives back who is to be woken.
    fn call_turns(&mut self, now: Duration) -> Vec<Waker> {
        let mut called = Vec::new();
        while let Some((waiter, turn)) = self.depot.poll_turn(now) {
            match self.waiting.get_mut(&waiter) {
                Some(seat) => {
                    seat.turn = Some(turn);
                    called.extend(seat.waker.take());
                }
                None => self.depot.take_back(turn, now),
            }
        }
        called
    }

    /// Sets the alarm unless it goes off early enough: limits move into the future with every request.
    fn set_alarm(&mut self, now: Duration, epoch: Instant, alarm: &Waker) {
        let Some(next) = self.depot.poll_timeout(now) else { return };
        if self.alarm.as_ref().is_some_and(|(at, _)| now < *at && *at <= next) {
            return;
        }
        let mut at = next.max(now + SHORTEST);
        while let Some(moment) = epoch.checked_add(at) {
            let mut timer = Timer::at(moment);
            let is_past = Pin::new(&mut timer).poll(&mut Context::from_waker(alarm)).is_ready();
            self.alarm = Some((at, timer));
            if !is_past {
                return;
            }
            at = epoch.elapsed() + SHORTEST;
        }
    }
}

/// Closes idle connections, and calls those whose turn has come, when a limit has passed.
///
/// It is the waker of a timer: whoever drives the reactor calls it, which is `async-io`'s own thread if nobody else does.
/// So the pool needs neither a task nor an executor, and its limits hold also when nobody uses it.
struct Alarm(Weak<Shared>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            shared.act(|_, _| ());
        }
    }
}

/// A caller in the queue.
struct Waiting {
    shared: Arc<Shared>,
    waiter: WaiterId,
}

impl Waiting {
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<Turn<Link>> {
        let mut state = self.shared.lock();
        let Some(seat) = state.waiting.get_mut(&self.waiter) else {
            return Poll::Ready(Turn::Fail(WaitError::Expired));
        };
        if let Some(turn) = seat.turn.take() {
            state.waiting.remove(&self.waiter);
            return Poll::Ready(turn);
        }
        seat.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self { shared, waiter } = self;
        let Some(seat) = shared.lock().waiting.remove(waiter) else { return };
        // The turn may have come without being looked at.
        shared.act(|state, now| match seat.turn {
            Some(turn) => state.depot.take_back(turn, now),
            None => state.depot.cancel(*waiter),
        });
    }
}

/// How soon the alarm goes off at the earliest.
const SHORTEST: Duration = Duration::from_millis(1);
