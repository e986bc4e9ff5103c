use super::super::Snapshot;

/// Figures of an adapter's pool, those of its policy among them.
///
/// ```
/// use fcgi_proto::pool::Metrics;
///
/// /// A line of a log.
/// fn line(metrics: &Metrics) -> String {
///     let pool = &metrics.pool;
///     format!("{} connections, {} waiting, {} retries", pool.connections, pool.waiting, metrics.retries)
/// }
/// assert_eq!(line(&Metrics::default()), "0 connections, 0 waiting, 0 retries");
/// ```
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
