use core::time::Duration;

/// What a [`Lobby`](super::Lobby) needs of its runtime: the time, and to be called when it has come.
pub trait Clock: Send + Sync + 'static {
    /// The time since any fixed moment.
    fn now(&self) -> Duration;

    /// Calls [`Lobby::ring`](super::Lobby::ring) at this time, which may be past, in place of any set before. It is called
    /// under the lobby's lock, so it must not do so itself.
    fn set_alarm(&self, at: Duration);
}

/// An adapter's connection for one request at a time.
pub trait Link: Send + 'static {
    /// Whether it is of no more use, having idled: the peer has closed it, or says what nobody asked for.
    fn is_stale(&self) -> bool;
}
