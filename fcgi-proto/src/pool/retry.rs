/// A failed attempt at a request, and whether another one is allowed.
///
/// ```
/// use fcgi_proto::pool::Attempt;
///
/// let stale = Attempt {
///     is_reused: true,
///     has_response: false,
///     is_replayable: true,
///     is_idempotent: false,
///     number: 1,
/// };
/// assert!(stale.may_retry());
/// let fresh = Attempt { is_reused: false, ..stale };
/// assert!(!fresh.may_retry()); // the request may have run
/// assert!(Attempt { is_idempotent: true, ..fresh }.may_retry()); // and the caller does not mind
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The connection had carried a request before. A fresh one that breaks was broken by this request.
    pub is_reused: bool,
    /// A byte of a response has come.
    pub has_response: bool,
    /// The request can be sent again from its start: nothing of a streamed body was taken.
    pub is_replayable: bool,
    /// The caller has said that it may run twice; see [`Request::idempotent`](crate::Request::idempotent).
    pub is_idempotent: bool,
    /// 1 for the first attempt. Dials that failed do not count: they sent nothing; see
    /// [`Pool::may_dial_again`](super::Pool::may_dial_again).
    pub number: u32,
}

impl Attempt {
    /// [`may_retry`](Self::may_retry), or another connection is sure to help and the error says that the application has
    /// begun nothing: it refused to have requests share a connection, or a shared one broke before this was written.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn may_retry_after(self, error: &crate::Error) -> bool {
        use crate::ErrorKind::{CantMultiplex, Io, Reset};
        match error.kind() {
            Reset | Io => self.may_retry() || self.may_repeat() && error.is_safe_to_retry(),
            CantMultiplex => self.is_replayable && self.number == 1,
            _ => false,
        }
    }

    const fn may_repeat(self) -> bool {
        !self.has_response && self.is_replayable && self.number == 1
    }

    /// Whether to try once more, on another connection.
    ///
    /// Only when the connection broke because it was stale: the peer had closed it before, as php-fpm does after
    /// `pm.max_requests`, and the request never reached a script. Or when that does not matter to the caller. And only once.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        (self.is_reused || self.is_idempotent) && self.may_repeat()
    }
}

/// Whether a caller whose dial failed should ask the pool for another place, after so many failed dials of its own, when
/// no address has a connection open; see [`Pool::may_dial_again`](super::Pool::may_dial_again).
///
/// With several addresses another one may be in better health. A caller can meet the same one twice, when its backoff
/// ends while the caller is in the queue; so it gets a second chance with each, but the last.
pub(super) const fn may_dial_again(failed_dials: usize, addresses: usize) -> bool {
    failed_dials < addresses.saturating_mul(2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::may_dial_again;

    #[test]
    fn each_address_gets_a_second_chance_but_the_last() {
        for (addresses, dials) in [(0, 0), (1, 1), (2, 3), (3, 5), (usize::MAX, usize::MAX - 1)] {
            for failed in [0, 1, 2, 3, 4, 5, 6, usize::MAX - 2, usize::MAX - 1, usize::MAX] {
                assert_eq!(
                    may_dial_again(failed, addresses),
                    failed < dials,
                    "{failed} of {addresses}"
                );
            }
        }
    }
}
