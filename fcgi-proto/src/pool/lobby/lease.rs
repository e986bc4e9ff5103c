use alloc::sync::{Arc, Weak};
use core::error::Error as _;
use core::fmt;
use std::io;

use super::{Clock, Link, Lobby};
use crate::client::Caller;
use crate::pool::{Attempt, ConnId, Mode};
use crate::{Error, ErrorKind, Params};

/// The right to use one connection of a pool for one request.
///
/// Dropping it, at whatever point, gives it back: a connection that requests share goes on, one for this request alone
/// counts as closed.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// # use core::time::Duration;
/// # use fcgi_proto::Address;
/// use fcgi_proto::pool::{Access, Clock, Config, Link, Lobby};
/// # struct Stopped;
/// # impl Clock for Stopped {
/// #     fn now(&self) -> Duration { Duration::ZERO }
/// #     fn set_alarm(&self, _at: Duration) {}
/// # }
/// # struct Socket;
/// # impl Link for Socket {
/// #     fn is_stale(&self) -> bool { false }
/// # }
/// # let address = Address::tcp("127.0.0.1", 9000);
///
/// let lobby = Lobby::new(Config::default(), [address], Stopped);
/// let place = || {
///     let Poll::Ready(Ok(place)) = lobby.enter().poll_place(&Context::from_waker(Waker::noop())) else { panic!() };
///     place
/// };
/// let mut first = place();
/// first.lease.on_connected();
/// first.lease.on_first_byte();
/// first.lease.give_back(Socket);
/// let second = place();
/// assert!(matches!(second.access, Access::Single(Socket)));
/// drop(second); // the connection is closed
/// assert_eq!(lobby.metrics().pool.connections, 0);
/// ```
pub struct Lease<L: Link, C: Clock> {
    lobby: Arc<Lobby<L, C>>,
    /// `None` once the pool knows what became of it.
    conn: Option<ConnId>,
    is_reused: bool,
    is_served: bool,
    is_shared: bool,
    is_idempotent: bool,
}

impl<L: Link, C: Clock> Lease<L, C> {
    pub(super) const fn new(
        lobby: Arc<Lobby<L, C>>,
        conn: ConnId,
        is_reused: bool,
        is_shared: bool,
        is_idempotent: bool,
    ) -> Self {
        let is_served = is_reused;
        Self { lobby, conn: Some(conn), is_reused, is_served, is_shared, is_idempotent }
    }

    /// The application has answered the probe for this dial, or not: how requests go over the connection.
    pub fn on_values(&self, values: Option<&Params>) -> Mode {
        let Some(conn) = self.conn else { return Mode::Single };
        self.lobby.act(|state, _| state.depot.handle_values(conn, values))
    }

    /// The dial has succeeded, and the connection is for this request alone.
    pub fn on_connected(&self) {
        if let Some(conn) = self.conn {
            self.lobby.act(|state, now| state.depot.handle_connected(conn, now));
        }
    }

    /// The dial has succeeded, and others may use the connection as well. Whoever drives its session keeps the [`Line`]
    /// until it has closed.
    pub fn on_shared(&mut self, caller: Caller) -> Line<L, C> {
        if let Some(conn) = self.conn {
            self.is_shared = true;
            self.lobby.act(|state, now| state.depot.handle_shared(conn, caller, now));
        }
        Line { lobby: Arc::downgrade(&self.lobby), conn: self.conn }
    }

    /// The dial has failed.
    pub fn on_connect_error(mut self, error: &Error) {
        self.on_error(error);
        if let Some(conn) = self.conn.take() {
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            let kind = source.map_or(io::ErrorKind::TimedOut, io::Error::kind);
            self.lobby.act(|state, now| {
                state.last_connect_error = Some(kind);
                state.depot.handle_connect_error(conn, now);
            });
        }
    }

    /// A byte of the response has come.
    pub fn on_first_byte(&mut self) {
        if let Some(conn) = self.conn.filter(|_| !self.is_served) {
            self.is_served = true;
            self.lobby.act(|state, _| state.depot.handle_first_byte(conn));
        }
    }

    /// The request has failed.
    pub fn on_error(&self, error: &Error) {
        if error.is_timeout() {
            self.lobby.lock().counts.timeouts += 1;
        }
        if let (ErrorKind::CantMultiplex, Some(conn)) = (error.kind(), self.conn) {
            self.lobby.act(|state, _| state.depot.handle_refusal(conn));
        }
    }

    /// Whether the request that failed so may be sent again; see [`Attempt`].
    #[must_use]
    pub fn may_retry(
        &self,
        error: &Error,
        has_response: bool,
        is_replayable: bool,
        number: u32,
    ) -> bool {
        let Self { is_reused, is_idempotent, .. } = *self;
        let attempt = Attempt { is_reused, has_response, is_replayable, is_idempotent, number };
        attempt.may_retry_after(error)
    }

    /// The request has ended, and its connection is fit for another.
    pub fn give_back(mut self, link: L) {
        if let Some(conn) = self.conn.take() {
            self.lobby.act(|state, now| state.depot.release(conn, link, now));
        }
    }
}

impl<L: Link, C: Clock> Drop for Lease<L, C> {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let is_shared = self.is_shared;
        self.lobby.act(|state, now| {
            if is_shared {
                state.depot.release_shared(conn, now);
            } else {
                state.depot.handle_closed(conn, now);
            }
        });
    }
}

/// A connection that requests share, for whoever drives its session. Dropping it tells the pool that the connection is gone.
///
/// It does not keep the pool alive: when that is gone, the session ends with its last request.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// # use core::time::Duration;
/// # use fcgi_proto::Address;
/// use fcgi_proto::pool::{Clock, Config, Link, Lobby, Mode};
/// # struct Stopped;
/// # impl Clock for Stopped {
/// #     fn now(&self) -> Duration { Duration::ZERO }
/// #     fn set_alarm(&self, _at: Duration) {}
/// # }
/// # struct Socket;
/// # impl Link for Socket {
/// #     fn is_stale(&self) -> bool { false }
/// # }
/// # let address = Address::tcp("127.0.0.1", 9000);
///
/// let lobby = Lobby::<Socket, _>::new(Config::default(), [address.clone()], Stopped);
/// let Poll::Ready(Ok(mut place)) = lobby.enter().poll_place(&Context::from_waker(Waker::noop())) else { panic!() };
/// let (session, caller) = lobby.session(Mode::Shared, &address);
/// let line = place.lease.on_shared(caller);
/// assert_eq!(lobby.metrics().pool.connections, 1);
/// drop(session); // its socket has closed
/// drop(line);
/// assert_eq!(lobby.metrics().pool.connections, 0);
/// ```
pub struct Line<L: Link, C: Clock> {
    lobby: Weak<Lobby<L, C>>,
    conn: Option<ConnId>,
}

impl<L: Link, C: Clock> Line<L, C> {
    /// The application has answered what its session asked; see [`Session::asking`](crate::client::Session::asking).
    pub fn on_values(&self, values: &Params) {
        if let (Some(conn), Some(lobby)) = (self.conn, self.lobby.upgrade()) {
            lobby.act(|state, _| state.depot.handle_values(conn, Some(values)));
        }
    }
}

impl<L: Link, C: Clock> Drop for Line<L, C> {
    fn drop(&mut self) {
        if let (Some(conn), Some(lobby)) = (self.conn, self.lobby.upgrade()) {
            lobby.act(|state, now| state.depot.handle_closed(conn, now));
        }
    }
}

impl<L: Link, C: Clock> fmt::Debug for Lease<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("conn", &self.conn).finish_non_exhaustive()
    }
}

impl<L: Link, C: Clock> fmt::Debug for Line<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("conn", &self.conn).finish_non_exhaustive()
    }
}
