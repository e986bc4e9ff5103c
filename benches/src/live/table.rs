use std::fmt::Write;
use std::time::Duration;

use super::gateway::{CONCURRENCY, Measured, WORKLOADS};
use super::load::Load;
use super::proxies::{ALL, Proxy};

const INTRODUCTION: &str = "\
# The gateway beside other web servers

Written by `cargo bench -p benches --bench gateway`, all in one run on one machine. Each server has one worker; they stand \
in front of the same application on a unix socket, which does nothing and answers at once, and in front of a php-fpm of \
four workers. The load is wrk with one thread and kept connections. Cells are for 1 / 32 / 256 connections. How each is \
set up is in `src/live/proxies.rs`.

![bar chart](gateway.svg)

";

pub(super) fn render(measured: &Measured) -> String {
    let mut out = String::from(INTRODUCTION);
    section(
        &mut out,
        measured,
        "Processor time of the server for one request, in microseconds",
        |load, cpu| {
            let _ = load;
            format!("{:.0}", micros(cpu))
        },
    );
    section(&mut out, measured, "Requests per second", |load, _| format!("{:.0}", load.per_second));
    section(
        &mut out,
        measured,
        "Latency, median and 99th percentile, in milliseconds",
        |load, _| format!("{:.2} ({:.1})", micros(load.p50) / 1e3, micros(load.p99) / 1e3),
    );
    section(&mut out, measured, "Failed requests", |load, _| load.errors.to_string());
    super::php::render(&mut out, &measured.php);
    out.push_str(
        "\n## Most memory held, all processes together, in MiB\n\n| server | MiB |\n|---|--:|\n",
    );
    for (proxy, kib) in &measured.memory {
        writeln!(out, "| {} | {} |", proxy.name(), kib.div_ceil(1024))
            .expect("a string takes everything");
    }
    super::scale::render(&mut out, &measured.scales);
    if !measured.missing.is_empty() {
        writeln!(
            out,
            "\nNot measured, as they are not installed: {}.",
            measured.missing.join(", ")
        )
        .expect("a string takes everything");
    }
    out
}

fn section(
    out: &mut String,
    measured: &Measured,
    title: &str,
    show: impl Fn(&Load, Duration) -> String,
) {
    write!(out, "\n## {title}\n\n| server |").expect("a string takes everything");
    for workload in WORKLOADS {
        write!(out, " {} |", workload.title).expect("a string takes everything");
    }
    out.push_str("\n|---|");
    out.push_str(&"--:|".repeat(WORKLOADS.len()));
    out.push('\n');
    for proxy in ALL.into_iter().filter(|proxy| is_measured(measured, *proxy)) {
        let cells = (0..WORKLOADS.len()).map(|workload| {
            let cells = CONCURRENCY.iter().filter_map(|connections| {
                let cell = measured.cells.iter().find(|cell| {
                    (cell.proxy, cell.workload, cell.connections) == (proxy, workload, *connections)
                })?;
                // In a second too short for one request there is nothing to say.
                Some(if cell.load.requests == 0 {
                    "-".to_owned()
                } else {
                    show(&cell.load, cell.cpu)
                })
            });
            cells.collect::<Vec<_>>().join(" / ")
        });
        let cells: Vec<_> = cells.collect();
        writeln!(out, "| {} | {} |", proxy.name(), cells.join(" | "))
            .expect("a string takes everything");
    }
}

fn is_measured(measured: &Measured, proxy: Proxy) -> bool {
    measured.cells.iter().any(|cell| cell.proxy == proxy)
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
