/// A failed attempt at a request, and whether another one is allowed.
///
/// ```
/// use fcgi_proto::pool::Attempt;
///
/// let stale = Attempt { is_reused: true, has_response: false, is_replayable: true, number: 1 };
/// assert!(stale.may_retry());
/// assert!(!Attempt { is_reused: false, ..stale }.may_retry()); // a fresh connection broke: the request may have run
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The connection had carried a request before. A fresh one that breaks was broken by this request.
    pub is_reused: bool,
    /// A byte of a response has come.
    pub has_response: bool,
    /// The request can be sent again from its start: nothing of a streamed body was taken.
    pub is_replayable: bool,
    /// 1 for the first attempt.
    pub number: u32,
}

impl Attempt {
    /// Whether to try once more, on another connection.
    ///
    /// Only when the connection broke because it was stale: the peer had closed it before, as php-fpm does after
    /// `pm.max_requests`, and the request never reached a script. And only once.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        self.is_reused && !self.has_response && self.is_replayable && self.number == 1
    }
}
