//! The configuration that a PHP of ours runs with.

use core::fmt::Write;
use std::path::Path;

use super::user::User;

/// How many PHP processes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolSize {
    /// At most; also the fixed number for php-cgi.
    pub(super) most: usize,
    /// At the start, and always idle.
    pub(super) spare: usize,
}

impl PoolSize {
    /// Scripts wait for databases more than they compute, so there are several per core; but each takes some tens of
    /// megabytes, so there are no more than half of the `memory` in bytes has room for, and never fewer than two: a script
    /// may call its own site.
    pub(super) fn for_machine(cores: usize, memory: Option<u64>) -> Self {
        let room = memory.map_or(u64::MAX, |memory| memory / 2 / WORKER_MEMORY);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let most = cores.saturating_mul(4).clamp(8, 64).min(room).max(2);
        Self { most, spare: cores.clamp(1, most / 2) }
    }
}

/// What one process of a usual application takes.
const WORKER_MEMORY: u64 = 64 * 1024 * 1024;

/// The file for `php-fpm --fpm-config`.
pub(super) fn fpm_config(socket: &Path, size: PoolSize, user: Option<User>) -> String {
    let PoolSize { most, spare } = size;
    let most_spare = (spare * 2).min(most);
    let mut config = format!(
        "; Written by fcgi for the site it serves; removed when it stops.\n\
         [global]\n\
         daemonize = no\n\
         error_log = /dev/stderr\n\
         log_limit = 8192\n\
         ; How long a reload waits for requests under way.\n\
         process_control_timeout = 30s\n\
         \n\
         [site]\n\
         ; Quoted, as blanks and semicolons in TMPDIR mean something here.\n\
         listen = \"{socket}\"\n\
         listen.mode = 0600\n\
         pm = dynamic\n\
         pm.max_children = {most}\n\
         pm.start_servers = {spare}\n\
         pm.min_spare_servers = {spare}\n\
         pm.max_spare_servers = {most_spare}\n\
         ; The whole environment reaches PHP, as on the command line.\n\
         clear_env = no\n\
         catch_workers_output = yes\n\
         ; In quotes, so that no script can write a line that looks like one of PHP-FPM.\n\
         decorate_workers_output = yes\n",
        socket = socket.display(),
    );
    if let Some(User { uid, gid }) = user {
        // Numbers need no user database, which small container images lack.
        let _ = write!(config, "user = {uid}\ngroup = {gid}\n");
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_ones_that_fpm_accepts() {
        for cores in [0, 1, 2, 3, 4, 8, 16, 64, 1000] {
            for memory in [None, Some(0), Some(1 << 28), Some(1 << 30), Some(u64::MAX)] {
                let PoolSize { most, spare } = PoolSize::for_machine(cores, memory);
                assert!((2..=64).contains(&most), "{cores} {memory:?}");
                assert!(spare >= 1 && spare * 2 <= most, "{cores} {memory:?}");
            }
        }
        assert_eq!(PoolSize::for_machine(2, None), PoolSize { most: 8, spare: 2 });
        assert_eq!(PoolSize::for_machine(64, Some(2 << 30)).most, 16);
    }

    #[test]
    fn the_user_is_named_only_when_given() {
        let size = PoolSize::for_machine(2, None);
        let config = fpm_config(Path::new("/tmp/x/php.sock"), size, None);
        assert!(
            config.contains("\nlisten = \"/tmp/x/php.sock\"\n") && !config.contains("user ="),
            "{config}"
        );
        let config =
            fpm_config(Path::new("/tmp/x/php.sock"), size, Some(User { uid: 33, gid: 34 }));
        assert!(config.contains("\nuser = 33\ngroup = 34\n"), "{config}");
    }
}
