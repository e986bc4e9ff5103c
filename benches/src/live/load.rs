//! The load: Debian's `wrk`, one thread, connections kept.

use std::fs;
use std::io::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::failed;
use super::process::Program;

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// Responses of other statuses than 2xx and 3xx, and connections that broke.
    pub(super) errors: u64,
}

pub(super) fn run(
    url: &str,
    connections: usize,
    seconds: u64,
    script: Option<&Path>,
) -> Result<Load> {
    let text = output(command(connections, seconds, script).arg("-t1").arg(url))?;
    parse(&text).ok_or_else(|| failed(format_args!("wrk said:\n{text}")))
}

fn command(connections: usize, seconds: u64, script: Option<&Path>) -> Command {
    let mut command = Command::new("wrk");
    command.args(["--latency", "--timeout=30s"]);
    command.arg(format!("-c{connections}")).arg(format!("-d{seconds}s"));
    if let Some(script) = script {
        command.arg("-s").arg(script);
    }
    command
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| {
        failed(format_args!("cannot run wrk ({error}); it is Debian's package `wrk`"))
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A load, and how it was shared among the clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) load: Load,
    /// Requests of the client that was answered least.
    pub(super) least: u64,
    /// And most.
    pub(super) most: u64,
}

/// The same, with a thread and a count for each client. `script` is where the counting script goes.
pub(super) fn run_shared(url: &str, clients: usize, seconds: u64, script: &Path) -> Result<Shared> {
    fs::write(script, COUNT)?;
    let mut command = command(clients, seconds, Some(script));
    let output = output(command.arg(format!("-t{clients}")).arg(url))?;
    let counts = output.lines().find_map(|line| line.strip_prefix(COUNTS));
    let counts: Option<Vec<u64>> =
        counts.map(|counts| counts.split_whitespace().flat_map(str::parse).collect());
    match (parse(&output), counts) {
        (Some(load), Some(counts)) if counts.len() == clients => Ok(Shared {
            load,
            least: counts.iter().copied().min().unwrap_or(0),
            most: counts.iter().copied().max().unwrap_or(0),
        }),
        _ => Err(failed(format_args!("wrk said:\n{output}"))),
    }
}

const COUNTS: &str = "responses of each:";

/// Each thread of wrk has its own Lua.
const COUNT: &str = "\
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() count = 0 end
function response() count = count + 1 end
function done()
  local counts = {}
  for _, thread in ipairs(threads) do table.insert(counts, thread:get('count')) end
  print('responses of each: ' .. table.concat(counts, ' '))
end
";

/// The same as [`run`] with the processor time that a server, the program, took for one request.
pub(super) fn run_at(
    program: &Program,
    url: &str,
    connections: usize,
    seconds: u64,
    script: Option<&Path>,
) -> Result<(Load, Duration)> {
    let before = program.cpu();
    let load = run(url, connections, seconds, script)?;
    let requests = u32::try_from(load.requests.max(1)).unwrap_or(u32::MAX);
    Ok((load, program.cpu().saturating_sub(before) / requests))
}

fn parse(text: &str) -> Option<Load> {
    let mut load = Load::default();
    let mut is_whole = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["50%", time] => load.p50 = duration(time)?,
            ["99%", time] => load.p99 = duration(time)?,
            [count, "requests", "in", ..] => load.requests = count.parse().ok()?,
            // The last line but one; 0 when no request ended in time.
            ["Requests/sec:", rate] => {
                load.per_second = rate.parse().ok()?;
                is_whole = true;
            }
            ["Non-2xx", "or", "3xx", "responses:", count] => {
                load.errors += count.parse::<u64>().ok()?;
            }
            [
                "Socket",
                "errors:",
                "connect",
                connect,
                "read",
                read,
                "write",
                write,
                "timeout",
                timeout,
            ] => {
                for count in [connect, read, write, timeout] {
                    load.errors += count.trim_end_matches(',').parse::<u64>().ok()?;
                }
            }
            _ => {}
        }
    }
    is_whole.then_some(load)
}

/// wrk prints `12.34us`, `1.20ms`, `3.00s`.
fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_understood() {
        let text = "Running 1s test @ http://127.0.0.1:1/\n  Latency Distribution\n     50%  812.00us\n     99%    1.25ms\n  \
            4242 requests in 1.00s, 1.2MB read\n  Socket errors: connect 0, read 1, write 0, timeout 2\n  \
            Non-2xx or 3xx responses: 4\nRequests/sec:   4240.10\n";
        let load = parse(text).expect("figures");
        assert_eq!((load.requests, load.errors), (4242, 7));
        assert_eq!((load.p50, load.p99), (Duration::from_micros(812), Duration::from_micros(1250)));
    }
}
