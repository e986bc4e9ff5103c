use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use fcgi_proto::pool::{self, Clock};

use super::single::Link;

pub(super) type Lobby = pool::Lobby<Box<Link>, ThreadClock>;
pub(super) type Entry = pool::Entry<Box<Link>, ThreadClock>;
pub(super) type Lease = pool::Lease<Box<Link>, ThreadClock>;
pub(super) type Line = pool::Line<Box<Link>, ThreadClock>;
pub(super) type Place = pool::Place<Box<Link>, ThreadClock>;

/// The clock of the system, and a thread that calls the lobby when the time has come. It ends with the pool.
pub(super) struct ThreadClock {
    epoch: Instant,
    alarm: Arc<Alarm>,
}

#[derive(Default)]
struct Alarm {
    state: Mutex<State>,
    is_set: Condvar,
}

#[derive(Default)]
struct State {
    at: Option<Instant>,
    has_thread: bool,
    is_over: bool,
}

impl ThreadClock {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), alarm: Arc::default() }
    }

    /// The moment from which the pool's time is counted.
    pub(super) const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// When it is so late; never, when the system cannot count so far.
    pub(super) fn moment(&self, at: Duration) -> Option<Instant> {
        self.epoch.checked_add(at)
    }

    /// Starts the thread, once. Without one, as when the system gives no more, limits on idle connections hold only as far
    /// as the pool is used.
    pub(super) fn start(lobby: &Arc<Lobby>) {
        let alarm = &lobby.clock().alarm;
        let mut state = alarm.lock();
        if !state.has_thread {
            let (alarm, lobby) = (Arc::clone(alarm), Arc::downgrade(lobby));
            let thread = thread::Builder::new().name("fcgi-pool".to_owned());
            state.has_thread = thread.spawn(move || alarm.ring(&lobby)).is_ok();
        }
    }
}

impl Clock for ThreadClock {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn set_alarm(&self, at: Duration) {
        self.alarm.lock().at = self.epoch.checked_add(at);
        self.alarm.is_set.notify_one();
    }
}

impl Drop for ThreadClock {
    fn drop(&mut self) {
        self.alarm.lock().is_over = true;
        self.alarm.is_set.notify_one();
    }
}

impl Alarm {
    fn ring(&self, lobby: &Weak<Lobby>) {
        let mut state = self.lock();
        while !state.is_over {
            let left = state.at.map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.is_set.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if !left.is_zero() => {
                    let waited = self.is_set.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    state.at = None;
                    drop(state);
                    if let Some(lobby) = lobby.upgrade() {
                        lobby.ring();
                    }
                    self.lock()
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
