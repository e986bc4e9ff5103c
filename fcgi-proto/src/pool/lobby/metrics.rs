use super::super::Snapshot;

/// Figures of an adapter's pool, those of its policy among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections, callers, dials.
    pub pool: Snapshot,
    /// Kept connections that the application had closed, found before a request was sent on them.
    pub stale: u64,
    /// Requests that were sent a second time, since their kept connection broke before a byte came.
    pub retries: u64,
    /// Requests that ran into a time limit.
    pub timeouts: u64,
}
