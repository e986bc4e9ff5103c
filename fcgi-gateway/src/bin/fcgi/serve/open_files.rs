//! How many files the system lets us have open, and how many clients that is enough for.
//!
//! A client takes one for its connection, and one more for the connection to PHP or the file that it is sent. The soft limit
//! is mostly 1,024, for programs that use `select`; raising it up to the hard limit is the program's own business.

use core::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For listeners, logs, the runtime, and PHP's output.
const OTHERS: u64 = 256;

/// Allows as many open files as this number of clients may need, as far as it goes. Says how many clients there are enough
/// for: all that were asked for, as it was an operator who asked, or else as many as that.
pub(super) fn allow(asked: Option<NonZeroUsize>, usual: usize) -> NonZeroUsize {
    let clients = asked.map_or(usual, NonZeroUsize::get);
    let wanted = files_for(clients);
    let open_files = raise(wanted);
    let enough_for = clients_of(open_files);
    let advice =
        "raise the hard limit (ulimit -Hn, systemd's LimitNOFILE, Docker's --ulimit nofile)";
    let Some(asked) = asked else {
        let clients = clients.min(enough_for);
        let message = format!(
            "at most {open_files} files may be open, so that at most {clients} clients are let in at once; {advice} to {wanted} \
             for {usual}"
        );
        match clients {
            ..FEW => tracing::warn!("{message}"),
            _ if clients < usual => tracing::info!("{message}"),
            _ => {}
        }
        return NonZeroUsize::new(clients).unwrap_or(NonZeroUsize::MIN);
    };
    if enough_for < asked.get() {
        tracing::warn!(
            "at most {open_files} files may be open, which {asked} clients may not have enough of: {advice} to {wanted}, or lower \
             --max-clients to {enough_for}"
        );
    }
    asked
}

/// Fewer clients may be too few for a site that is known to some.
const FEW: usize = 1000;

const fn files_for(clients: usize) -> u64 {
    (clients as u64).saturating_mul(2).saturating_add(OTHERS)
}

fn clients_of(open_files: u64) -> usize {
    // With fewer than the others take, it will fail anyway, and say why.
    let clients = open_files.saturating_sub(OTHERS).max(open_files / 2) / 2;
    usize::try_from(clients).unwrap_or(usize::MAX)
}

/// Raises the soft limit to what is wanted, or as far as it goes. It is never lowered.
fn raise(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return u64::MAX };
    if current >= wanted {
        return current;
    }
    let new = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
    let new = Rlimit { current: Some(new), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, new) {
        Ok(()) => new.current.unwrap_or(u64::MAX),
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_for_each_client() {
        assert_eq!(files_for(20_000), 40_256);
        assert_eq!(clients_of(40_256), 20_000);
        assert_eq!(clients_of(1024), 384);
        assert_eq!(clients_of(256), 64);
        assert_eq!((files_for(usize::MAX), clients_of(0)), (u64::MAX, 0));
    }
}
