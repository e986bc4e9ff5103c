//! The processes of this machine, as `/proc` shows them.

use std::fs;

/// One running process; those that only wait to be reaped are left out.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
}

/// Whether a process of this number runs; one that only waits to be reaped does not.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    running(pid).is_some()
}

/// Every running process, in no particular order.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is not there, and these tests need it");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(running).collect()
}

fn running(pid: u32) -> Option<Process> {
    // A process may end between the listing and this.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&stat))
}

/// Reads `pid (name) state parent group ...`; the name may hold anything, parentheses too.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (!matches!(state, "Z" | "X")).then_some(Process { pid, parent, group })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn fields() {
        let process = parse(7, "7 (php-fpm: pool) x) S 3 5 5 0 -1 4194560").expect("parses");
        assert_eq!((process.pid, process.parent, process.group), (7, 3, 5));
        assert!(parse(7, "7 (dead) Z 3 5 5 0").is_none());
        assert!(parse(7, "nonsense").is_none());
    }
}
