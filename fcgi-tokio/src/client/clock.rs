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

    fn replace_alarm(&self, at: Option<Duration>) -> Option<Duration> {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut alarm, at)
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

/// Starts the task, once; a pool can be made outside of a runtime, but not used there.
pub(super) fn start(lobby: &Arc<Lobby>) {
    let clock = lobby.clock();
    if !clock.has_task.swap(true, Ordering::Relaxed) {
        tokio::spawn(ring(Arc::downgrade(lobby), Arc::clone(&clock.bell)));
    }
}

/// Calls the lobby when a limit has passed, until the pool is gone.
async fn ring(lobby: Weak<Lobby>, bell: Arc<Notify>) {
    let mut alarm = None;
    while let Some(clock) = lobby.upgrade() {
        alarm = clock.clock().replace_alarm(None).or(alarm);
        let moment = alarm.and_then(|at| clock.clock().epoch.checked_add(at));
        drop(clock);
        match moment {
            None => bell.notified().await,
            Some(moment) => {
                if timeout_at(moment, bell.notified()).await.is_err() {
                    alarm = None;
                    if let Some(lobby) = lobby.upgrade() {
                        lobby.ring();
                    }
                }
            }
        }
    }
}
