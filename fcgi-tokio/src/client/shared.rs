use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use fcgi_proto::Address;
use fcgi_proto::pool::{AcquireError, Config, ConnId, Depot, Pool, Turn, WaitError, WaiterId};
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
    depot: Depot<Link>,
    /// By the policy's index. One that was removed stays here until its place is used again.
    addresses: Vec<Arc<Address>>,
    waiting: HashMap<WaiterId, oneshot::Sender<Turn<Link>>>,
    counts: Metrics,
    last_connect_error: Option<io::ErrorKind>,
    /// When the alarm goes off; `None` before there is one.
    alarm_at: Option<Option<Duration>>,
}

/// A place for one request: on a connection that is there, or on one to be dialled.
pub(super) struct Place {
    pub(super) lease: Lease,
    pub(super) link: Option<Link>,
    pub(super) address: Arc<Address>,
}

/// Why there is no place.
#[derive(Debug)]
pub(super) enum NoPlace {
    Full { limit: usize },
    Expired,
    Unreachable(io::ErrorKind),
}

impl Shared {
    pub(super) fn new(config: Config, addresses: impl IntoIterator<Item = Address>) -> Arc<Self> {
        let addresses = Vec::from_iter(addresses.into_iter().map(Arc::new));
        let mut depot = Depot::new(Pool::new(config, addresses.len()));
        if addresses.is_empty() {
            // The policy has one all the same.
            depot.remove_upstream(0, Duration::ZERO);
        }
        let state = State {
            depot,
            addresses,
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
                Turn::Reuse { conn, upstream, link } => (conn, upstream, Some(link)),
                Turn::Dial { conn, upstream } => (conn, upstream, None),
                Turn::Fail(error) => return Err(self.failed(error)),
            };
            let lease = Lease::new(Arc::clone(self), conn, link.is_some());
            if link.as_ref().is_none_or(|link| !link.is_stale()) {
                return Ok(Place { lease, link, address: self.address(upstream) });
            }
            self.count(|counts| counts.stale += 1);
        }
    }

    /// The addresses in use.
    pub(super) fn addresses(&self) -> Vec<Arc<Address>> {
        let state = self.lock();
        let all = state.addresses.iter().enumerate();
        let used = all.filter(|(index, _)| !state.depot.is_removed(*index));
        used.map(|(_, address)| Arc::clone(address)).collect()
    }

    /// Replaces the addresses; those that stay keep their connections.
    pub(super) fn set_addresses(&self, wanted: impl IntoIterator<Item = Address>) {
        let mut wanted = Vec::from_iter(wanted);
        self.act(|state, now| {
            for index in 0..state.addresses.len() {
                if state.depot.is_removed(index) {
                    continue;
                }
                match wanted.iter().position(|address| *address == *state.addresses[index]) {
                    Some(place) => drop(wanted.swap_remove(place)),
                    None => state.depot.remove_upstream(index, now),
                }
            }
            for address in wanted {
                let (index, address) = (state.depot.add_upstream(), Arc::new(address));
                match state.addresses.get_mut(index) {
                    Some(place) => *place = address,
                    None => state.addresses.push(address),
                }
            }
        });
    }

    fn address(&self, upstream: usize) -> Arc<Address> {
        let state = self.lock();
        state.addresses.get(upstream).map_or_else(nowhere, Arc::clone)
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
        let mut state = self.lock();
        if state.alarm_at.is_none() {
            state.alarm_at = Some(None);
            tokio::spawn(ring(Arc::downgrade(self), Arc::clone(&self.alarm)));
        }
        let now = self.epoch.elapsed();
        let answer = match state.depot.acquire(now) {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(waiter)) => {
                let (sender, receiver) = oneshot::channel();
                state.waiting.insert(waiter, sender);
                Err(Waiting { shared: Arc::clone(self), waiter, receiver, is_over: false })
            }
            Err(AcquireError::QueueFull { limit }) => return Err(NoPlace::Full { limit }),
            Err(_) => return Err(NoPlace::Expired),
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
        while let Some((waiter, turn)) = state.depot.poll_turn(now) {
            let unheard = match state.waiting.remove(&waiter) {
                Some(sender) => sender.send(turn).err(),
                None => Some(turn),
            };
            if let Some(turn) = unheard {
                state.depot.take_back(turn, now);
            }
        }
        let next = state.depot.poll_timeout(now);
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

/// What stands for the address when there is none.
pub(super) fn nowhere() -> Arc<Address> {
    Arc::new(Address::Unix(String::new()))
}

/// A caller in the queue.
struct Waiting {
    shared: Arc<Shared>,
    waiter: WaiterId,
    receiver: oneshot::Receiver<Turn<Link>>,
    is_over: bool,
}

impl Waiting {
    async fn turn(&mut self) -> Turn<Link> {
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
                Some(turn) => state.depot.take_back(turn, now),
                None => state.depot.cancel(*waiter),
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
            let next = state.depot.poll_timeout(now);
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
