/// Names the thread that a caller and its connections are driven by, where each thread has an event loop of its own.
///
/// A connection used from another thread wakes that thread for every read and write, which can cost more than the request
/// itself. So a caller gets a connection of its own lane before one of another's. This is a preference: no caller waits
/// while another lane has a connection to spare, and the queue is one for all, so that nobody is passed over.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, Grant, Lane, Pool};
///
/// let (mut pool, now) = (Pool::new(Config::default(), 1), Duration::ZERO);
/// let mut conns = [Lane::new(0), Lane::new(1)].map(|lane| {
///     let Ok(Grant::Dial { conn, .. }) = pool.acquire_from(lane, now) else { panic!() };
///     pool.handle_connected(conn, now);
///     pool.handle_first_byte(conn);
///     conn
/// });
/// for conn in conns {
///     assert!(pool.release(conn, true, now).is_keep());
/// }
/// assert_eq!(pool.acquire_from(Lane::new(0), now), Ok(Grant::Reuse { conn: conns[0], upstream: 0 }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane(usize);

impl Lane {
    /// So many are told apart.
    pub const COUNT: usize = 64;

    /// The lane of a thread, by any number that it has. Beyond [`COUNT`](Self::COUNT) several have the same.
    #[must_use]
    pub const fn new(number: usize) -> Self {
        Self(number % Self::COUNT)
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }
}
