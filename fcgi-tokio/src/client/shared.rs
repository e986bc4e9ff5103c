use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use fcgi_proto::pool::{AcquireError, Action, ConnId, Grant, Pool, WaitError, WaiterId};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::driver::Link;
use super::lease::Lease;
use super::pool::Metrics;

/// What the clones of a pool share: the policy, its idle connections, and who waits.
pub(super) struct Shared {
    state: Mutex<State>,
    /// The moment from which the policy's time is counted.
    epoch: Instant,
    /// Wakes the task that acts when a limit has passed.
    alarm: Arc<Notify>,
}

struct State {
    policy: Pool,
    idle: HashMap<ConnId, Link>,
    waiting: HashMap<WaiterId, oneshot::Sender<Turn>>,
    counts: Metrics,
    last_connect_error: Option<io::ErrorKind>,
    /// When the alarm goes off; `None` before there is one.
    alarm_at: Option<Option<Duration>>,
}

/// What a waiting caller is told.
#[expect(clippy::large_enum_variant, reason = "moved twice in its life, and never kept in numbers")]
enum Turn {
    Reuse(ConnId, usize, Link),
    Dial(ConnId, usize),
    Fail(WaitError),
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
            policy,
            idle: HashMap::new(),
            waiting: HashMap::new(),
            counts: Metrics::default(),
            last_connect_error: None,
            alarm_at: None,
        };
        let alarm = Arc::new(Notify::new());
        Arc::new(Self { state: Mutex::new(state), epoch: Instant::now(), alarm })
    }

    /// Waits for a place. Dropping the future gives it back.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Place, NoPlace> {
        loop {
            let turn = match self.ask()? {
                Ok(turn) => turn,
                Err(mut waiting) => waiting.turn().await,
            };
            let (conn, upstream, link) = match turn {
                Turn::Reuse(conn, upstream, link) => (conn, upstream, Some(link)),
                Turn::Dial(conn, upstream) => (conn, upstream, None),
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
        self.act(|state, now| state.policy.handle_connected(conn, now));
    }

    pub(super) fn on_connect_error(&self, conn: ConnId, error: io::ErrorKind) {
        self.act(|state, now| {
            state.last_connect_error = Some(error);
            state.policy.handle_connect_error(conn, now);
        });
    }

    pub(super) fn on_first_byte(&self, conn: ConnId) {
        self.act(|state, _| state.policy.handle_first_byte(conn));
    }

    pub(super) fn on_closed(&self, conn: ConnId) {
        self.act(|state, now| state.policy.handle_closed(conn, now));
    }

    pub(super) fn release(&self, conn: ConnId, link: Link) {
        self.act(|state, now| state.release(conn, link, now));
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Metrics)) {
        count(&mut self.lock().counts);
    }

    pub(super) fn metrics(&self) -> Metrics {
        let state = self.lock();
        Metrics { pool: state.policy.snapshot(), ..state.counts }
    }

    /// Asks the policy for a place: one that is there, or a place in the queue.
    fn ask(self: &Arc<Self>) -> Result<Result<Turn, Waiting>, NoPlace> {
        let mut state = self.lock();
        if state.alarm_at.is_none() {
            state.alarm_at = Some(None);
            tokio::spawn(ring(Arc::downgrade(self), Arc::clone(&self.alarm)));
        }
        let now = self.epoch.elapsed();
        let grant = match state.policy.acquire(now) {
            Ok(grant) => grant,
            Err(AcquireError::QueueFull { limit }) => return Err(NoPlace::Full { limit }),
            Err(_) => return Err(NoPlace::Expired),
        };
        let answer = match grant {
            Grant::Wait(waiter) => {
                let (sender, receiver) = oneshot::channel();
                state.waiting.insert(waiter, sender);
                Err(Waiting { shared: Arc::clone(self), waiter, receiver, is_over: false })
            }
            grant => Ok(state.turn(grant)),
        };
        self.settle(state, now);
        Ok(answer)
    }

    fn failed(&self, error: WaitError) -> NoPlace {
        let reason = self.lock().last_connect_error;
        match (error, reason) {
            (WaitError::Unreachable, Some(reason)) => NoPlace::Unreachable(reason),
            _ => NoPlace::Expired,
        }
    }

    /// Tells the policy something, then does what it says.
    fn act(&self, tell: impl FnOnce(&mut State, Duration)) {
        let mut state = self.lock();
        let now = self.epoch.elapsed();
        tell(&mut state, now);
        self.settle(state, now);
    }

    fn settle(&self, mut state: MutexGuard<'_, State>, now: Duration) {
        while let Some(action) = state.policy.poll_action(now) {
            match action {
                Action::Close(conn) => drop(state.idle.remove(&conn)),
                Action::Grant(waiter, grant) => {
                    let turn = state.turn(grant);
                    state.tell(waiter, turn, now);
                }
                Action::Fail(waiter, error) => state.tell(waiter, Turn::Fail(error), now),
                _ => {}
            }
        }
        let next = state.policy.poll_timeout(now);
        let is_earlier = match (next, state.alarm_at.flatten()) {
            (Some(next), Some(at)) => next < at,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        if is_earlier {
            self.alarm.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection that a grant speaks of.
    fn turn(&mut self, grant: Grant) -> Turn {
        match grant {
            Grant::Reuse { conn, upstream } => match self.idle.remove(&conn) {
                Some(link) => Turn::Reuse(conn, upstream, link),
                None => Turn::Fail(WaitError::Expired),
            },
            Grant::Dial { conn, upstream } => Turn::Dial(conn, upstream),
            Grant::Wait(_) => Turn::Fail(WaitError::Expired),
        }
    }

    fn tell(&mut self, waiter: WaiterId, turn: Turn, now: Duration) {
        let unheard = match self.waiting.remove(&waiter) {
            Some(sender) => sender.send(turn).err(),
            None => Some(turn),
        };
        if let Some(turn) = unheard {
            self.take_back(turn, now);
        }
    }

    /// A turn that nobody took.
    fn take_back(&mut self, turn: Turn, now: Duration) {
        match turn {
            Turn::Reuse(conn, _, link) => self.release(conn, link, now),
            Turn::Dial(conn, _) => self.policy.handle_closed(conn, now),
            Turn::Fail(_) => {}
        }
    }

    fn release(&mut self, conn: ConnId, link: Link, now: Duration) {
        self.idle.insert(conn, link);
        if !self.policy.release(conn, true, now).is_keep() {
            self.idle.remove(&conn);
        }
    }
}

/// A caller in the queue.
struct Waiting {
    shared: Arc<Shared>,
    waiter: WaiterId,
    receiver: oneshot::Receiver<Turn>,
    is_over: bool,
}

impl Waiting {
    async fn turn(&mut self) -> Turn {
        let turn = (&mut self.receiver).await;
        self.is_over = true;
        turn.unwrap_or(Turn::Fail(WaitError::Expired))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Self { shared, waiter, receiver, .. } = self;
        receiver.close();
        // The turn may have come without being looked at.
        let turn = receiver.try_recv().ok();
        shared.act(|state, now| {
            state.waiting.remove(waiter);
            match turn {
                Some(turn) => state.take_back(turn, now),
                None => state.policy.cancel(*waiter),
            }
        });
    }
}

/// Acts when a limit has passed, until the pool is gone.
async fn ring(shared: Weak<Shared>, alarm: Arc<Notify>) {
    while let Some(shared) = shared.upgrade() {
        let next = {
            let state = shared.lock();
            let now = shared.epoch.elapsed();
            shared.settle(state, now);
            let mut state = shared.lock();
            let next = state.policy.poll_timeout(now);
            state.alarm_at = Some(next);
            next.and_then(|next| shared.epoch.checked_add(next))
        };
        drop(shared);
        match next {
            Some(deadline) => {
                let _ = tokio::time::timeout_at(deadline, alarm.notified()).await;
            }
            None => alarm.notified().await,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.alarm.notify_one();
    }
}
