use alloc::sync::Arc;
use core::fmt;
use core::task::{Context, Poll};
use core::time::Duration;

use super::{Clock, Lease, Link, Lobby, Seat};
use crate::client::Caller;
use crate::pool::{AcquireError, Lane, Mode, Turn, WaitError, WaiterId};
use crate::{Address, Error, ErrorKind, Parts, Phase};

/// A caller of a [`Lobby`]. Dropping it leaves the queue, and gives back a turn that had come meanwhile.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// # use core::time::Duration;
/// # use fcgi_proto::Address;
/// use fcgi_proto::pool::{Clock, Config, Link, Lobby};
///
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
/// let lobby = Lobby::new(Config::default().max_connections(1), [address], Stopped);
/// let cx = Context::from_waker(Waker::noop());
/// let (mut first, mut second) = (lobby.enter(), lobby.enter());
/// let Poll::Ready(Ok(place)) = first.poll_place(&cx) else { panic!() };
/// assert!(second.poll_place(&cx).is_pending());
/// assert_eq!(lobby.metrics().pool.waiting, 1);
/// drop(second); // gives up
/// assert_eq!(lobby.metrics().pool.waiting, 0);
/// # place.lease.give_back(Socket);
/// ```
pub struct Entry<L: Link, C: Clock> {
    lobby: Arc<Lobby<L, C>>,
    waiter: Option<WaiterId>,
    /// As who it has waited, and since when.
    place: Option<(WaiterId, Duration)>,
    failed_dials: usize,
    lane: Lane,
    /// Whether to look whether a kept connection was closed meanwhile.
    looks: bool,
    is_idempotent: bool,
}

/// A place for one request.
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// # use core::time::Duration;
/// # use fcgi_proto::Address;
/// use fcgi_proto::pool::{Access, Clock, Config, Link, Lobby, Place};
///
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
/// let Poll::Ready(Ok(place)) = lobby.enter().poll_place(&Context::from_waker(Waker::noop())) else { panic!() };
/// let Place { lease, access, address } = place;
/// if let Access::Dial(_) = access {
///     println!("dialling {address}");
///     lease.on_connected();
/// }
/// lease.give_back(Socket); // behind the response
/// ```
pub struct Place<L: Link, C: Clock> {
    /// The right to it.
    pub lease: Lease<L, C>,
    /// How to get on the connection.
    pub access: Access<L>,
    /// Where it leads to.
    pub address: Arc<Address>,
}

/// How a caller gets on its connection.
///
/// ```
/// use fcgi_proto::pool::{Access, Mode};
///
/// /// Whether the request goes out at once.
/// fn is_connected<L>(access: &Access<L>) -> bool {
///     !matches!(access, Access::Dial(_))
/// }
/// assert!(is_connected(&Access::Single("a socket")));
/// assert!(!is_connected::<()>(&Access::Dial(Mode::Single)));
/// ```
#[derive(Debug)]
pub enum Access<L> {
    /// It is there, for this request alone.
    Single(L),
    /// It is there, and others use it too.
    Shared(Caller),
    /// It is to be dialled, and used so.
    Dial(Mode),
}

impl<L: Link, C: Clock> Entry<L, C> {
    pub(super) const fn new(lobby: Arc<Lobby<L, C>>) -> Self {
        Self {
            lobby,
            waiter: None,
            place: None,
            failed_dials: 0,
            lane: Lane::new(0),
            looks: true,
            is_idempotent: false,
        }
    }

    /// Says what the request is, for which it is, and whether there could be another attempt at it.
    ///
    /// Then one that may run twice needs no look at its connection, which costs a system call: should that turn out to be
    /// closed, the request is sent again, see [`Lease::may_retry`].
    #[must_use]
    pub fn to_send(mut self, parts: &Parts, can_fail: bool) -> Self {
        self.looks = !(can_fail && parts.may_repeat());
        self.is_idempotent = parts.is_idempotent;
        self
    }

    /// Says where its connection is going to be driven, see [`Lane`].
    #[must_use]
    pub const fn in_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Ready with a place, of which there is one for each entry, but for [`may_dial_again`](Self::may_dial_again).
    /// Connections that have broken while they idled are passed over and counted.
    ///
    /// # Errors
    /// [`PoolFull`](ErrorKind::PoolFull); a [`Timeout`](ErrorKind::Timeout) of [`Phase::Queue`];
    /// [`Connect`](ErrorKind::Connect) when no address can be connected to. Nothing was sent then.
    pub fn poll_place(&mut self, cx: &Context<'_>) -> Poll<Result<Place<L, C>, Error>> {
        loop {
            let turn = match self.poll_turn(cx) {
                Poll::Ready(turn) => turn?,
                Poll::Pending => return Poll::Pending,
            };
            let (conn, upstream, access, is_reused) = match turn {
                Turn::Reuse { conn, upstream, link } => {
                    (conn, upstream, Access::Single(link), true)
                }
                Turn::Share { conn, upstream, caller, was_idle } => {
                    (conn, upstream, Access::Shared(caller), was_idle)
                }
                Turn::Dial { conn, upstream, mode } => (conn, upstream, Access::Dial(mode), false),
                Turn::Fail(error) => return Poll::Ready(Err(self.failed(error))),
            };
            let is_shared = matches!(access, Access::Shared(_));
            let lobby = Arc::clone(&self.lobby);
            let lease = Lease::new(lobby, conn, is_reused, is_shared, self.is_idempotent);
            if !access.is_stale(self.looks) {
                let address = self.lobby.lock().address(upstream);
                return Poll::Ready(Ok(Place { lease, access, address }));
            }
            self.lobby.lock().counts.stale += 1;
        }
    }

    /// Says that the dial of its place has failed, of which nothing was sent. Whether it should ask for another place; it then
    /// has its old one in the queue, if it waited. See [`Pool::may_dial_again`](crate::pool::Pool::may_dial_again).
    #[must_use]
    pub fn may_dial_again(&mut self) -> bool {
        self.failed_dials += 1;
        self.lobby.lock().depot.may_dial_again(self.failed_dials)
    }

    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<Result<Turn<L>, Error>> {
        if let Some(waiter) = self.waiter {
            let mut state = self.lobby.lock();
            let Some(seat) = state.waiting.get_mut(&waiter) else { return Poll::Pending };
            let Some(turn) = seat.turn.take() else {
                seat.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            state.waiting.remove(&waiter);
            self.waiter = None;
            return Poll::Ready(Ok(turn));
        }
        self.lobby.act(|state, now| {
            let waiter = match self.place {
                Some((waiter, since)) => {
                    state.depot.acquire_again(waiter, self.lane, since, now);
                    waiter
                }
                None => match state.depot.acquire_from(self.lane, now) {
                    Ok(Ok(turn)) => return Poll::Ready(Ok(turn)),
                    Ok(Err(waiter)) => waiter,
                    Err(AcquireError::QueueFull { limit }) => {
                        let error = Error::new(ErrorKind::PoolFull { limit }).at(Phase::Queue);
                        return Poll::Ready(Err(error.to(&state.first_address())));
                    }
                },
            };
            let seat = Seat { turn: None, waker: Some(cx.waker().clone()) };
            state.waiting.insert(waiter, seat);
            self.place.get_or_insert((waiter, now));
            self.waiter = Some(waiter);
            Poll::Pending
        })
    }

    fn failed(&self, error: WaitError) -> Error {
        let state = self.lobby.lock();
        match (error, state.last_connect_error) {
            (WaitError::Unreachable, Some(reason)) => {
                Error::connect(&state.first_address(), reason.into())
            }
            _ => Error::timeout(Phase::Queue, state.queue_timeout).to(&state.first_address()),
        }
    }
}

impl<L: Link, C: Clock> Drop for Entry<L, C> {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter else { return };
        self.lobby.act(|state, now| {
            match state.waiting.remove(&waiter).and_then(|seat| seat.turn) {
                // It had come without being looked at.
                Some(turn) => state.depot.take_back(turn, now),
                None => state.depot.cancel(waiter),
            }
        });
    }
}

impl<L: Link> Access<L> {
    fn is_stale(&self, looks: bool) -> bool {
        match self {
            Self::Single(link) => looks && link.is_stale(),
            Self::Shared(caller) => !caller.is_usable(),
            Self::Dial(_) => false,
        }
    }
}

impl<L: Link, C: Clock> fmt::Debug for Entry<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

impl<L: Link, C: Clock> fmt::Debug for Place<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("lease", &self.lease)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
