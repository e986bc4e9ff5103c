use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;
use fcgi_proto::pool::{self, Clock};

use super::single::Link;

pub(super) type Lobby = pool::Lobby<Box<Link>, Reactor>;
pub(super) type Entry = pool::Entry<Box<Link>, Reactor>;
pub(super) type Lease = pool::Lease<Box<Link>, Reactor>;
pub(super) type Line = pool::Line<Box<Link>, Reactor>;
pub(super) type Place = pool::Place<Box<Link>, Reactor>;

/// The clock of the system, and a timer of `async-io` that calls the lobby when the time has come.
///
/// Whoever drives the reactor calls it, which is `async-io`'s own thread if nobody else does. So the pool needs neither a
/// task nor an executor, and its limits hold also when nobody uses it.
pub(super) struct Reactor {
    epoch: Instant,
    timer: Mutex<Option<Timer>>,
    bell: Arc<Bell>,
}

/// The waker of the timer.
#[derive(Default)]
struct Bell(Mutex<Weak<Lobby>>);

impl Reactor {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), timer: Mutex::new(None), bell: Arc::default() }
    }

    /// The moment from which the pool's time is counted.
    pub(super) const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Says whom to call.
    pub(super) fn start(lobby: &Arc<Lobby>) {
        let mut bell = lobby.clock().bell.0.lock().unwrap_or_else(PoisonError::into_inner);
        *bell = Arc::downgrade(lobby);
    }
}

impl Clock for Reactor {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn set_alarm(&self, at: Duration) {
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut at = at.max(self.now() + SHORTEST);
        while let Some(moment) = self.epoch.checked_add(at) {
            let mut timer = Timer::at(moment);
            let is_past = Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)).is_ready();
            *self.timer.lock().unwrap_or_else(PoisonError::into_inner) = Some(timer);
            if !is_past {
                return;
            }
            at = self.now() + SHORTEST;
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let lobby = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(lobby) = lobby {
            lobby.ring();
        }
    }
}

/// How soon the alarm goes off at the earliest.
const SHORTEST: Duration = Duration::from_millis(1);
