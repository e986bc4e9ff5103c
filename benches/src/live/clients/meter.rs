//! When to stop, and what it has cost until then.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::counting::Counting;

/// How long to go on, once it is warm.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Count(u64),
    Time(Duration),
}

/// Shared by all who make requests in a process.
#[derive(Debug)]
pub(super) struct Meter {
    warm_up: u64,
    until: Until,
    taken: AtomicU64,
    started: OnceLock<Snapshot>,
}

/// What has been spent so far.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    at: Instant,
    cpu: Duration,
    allocations: u64,
}

/// What a process has spent on its requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) requests: u64,
    pub(super) time: Duration,
    pub(super) cpu: Duration,
    pub(super) allocations: u64,
}

impl Meter {
    pub(super) const fn new(warm_up: u64, until: Until) -> Self {
        Self { warm_up, until, taken: AtomicU64::new(0), started: OnceLock::new() }
    }

    /// Whether there is one more request to make.
    pub(super) fn next(&self) -> bool {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if number < self.warm_up {
            return true;
        }
        let started = self.started.get_or_init(Snapshot::now);
        match self.until {
            Until::Count(count) => number - self.warm_up < count,
            Until::Time(time) => started.at.elapsed() < time,
        }
    }

    /// To be asked when all have stopped. Each of them has been told once that there is no more.
    pub(super) fn spent(&self, workers: usize) -> Spent {
        let now = Snapshot::now();
        let Some(started) = self.started.get() else { return Spent::default() };
        Spent {
            requests: self.taken.load(Ordering::Relaxed) - self.warm_up - workers as u64,
            time: now.at - started.at,
            cpu: now.cpu - started.cpu,
            allocations: now.allocations - started.allocations,
        }
    }
}

impl Snapshot {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(cpu).unwrap_or_default();
        Self { at: Instant::now(), cpu, allocations: Counting::count() }
    }
}

impl Spent {
    pub(super) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64().max(1e-9)
    }
}
