//! Figures of the process itself, by the names that Prometheus' client libraries give them.

use prometheus_client::registry::Registry;

/// A registry with them. Where the system has no `/proc` it stays empty.
pub(super) fn registry() -> Registry {
    #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "nothing is known"))]
    let mut registry = Registry::default();
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(linux::Process));
    registry
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::WithCurrentSystemInfo;
    use procfs::process::{LimitValue, Process as Proc, Stat};
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;

    /// Reads its figures when they are asked for.
    #[derive(Debug)]
    pub(super) struct Process;

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            // A sandbox may hide any of them; then the others are given out.
            let Ok(process) = Proc::myself() else { return Ok(()) };
            let mut gauge = |name: &str, help: &str, value: Option<f64>| {
                let Some(value) = value else { return Ok(()) };
                let metric = ConstGauge::new(value);
                let place = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
                metric.encode(place)
            };
            let stat = process.stat().ok();
            let memory = stat.as_ref().map(|stat| as_f64(stat.rss_bytes().get()));
            gauge("process_resident_memory_bytes", "Resident memory", memory)?;
            let open = process.fd_count().ok();
            gauge("process_open_fds", "Open files", open.map(|open| as_f64(open as u64)))?;
            let most =
                process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
                    LimitValue::Value(most) => Some(as_f64(most)),
                    LimitValue::Unlimited => None,
                });
            gauge("process_max_fds", "How many may be open", most)?;
            let start = stat.as_ref().and_then(start);
            gauge("process_start_time_seconds", "Start, in seconds since 1970", start)?;
            let Some(stat) = stat else { return Ok(()) };
            let used = as_f64(stat.utime + stat.stime) / as_f64(procfs::ticks_per_second());
            let metric = ConstCounter::new(used);
            let help = "Processor time, of the user and the system";
            metric.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                metric.metric_type(),
            )?)
        }
    }

    fn start(stat: &Stat) -> Option<f64> {
        let boot = procfs::boot_time_secs().ok()?;
        Some(as_f64(boot) + as_f64(stat.starttime) / as_f64(procfs::ticks_per_second()))
    }

    /// Figures of this size lose nothing that matters.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    const fn as_f64(figure: u64) -> f64 {
        figure as f64
    }
}
