//! Counters and histograms, for Prometheus.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Event, Observer, Outcome, Record, process};
use crate::Gateway;
use crate::upstream::Upstreams;

/// Counts what goes on, and gives it out in the text format of Prometheus and OpenMetrics. Clones count together.
///
/// | name | labels | what |
/// |---|---|---|
/// | `fcgi_build_info` | `version` | 1 |
/// | `fcgi_requests_total` | `method`, `status` | answers that have ended |
/// | `fcgi_requests_unfinished_total` | `outcome` | those of them that were cut, or left by the client |
/// | `fcgi_requests_running` | | requests under way |
/// | `fcgi_request_duration_seconds` | `phase` | `queue`, `connect`, `head` of the application, and `total` |
/// | `fcgi_received_bytes_total`, `fcgi_sent_bytes_total` | | bodies |
/// | `fcgi_stderr_lines_total` | | lines of the application's error output |
/// | `fcgi_pool_connections` | `state` | to applications: `busy`, `idle` |
/// | `fcgi_pool_waiting`, `fcgi_pool_addresses` | | callers in the queue; addresses in use |
/// | `fcgi_pool_events_total` | `event` | `dial`, `failed_dial`, `reuse`, `stale`, `retry`, `timeout`, `expired`, `turned_away` |
///
/// Methods that are not those of RFC 9110 and PATCH are counted as `OTHER`, so that no client can make up labels.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    unfinished: Family<OutcomeLabels, Counter>,
    running: Gauge,
    durations: Family<PhaseLabels, Histogram>,
    received: Counter,
    sent: Counter,
    stderr_lines: Counter,
    pools: Arc<Mutex<Vec<Arc<Upstreams>>>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

impl Metrics {
    /// Metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("fcgi"),
            requests: Family::default(),
            unfinished: Family::default(),
            running: Gauge::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            received: Counter::default(),
            sent: Counter::default(),
            stderr_lines: Counter::default(),
            pools: Arc::default(),
        };
        inner.register();
        Self { inner: Arc::new(inner) }
    }

    /// Gives out the figures of these gateways' pools as well, summed up, instead of those set before.
    pub fn set_pools<'a>(&self, gateways: impl IntoIterator<Item = &'a Gateway>) {
        let pools = gateways.into_iter().map(Gateway::shared_upstreams);
        *lock(&self.inner.pools) = pools.collect();
    }

    /// Everything in the text format of OpenMetrics 1.0, which Prometheus reads.
    #[must_use]
    pub fn encode(&self) -> String {
        encode([&self.inner.registry])
    }

    /// The same, and the figures of this process.
    pub(crate) fn encode_with_process(&self) -> String {
        encode([&self.inner.registry, &process::registry()])
    }
}

fn encode<'a>(registries: impl IntoIterator<Item = &'a Registry>) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    for registry in registries {
        let _ = text::encode_registry(&mut page, registry);
    }
    let _ = text::encode_eof(&mut page);
    page
}

impl Inner {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This program", build);
        registry.register("requests", "Answers that have ended", self.requests.clone());
        registry.register(
            "requests_unfinished",
            "Answers that were cut, or left by the client",
            self.unfinished.clone(),
        );
        registry.register("requests_running", "Requests under way", self.running.clone());
        registry.register_with_unit(
            "request_duration",
            "Time of each phase of a request",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bodies of requests",
            Unit::Bytes,
            self.received.clone(),
        );
        registry.register_with_unit("sent", "Bodies of answers", Unit::Bytes, self.sent.clone());
        registry.register(
            "stderr_lines",
            "Lines of the application's error output",
            self.stderr_lines.clone(),
        );
        registry.register_collector(Box::new(Pools(Arc::clone(&self.pools))));
    }

    fn ended(&self, record: &Record) {
        let labels = RequestLabels { method: known(record.method()), status: record.status() };
        self.requests.get_or_create(&labels).inc();
        let outcome = record.outcome();
        if outcome != Outcome::Complete {
            self.unfinished.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
        }
        self.running.dec();
        self.received.inc_by(record.received());
        self.sent.inc_by(record.sent());
        self.took("total", record.total());
        if let Some(timings) = record.upstream_timings() {
            self.took("queue", timings.queue);
            self.took("connect", timings.connect);
            self.took("head", timings.head);
        }
    }

    fn took(&self, phase: &'static str, time: Duration) {
        self.durations.get_or_create(&PhaseLabels { phase }).observe(time.as_secs_f64());
    }
}

impl Observer for Metrics {
    fn observe(&self, event: &Event) {
        match event {
            Event::Begun(_) => {
                self.inner.running.inc();
            }
            Event::Stderr(_) => {
                self.inner.stderr_lines.inc();
            }
            Event::Ended(record) => self.inner.ended(record),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// From half a millisecond to a minute, which is when most time limits strike.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

/// The pools' figures at the moment they are asked for.
#[derive(Debug)]
struct Pools(Arc<Mutex<Vec<Arc<Upstreams>>>>);

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let pools = lock(&self.0).clone();
        let all = Vec::from_iter(pools.iter().map(|upstreams| upstreams.pool().metrics()));
        if all.is_empty() {
            return Ok(());
        }
        let sum = |figure: fn(&fcgi_tokio::Metrics) -> u64| all.iter().map(figure).sum::<u64>();
        let gauge = |figure: u64| ConstGauge::new(i64::try_from(figure).unwrap_or(i64::MAX));

        let idle = sum(|metrics| metrics.pool.idle as u64);
        let busy = sum(|metrics| metrics.pool.connections as u64) - idle;
        let name = "pool_connections";
        let mut family =
            encoder.encode_descriptor(name, "To applications", None, gauge(0).metric_type())?;
        for (state, figure) in [("busy", busy), ("idle", idle)] {
            gauge(figure).encode(family.encode_family(&[("state", state)])?)?;
        }

        let waiting = sum(|metrics| metrics.pool.waiting as u64);
        let addresses =
            pools.iter().map(|upstreams| upstreams.pool().addresses().len() as u64).sum();
        for (name, help, figure) in [
            ("pool_waiting", "Callers in the queue", waiting),
            ("pool_addresses", "Addresses in use", addresses),
        ] {
            let metric = gauge(figure);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }

        let counter = ConstCounter::new(0_u64);
        let help = "What happened in the pool";
        let mut family =
            encoder.encode_descriptor("pool_events", help, None, counter.metric_type())?;
        for (event, figure) in [
            ("dial", sum(|metrics| metrics.pool.dials)),
            ("failed_dial", sum(|metrics| metrics.pool.failed_dials)),
            ("reuse", sum(|metrics| metrics.pool.reuses)),
            ("stale", sum(|metrics| metrics.stale)),
            ("retry", sum(|metrics| metrics.retries)),
            ("timeout", sum(|metrics| metrics.timeouts)),
            ("expired", sum(|metrics| metrics.pool.expired)),
            ("turned_away", sum(|metrics| metrics.pool.turned_away)),
        ] {
            ConstCounter::new(figure).encode(family.encode_family(&[("event", event)])?)?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
