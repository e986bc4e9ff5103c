//! What the clients are meant to reach.

use super::measured::Measured;
use super::who::Who;
use super::{CONCURRENCY, TOGETHER};

/// One goal, and how far it is.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) title: String,
    pub(super) limit: f64,
    /// The worst that was measured.
    pub(super) found: f64,
    /// Whether more is better.
    pub(super) is_least: bool,
}

impl Goal {
    pub(super) fn is_met(&self) -> bool {
        if self.is_least { self.found >= self.limit } else { self.found <= self.limit }
    }

    fn most(title: impl Into<String>, limit: f64, found: Option<f64>) -> Option<Self> {
        Some(Self { title: title.into(), limit, found: found?, is_least: false })
    }

    fn least(title: impl Into<String>, limit: f64, found: Option<f64>) -> Option<Self> {
        Some(Self { title: title.into(), limit, found: found?, is_least: true })
    }
}

const OURS: [Who; 3] = [Who::Blocking, Who::Tokio, Who::AsyncStd];

/// Those that something was measured for.
pub(super) fn all(measured: &Measured) -> Vec<Goal> {
    let calls = |who| measured.exact(who).and_then(|exact| exact.calls);
    let mut goals = Vec::new();
    for who in OURS {
        let name = who.name();
        let (writes, reads) =
            (calls(who).map(|calls| calls.writes), calls(who).map(|calls| calls.reads));
        // What starts and ends a process may differ by a call or two between two runs.
        let slack = 0.02;
        goals.push(Goal::most(format!("{name}: writes for a small request"), 1.0 + slack, writes));
        goals.push(Goal::most(format!("{name}: reads for a small request"), 2.0 + slack, reads));
    }
    for (who, limit) in [(Who::Blocking, 1.15), (Who::Tokio, 1.4)] {
        let title = format!("{}: processor time of raw sockets, times", who.name());
        goals.push(Goal::most(title, limit, worst(measured, who, Who::Floor)));
    }
    for who in OURS {
        let title = format!("{}: processor time of fastcgi-client, times", who.name());
        goals.push(Goal::most(title, 0.5, worst(measured, who, Who::FastcgiClient)));
    }
    for (who, limit) in [(Who::Blocking, 2.0), (Who::Tokio, 8.0)] {
        let title = format!("{}: allocations for a request", who.name());
        let found = measured.exact(who).map(|exact| exact.allocations);
        goals.push(Goal::most(title, limit, found));
    }
    for (shared, alone) in [(Who::TokioShared, Who::Tokio), (Who::AsyncStdShared, Who::AsyncStd)] {
        let title = format!("{}: throughput of {TOGETHER} connections, times", shared.name());
        let found = measured.shared(shared).zip(measured.null(alone, TOGETHER));
        let found = found.map(|(shared, alone)| shared.per_second() / alone.per_second());
        goals.push(Goal::least(title, 2.0, found));
    }
    for who in OURS {
        let title = format!("{}: speed of a copy of 1 GiB, times", who.name());
        let found = measured.streamed(who).zip(measured.streamed(Who::Floor));
        let found = found
            .map(|(ours, floor)| floor.spent.time.as_secs_f64() / ours.spent.time.as_secs_f64());
        goals.push(Goal::least(title, 0.8, found));
    }
    goals.into_iter().flatten().collect()
}

/// The most that one needed of what the other needs, over all concurrencies.
fn worst(measured: &Measured, who: Who, other: Who) -> Option<f64> {
    let ratios = CONCURRENCY.into_iter().map(|concurrency| {
        let (ours, theirs) = (measured.null(who, concurrency)?, measured.null(other, concurrency)?);
        Some(ours.cpu_micros() / theirs.cpu_micros())
    });
    ratios.collect::<Option<Vec<_>>>()?.into_iter().reduce(f64::max)
}
