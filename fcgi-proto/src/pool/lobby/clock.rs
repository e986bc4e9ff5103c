use alloc::boxed::Box;
use core::time::Duration;

/// What a [`Lobby`](super::Lobby) needs of its runtime: the time, and to be called when it has come.
///
/// ```
/// use core::time::Duration;
/// use std::sync::mpsc::Sender;
/// use std::time::Instant;
/// use fcgi_proto::pool::Clock;
///
/// /// The system's time, with a thread that sleeps until the alarm and then calls `Lobby::ring`.
/// struct SystemClock {
///     epoch: Instant,
///     thread: Sender<Instant>,
/// }
///
/// impl Clock for SystemClock {
///     fn now(&self) -> Duration {
///         self.epoch.elapsed()
///     }
///
///     fn set_alarm(&self, at: Duration) {
///         let _ = self.thread.send(self.epoch + at);
///     }
/// }
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time since any fixed moment.
    fn now(&self) -> Duration;

    /// Calls [`Lobby::ring`](super::Lobby::ring) at this time, which may be past, in place of any set before. It is called
    /// under the lobby's lock, so it must not do so itself.
    fn set_alarm(&self, at: Duration);
}

/// An adapter's connection for one request at a time.
///
/// ```
/// use std::io;
/// use std::net::TcpStream;
/// use fcgi_proto::pool::Link;
///
/// /// A socket that does not block.
/// struct Socket(TcpStream);
///
/// impl Link for Socket {
///     fn is_stale(&self) -> bool {
///         !matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
///     }
/// }
/// ```
pub trait Link: Send + 'static {
    /// Whether it is of no more use, having idled: the peer has closed it, or says what nobody asked for.
    fn is_stale(&self) -> bool;
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn is_stale(&self) -> bool {
        (**self).is_stale()
    }
}
