//! System calls, as `strace -c` counts them.

use std::io::{ErrorKind, Result};
use std::process::Command;

use crate::live::failed;

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) writes: f64,
    pub(super) reads: f64,
    pub(super) others: f64,
}

impl Calls {
    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            writes: self.writes - before.writes,
            reads: self.reads - before.reads,
            others: self.others - before.others,
        }
    }

    pub(super) fn per(self, requests: u64) -> Self {
        let requests = requests.max(1) as f64;
        Self {
            writes: self.writes / requests,
            reads: self.reads / requests,
            others: self.others / requests,
        }
    }

    pub(super) fn all(&self) -> f64 {
        self.writes + self.reads + self.others
    }
}

/// Runs a command to its end; `None` without strace.
pub(super) fn count(command: &Command) -> Result<Option<Calls>> {
    let output = tempfile::NamedTempFile::new()?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(output.path()).arg(command.get_program());
    let run = match strace.args(command.get_args()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        run => run?,
    };
    if !run.status.success() {
        let errors = String::from_utf8_lossy(&run.stderr);
        return Err(failed(format_args!("{strace:?} failed ({}):\n{errors}", run.status)));
    }
    Ok(Some(parse(&std::fs::read_to_string(output.path())?)))
}

fn parse(text: &str) -> Calls {
    let mut calls = Calls::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Share, seconds, microseconds for each, how often, failures if there were any, name.
        let (Some(count), Some(name)) = (words.get(3), words.last()) else { continue };
        let Ok(count) = count.parse::<f64>() else { continue };
        match *name {
            "total" => {}
            "write" | "writev" | "sendto" | "sendmsg" => calls.writes += count,
            "read" | "readv" | "recvfrom" | "recvmsg" => calls.reads += count,
            _ => calls.others += count,
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_understood() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            75.13    0.000287           4        61        30 recvfrom\n \
            12.30    0.000047           1        31           sendmsg\n  \
            0.00    0.000000           0         2           mmap\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.000382           4        94        30 total\n";
        let calls = parse(text);
        assert_eq!(calls, Calls { writes: 31.0, reads: 61.0, others: 2.0 });
        assert_eq!(calls.all(), 94.0);
    }
}
