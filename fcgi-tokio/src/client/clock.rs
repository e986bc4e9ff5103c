use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fcgi_proto::pool::{self, Clock};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::single::Link;

pub(super) type Lobby = pool::Lobby<Box<Link>, TokioClock>;
pub(super) type Entry = pool::Entry<Box<Link>, TokioClock>;
pub(super) type Lease = pool::Lease<Box<Link>, TokioClock>;
pub(super) type Line = pool::Line<Box<Link>, TokioClock>;
pub(super) type Place = pool::Place<Box<Link>, TokioClock>;

/// Tokio's clock, and a task that calls the lobby when the time has come.
pub(super) struct TokioClock {
    epoch: Instant,
    alarm: Mutex<Option<Duration>>,
    bell: Arc<Notify>,
    has_task: AtomicBool,
}

impl TokioClock {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            alarm: Mutex::new(None),
            bell: Arc::new(Notify::new()),
            has_task: AtomicBool::new(false),
        }
    }

    /// The moment from which the pool's time is counted.
    pub(super) const fn epoch(&self) -> Instant {
        self.epoch
    }

    fn replace_alarm(&self, at: Option<Duration>) {
        *self.alarm.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// When the lobby is to be called.
    fn moment(&self) -> Option<Instant> {
        let alarm = *self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        alarm.and_then(|at| self.epoch.checked_add(at))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn set_alarm(&self, at: Duration) {
        self.replace_alarm(Some(at));
        self.bell.notify_one();
    }
}

impl Drop for TokioClock {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}

/// Starts the task unless there is one; a pool can be made outside of a runtime, but not used there.
pub(super) fn start(lobby: &Arc<Lobby>) {
    let clock = lobby.clock();
    // Looked at first, as it is of all requests on all threads, and next to never changed.
    if !clock.has_task.load(Ordering::Relaxed) && !clock.has_task.swap(true, Ordering::Relaxed) {
        let ringer = Ringer(Arc::downgrade(lobby));
        tokio::spawn(ringer.run(Arc::clone(&clock.bell)));
    }
}

/// Calls the lobby when a limit has passed, until the pool is gone. The next request starts another if its runtime ends
/// before.
struct Ringer(Weak<Lobby>);

impl Ringer {
    async fn run(self, bell: Arc<Notify>) {
        while let Some(lobby) = self.0.upgrade() {
            let moment = lobby.clock().moment();
            drop(lobby);
            match moment {
                None => bell.notified().await,
                Some(moment) => {
                    if timeout_at(moment, bell.notified()).await.is_err() {
                        self.ring();
                    }
                }
            }
        }
    }

    fn ring(&self) {
        if let Some(lobby) = self.0.upgrade() {
            // It sets the next.
            lobby.clock().replace_alarm(None);
            lobby.ring();
        }
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        if let Some(lobby) = self.0.upgrade() {
            lobby.clock().has_task.store(false, Ordering::Relaxed);
        }
    }
}
