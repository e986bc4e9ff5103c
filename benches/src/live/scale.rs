//! What becomes of a server with a crowd of clients, and with a second worker.

use std::fmt::Write;
use std::io::Result;
use std::time::Duration;

use super::crowd::{self, Crowd};
use super::load::{self, Load};
use super::process::Program;
use super::proxies::{Proxy, Running, Site};
use super::table::micros;

/// Load, and processor time of the server for one request.
type Figures = (Load, Duration);

/// One server's figures for a short response.
#[derive(Debug)]
pub(super) struct Scale {
    proxy: Proxy,
    alone: Figures,
    crowded: Figures,
    /// Connections of the crowd that the server closed.
    lost: usize,
    /// In KiB, with the crowd.
    memory: u64,
    /// With a second worker.
    two: Figures,
}

pub(super) const PROXIES: [Proxy; 3] = [Proxy::Ours, Proxy::OursMultiplexed, Proxy::NginxKeepAlive];
const CONNECTIONS: usize = 64;
const TARGET: &str = "/null.php?size=12";

pub(super) fn measure(proxy: Proxy, site: &Site<'_>, seconds: u64) -> Result<Scale> {
    let Running { program, port } = proxy.start(site)?;
    let alone = figures(&program, port, seconds)?;
    let crowd = Crowd::gather(port)?;
    let crowded = figures(&program, port, seconds)?;
    let (lost, memory) = (crowd.end()?, program.peak_memory());
    drop(program);
    let Running { program, port } = proxy.start(&Site { workers: 2, ..*site })?;
    let two = figures(&program, port, seconds)?;
    let scale = Scale { proxy, alone, crowded, lost, memory, two };
    println!("{scale:?}");
    Ok(scale)
}

fn figures(program: &Program, port: u16, seconds: u64) -> Result<Figures> {
    let url = format!("http://127.0.0.1:{port}{TARGET}");
    load::run_at(program, &url, CONNECTIONS, seconds, None)
}

/// The sections of the report.
pub(super) fn render(out: &mut String, scales: &[Scale]) {
    let row = |(load, cpu): &Figures| {
        let (p50, p99) = (micros(load.p50) / 1e3, micros(load.p99) / 1e3);
        format!(
            "{:.0} | {:.0} | {p50:.2} | {p99:.1} | {}",
            micros(*cpu),
            load.per_second,
            load.errors
        )
    };
    let head = "processor µs | requests per second | median ms | 99th percentile ms | failed";
    write!(
        out,
        "\n## A crowd of clients\n\nA response of 12 bytes for {CONNECTIONS} connections, alone and while {} more connections are idle, {} \
         take 4 KiB a second of a response of 1 MiB, and {} send a byte of a request's head a second. Some of the memory is \
         what the system's buffers cannot hold of the {} MiB that nobody takes. At the end, all of them are asked whether they are still there.\n\n\
         | server | {head} | lost | memory MiB |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
        crowd::IDLE,
        crowd::SLOW,
        crowd::SLOW,
        crowd::SLOW,
    )
    .expect("a string takes everything");
    for scale in scales {
        let name = scale.proxy.name();
        writeln!(out, "| {name} | {} | | |", row(&scale.alone)).expect("a string takes everything");
        writeln!(
            out,
            "| {name}, crowded | {} | {} | {} |",
            row(&scale.crowded),
            scale.lost,
            scale.memory.div_ceil(1024)
        )
        .expect("a string takes everything");
    }
    write!(
        out,
        "\n## Two workers\n\nThe same load. On a machine of two cores, load and application take the time that a second worker could use; \
         what it costs shows in the processor time of a request.\n\n| server | {head} |\n|---|--:|--:|--:|--:|--:|\n"
    )
    .expect("a string takes everything");
    for scale in scales {
        let name = scale.proxy.name();
        writeln!(out, "| {name}, one worker | {} |", row(&scale.alone))
            .expect("a string takes everything");
        writeln!(out, "| {name}, two workers | {} |", row(&scale.two))
            .expect("a string takes everything");
    }
}
