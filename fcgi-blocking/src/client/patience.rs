//! How long a socket waits for something to read, set with as few system calls as possible.

use std::time::Duration;

/// How long the socket waits for something to read. That it does so by itself saves a system call for each request.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Duration>);

impl Patience {
    /// What to set, if that must change, where so much time is left. It may wait for less, to look at the clock and go on.
    pub(super) fn change(&mut self, left: Option<Duration>) -> Option<Option<Duration>> {
        let fits = match (self.0, left) {
            (None, None) => true,
            (Some(set), Some(left)) => set <= left && set >= left / 2,
            _ => false,
        };
        // A little less, so that it holds for the next request too; zero would be without limit.
        let fitting =
            left.map(|left| if left > SHORT { left - left / 8 } else { left.max(SHORTEST) });
        if fits {
            return None;
        }
        self.0 = fitting;
        Some(fitting)
    }
}

/// Times up to this are waited for exactly.
const SHORT: Duration = Duration::from_millis(100);
/// The system counts in microseconds.
const SHORTEST: Duration = Duration::from_micros(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_set_once_for_requests_with_the_same_limit() {
        let mut patience = Patience::default();
        assert_eq!(patience.change(None), None, "sockets wait without limit at first");
        let minute = Duration::from_secs(60);
        assert_eq!(patience.change(Some(minute)), Some(Some(Duration::from_millis(52_500))));
        for passed in [0, 1, 7000] {
            assert_eq!(patience.change(Some(minute - Duration::from_millis(passed))), None);
        }
        // It has waited so long, and goes on for the rest; never longer than is left.
        let rest = Duration::from_millis(7500);
        assert_eq!(patience.change(Some(rest)), Some(Some(rest - rest / 8)));
        assert_eq!(patience.change(Some(SHORT)), Some(Some(SHORT)));
        assert_eq!(patience.change(Some(Duration::ZERO)), Some(Some(SHORTEST)));
        assert_eq!(patience.change(None), Some(None));
        assert_eq!(patience.change(None), None);
    }
}
