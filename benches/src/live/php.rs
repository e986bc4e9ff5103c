//! A php-fpm of few workers, and whether each of many clients gets its share of them.

use std::fmt::Write;
use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::failed;
use super::load::{self, Shared};
use super::process::Program;
use super::proxies::{ALL, Proxy, Site};
use super::table::micros;
use super::wait_for;

/// How many requests php-fpm runs at once.
const WORKERS: usize = 4;
/// How many clients ask without a pause.
const CLIENTS: usize = 16;

/// What came of a server in front of php-fpm.
#[derive(Debug)]
pub(super) struct Fairness {
    proxy: Proxy,
    /// What the server was told of the number of workers.
    connections: Option<usize>,
    shared: Shared,
}

/// Those servers whose manual has a limit of connections behind which requests queue.
const LIMITED: [Proxy; 2] = [Proxy::Ours, Proxy::Haproxy];

/// Puts every server that can stand there in front of php-fpm.
pub(super) fn measure(
    site: &Site<'_>,
    seconds: u64,
    is_wanted: impl Fn(Proxy) -> bool,
) -> Result<Vec<Fairness>> {
    let php = fpm(site.folder, WORKERS)?;
    let mut measured = Vec::new();
    let unlimited = ALL.into_iter().map(|proxy| (proxy, None));
    let limited = LIMITED.into_iter().map(|proxy| (proxy, Some(WORKERS)));
    for (proxy, connections) in unlimited.chain(limited) {
        // php-fpm takes one request at a time.
        if proxy.multiplexes() || !is_wanted(proxy) {
            continue;
        }
        let own = site.folder.join(format!("{proxy:?}-{connections:?}-php"));
        let running =
            match proxy.start(&Site { folder: &own, socket: &php.1, connections, ..*site }) {
                Ok(running) => running,
                Err(error) if proxy == Proxy::Ours => return Err(error),
                Err(error) => {
                    eprintln!("{} in front of php-fpm: {error}", proxy.name());
                    continue;
                }
            };
        let url = format!("http://127.0.0.1:{}/hello.php", running.port);
        let script = site.folder.join("count.lua");
        let fairness = Fairness {
            proxy,
            connections,
            shared: load::run_shared(&url, CLIENTS, seconds.max(3), &script)?,
        };
        println!("{fairness:?}");
        measured.push(fairness);
    }
    Ok(measured)
}

/// The section of the report.
pub(super) fn render(out: &mut String, measured: &[Fairness]) {
    write!(
        out,
        "\n## php-fpm with {WORKERS} workers, {CLIENTS} clients, a script that prints a word\n\n\
         Each client has its own connection and asks again as soon as it has its answer. The last columns are the requests of the \
         client that was answered least, and of the one that was answered most. \"{WORKERS} connections\": the server was told to open no \
         more to php-fpm than it has workers.\n\n\
         | server | requests per second | median ms | 99th percentile ms | failed | least | most |\n\
         |---|--:|--:|--:|--:|--:|--:|\n"
    )
    .expect("a string takes everything");
    for Fairness { proxy, connections, shared } in measured {
        let Shared { load, least, most } = shared;
        let (p50, p99) = (micros(load.p50) / 1e3, micros(load.p99) / 1e3);
        let limit = connections.map(|count| format!(", {count} connections")).unwrap_or_default();
        writeln!(
            out,
            "| {}{limit} | {:.0} | {p50:.2} | {p99:.1} | {} | {least} | {most} |",
            proxy.name(),
            load.per_second,
            load.errors
        )
        .expect("a string takes everything");
    }
}

/// A php-fpm of so many workers, and its socket.
pub(super) fn fpm(folder: &Path, workers: usize) -> Result<(Program, PathBuf)> {
    let socket = folder.join("php.sock");
    let config = folder.join("php-fpm.conf");
    let shown = socket.display();
    fs::write(
        &config,
        format!(
            "[global]\nerror_log = {}/fpm.log\ndaemonize = no\n[www]\nlisten = {shown}\n\
        listen.backlog = 4096\npm = static\npm.max_children = {workers}\n",
            folder.display()
        ),
    )?;
    let program = ["php-fpm8.2", "php-fpm8.3", "php-fpm8.4", "php-fpm"]
        .into_iter()
        .map(|name| Path::new("/usr/sbin").join(name))
        .find(|path| path.exists())
        .ok_or_else(|| failed("php-fpm is missing; it is Debian's package `php-fpm`"))?;
    let mut command = Command::new(program);
    command.args(["-R", "-n", "-F", "-y"]).arg(&config);
    let program = Program::start(command, &folder.join("php-fpm.log"))?;
    wait_for("php-fpm", || socket.exists().then_some(()))?;
    Ok((program, socket))
}
