//! Programs that are started, measured and stopped.

use std::fs;
use std::io::Result;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::failed;

/// A program with its children; killed when dropped.
pub(super) struct Program {
    name: String,
    child: Child,
}

impl Program {
    /// Starts it, with what it prints in a file.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| {
            failed(format_args!("cannot start {name}: {error}; is its Debian package installed?"))
        })?;
        Ok(Self { name, child })
    }

    /// Whether it is still there.
    pub(super) fn check(&mut self, log: &Path) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = fs::read_to_string(log).unwrap_or_default();
                Err(failed(format_args!("{} ended with {status}:\n{log}", self.name)))
            }
        }
    }

    /// The processor time of all of its processes so far.
    pub(super) fn cpu(&self) -> Duration {
        self.tree().into_iter().filter_map(cpu).sum()
    }

    /// The most memory that its processes ever held, in KiB; pages that they share count for each.
    pub(super) fn peak_memory(&self) -> u64 {
        self.tree().into_iter().filter_map(|pid| status(pid, "VmHWM:")).sum()
    }

    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while let Some(&pid) = tree.get(at) {
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        tree
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The leaves first, so that no parent starts them anew; SIGTERM would let it wait for its clients.
        for pid in self.tree() {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
        let _ = self.child.wait();
    }
}

/// User and system time, which the kernel gives in hundredths of a second.
fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The most memory that this process ever held, in KiB.
pub(super) fn own_peak_memory() -> u64 {
    status(std::process::id(), "VmHWM:").unwrap_or(0)
}

fn status(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
