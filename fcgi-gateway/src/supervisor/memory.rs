//! How much memory this machine, or this container, has left for PHP.

use std::fs;

/// In bytes; `None` where the system does not say.
///
/// What is available now and not what there is at all: on a developer's machine a browser and a database have taken their
/// part already. The limit of a container counts when it is less.
pub(super) fn available() -> Option<u64> {
    let read = |path| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").as_deref().and_then(from_meminfo);
    let container =
        CONTAINER_LIMITS.iter().filter_map(|path| read(path)?.trim().parse::<u64>().ok()).min();
    machine.into_iter().chain(container).min()
}

/// Of control groups, version 2 and 1. A limit that is none reads `max`, or as a number beyond every machine.
const CONTAINER_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

fn from_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo() {
        let text = "MemTotal:       16303232 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(from_meminfo(text), Some(2 * 1024 * 1024));
        assert_eq!(from_meminfo("MemTotal: 1 kB\n"), None);
    }
}
