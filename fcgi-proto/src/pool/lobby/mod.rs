//! Where callers wait for their connection.

mod clock;
mod entry;
mod lease;
mod metrics;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use clock::{Clock, Link};
pub use entry::{Access, Entry, Place};
pub use lease::{Lease, Line};
pub use metrics::Metrics;

use super::{Config, Depot, Mode, Pool, Turn, WaiterId};
use crate::Address;
use crate::client::{Caller, Config as ConnectionConfig, Session, SessionSettings};
use crate::wakes::Wakes;

/// What the clones of an adapter's pool share: the [`Depot`] behind its lock, the addresses, and who waits.
///
/// A caller [enters](Self::enter), polls its [`Entry`] for a [`Place`], dials where that says so, and keeps the [`Lease`]
/// for as long as its request lasts. Each of these may be dropped at any point, and nothing is lost with it. An adapter
/// brings the sockets ([`Link`]) and the time ([`Clock`]).
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// use core::time::Duration;
/// use fcgi_proto::Address;
/// use fcgi_proto::pool::{Access, Clock, Config, Link, Lobby, Mode};
///
/// struct Stopped;
/// impl Clock for Stopped {
///     fn now(&self) -> Duration { Duration::ZERO }
///     fn set_alarm(&self, _at: Duration) {}
/// }
/// struct Socket;
/// impl Link for Socket {
///     fn is_stale(&self) -> bool { false }
/// }
///
/// let lobby = Lobby::new(Config::default(), [Address::tcp("127.0.0.1", 9000)], Stopped);
/// let mut entry = lobby.enter();
/// let cx = Context::from_waker(Waker::noop());
/// let Poll::Ready(Ok(place)) = entry.poll_place(&cx) else { panic!() };
/// assert!(matches!(place.access, Access::Dial(Mode::Single)));
/// place.lease.on_connected(); // dialled place.address
/// place.lease.give_back(Socket); // sent the request, and read the response
/// assert_eq!(lobby.metrics().pool.idle, 1);
/// ```
pub struct Lobby<L, C> {
    state: Mutex<State<L>>,
    clock: C,
    /// Of connections that requests share.
    settings: SessionSettings,
}

struct State<L> {
    depot: Depot<L>,
    /// By the policy's index. One that was removed stays here until its place is used again.
    addresses: Vec<Arc<Address>>,
    waiting: BTreeMap<WaiterId, Seat<L>>,
    counts: Metrics,
    last_connect_error: Option<io::ErrorKind>,
    queue_timeout: Duration,
    /// When the alarm goes off.
    alarm: Option<Duration>,
}

/// Where a caller in the queue finds its turn.
struct Seat<L> {
    turn: Option<Turn<L>>,
    waker: Option<Waker>,
}

impl<L: Link, C: Clock> Lobby<L, C> {
    /// The lobby of a pool without connections.
    #[must_use]
    pub fn new(
        config: Config,
        addresses: impl IntoIterator<Item = Address>,
        clock: C,
    ) -> Arc<Self> {
        let addresses = Vec::from_iter(addresses.into_iter().map(Arc::new));
        let settings = settings(&config);
        let queue_timeout = config.queue_timeout.unwrap_or_default();
        let mut depot = Depot::new(Pool::new(config, addresses.len()));
        if addresses.is_empty() {
            // The policy has one all the same.
            depot.remove_upstream(0, Duration::ZERO);
        }
        let state = State {
            queue_timeout,
            depot,
            addresses,
            waiting: BTreeMap::new(),
            counts: Metrics::default(),
            last_connect_error: None,
            alarm: None,
        };
        Arc::new(Self { state: Mutex::new(state), clock, settings })
    }

    /// A caller that wants a connection. It does not count before it is polled.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Entry<L, C> {
        Entry::new(Arc::clone(self))
    }

    /// The clock that it was given.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// A session for a connection of this mode, within the pool's settings.
    #[must_use]
    pub fn session(&self, mode: Mode, address: &Address) -> (Session, Caller) {
        let config = self.settings.config.clone().peer(address);
        let settings = SessionSettings { config, ..self.settings };
        if mode == Mode::Asking { Session::asking(settings) } else { Session::new(settings) }
    }

    /// Does what is due, and sets the alarm anew; to be called as [`Clock::set_alarm`] says.
    pub fn ring(&self) {
        self.act(|state, _| state.alarm = None);
    }

    /// The figures of the pool.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let state = self.lock();
        Metrics { pool: state.depot.snapshot(), ..state.counts }
    }

    /// Counts a request that is sent a second time.
    pub fn count_retry(&self) {
        self.lock().counts.retries += 1;
    }

    /// One of the addresses in use, for messages about none in particular.
    #[must_use]
    pub fn first_address(&self) -> Arc<Address> {
        self.lock().first_address()
    }

    /// The addresses in use.
    #[must_use]
    pub fn addresses(&self) -> Vec<Arc<Address>> {
        let state = self.lock();
        let all = state.addresses.iter().enumerate();
        let used = all.filter(|(index, _)| !state.depot.is_removed(*index));
        used.map(|(_, address)| Arc::clone(address)).collect()
    }

    /// Replaces the addresses; those that stay keep their connections.
    pub fn set_addresses(&self, wanted: impl IntoIterator<Item = Address>) {
        let mut wanted = Vec::from_iter(wanted);
        self.act(|state, now| {
            for (index, known) in state.addresses.iter().enumerate() {
                if state.depot.is_removed(index) {
                    continue;
                }
                match wanted.iter().position(|address| *address == **known) {
                    Some(place) => drop(wanted.swap_remove(place)),
                    None => state.depot.remove_upstream(index, now),
                }
            }
            for address in wanted {
                let (index, address) = (state.depot.add_upstream(), Arc::new(address));
                match state.addresses.get_mut(index) {
                    Some(place) => *place = address,
                    None => state.addresses.push(address),
                }
            }
        });
    }

    /// Tells the policy something, then does what it says.
    fn act<T>(&self, tell: impl FnOnce(&mut State<L>, Duration) -> T) -> T {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        let now = self.clock.now();
        let answer = tell(&mut state, now);
        state.call_turns(now, &mut wakes);
        let next = state.depot.poll_timeout(now);
        if let Some(next) = next.filter(|next| state.alarm.is_none_or(|alarm| *next < alarm)) {
            state.alarm = Some(next);
            self.clock.set_alarm(next);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> State<L> {
    /// Puts turns on the seats of those who wait.
    fn call_turns(&mut self, now: Duration, wakes: &mut Wakes) {
        while let Some((waiter, turn)) = self.depot.poll_turn(now) {
            match self.waiting.get_mut(&waiter) {
                Some(seat) => {
                    seat.turn = Some(turn);
                    wakes.extend(seat.waker.take());
                }
                None => self.depot.take_back(turn, now),
            }
        }
    }

    fn address(&self, upstream: usize) -> Arc<Address> {
        self.addresses.get(upstream).map_or_else(nowhere, Arc::clone)
    }

    /// For messages about no address in particular.
    fn first_address(&self) -> Arc<Address> {
        let used = |(index, _): &(usize, &Arc<Address>)| !self.depot.is_removed(*index);
        let first = self.addresses.iter().enumerate().find(used);
        first.map_or_else(nowhere, |(_, address)| Arc::clone(address))
    }
}

fn settings(config: &Config) -> SessionSettings {
    SessionSettings {
        config: ConnectionConfig::default()
            .request_window(config.request_window)
            .connection_window(config.connection_window),
        requests: config.most_shared(),
        body_window: config.body_window,
        ..SessionSettings::default()
    }
}

/// What stands for the address when there is none.
fn nowhere() -> Arc<Address> {
    Arc::new(Address::Unix(String::new()))
}

impl<L: Link, C: Clock> fmt::Debug for Lobby<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lobby")
            .field("addresses", &self.addresses())
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
