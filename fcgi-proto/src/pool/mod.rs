//! Which request goes over which connection: the policy of a pool, without the connections.
//!
//! A [`Pool`] decides; an adapter dials, sends and closes as it is told, and reports what came of it. Time is passed in, as
//! a duration since any fixed moment, and nothing here waits. All adapters share it, so that they behave alike, and it
//! can be tested with thousands of simulated schedules.
//!
//! ```
//! use core::time::Duration;
//! use fcgi_proto::pool::{Config, Grant, Pool};
//!
//! let mut pool = Pool::new(Config::default(), 1);
//! let now = Duration::ZERO;
//! let Ok(Grant::Dial { conn, upstream: 0 }) = pool.acquire(now) else { panic!() };
//! pool.handle_connected(conn, now); // the adapter has dialled; it sends the request and reads the response
//! pool.handle_first_byte(conn);
//! assert!(pool.release(conn, true, now).is_keep()); // and may keep the connection
//! assert_eq!(pool.acquire(now), Ok(Grant::Reuse { conn, upstream: 0 }));
//! ```
//!
//! # Why connections give way
//! A kept connection occupies a whole worker of php-fpm, also while it idles. So a connection idles only while nobody could
//! use its worker: no caller waits in the queue, and no fresh connection waits longer than [`Config::patience`] for a first
//! byte, perhaps because no worker has picked it up. When one does, a connection is not handed on after its request either
//! but closed, and the caller whose turn it is dials: the one that waits at php-fpm comes first, however many wait here.
//! nginx and Caddy have no such rule, which is why keep-alive to php-fpm starves there. For callers of other processes, no
//! more than [`Config::max_idle`] idle for longer than the moment until the next request, see [`Config::linger`].
//!
//! # Threads
//! Where each thread has an event loop of its own, a caller names its [`Lane`], and gets a connection that is driven there if
//! it can. There is one queue and one account of workers for all, so that php-fpm is treated as fairly as by a single thread.

mod config;
mod conn;
mod decision;
mod depot;
mod lane;
mod list;
#[cfg(feature = "std")]
mod lobby;
mod negotiate;
mod queue;
mod retry;
mod rules;
mod state;
mod stock;
mod upstream;

pub use config::Config;
pub use conn::ConnId;
pub use decision::{AcquireError, Action, Grant, Released, Snapshot};
pub use depot::{Depot, Turn};
pub use lane::Lane;
#[cfg(feature = "std")]
pub use lobby::{Access, Clock, Entry, Lease, Line, Link, Lobby, Metrics, Place};
pub use negotiate::{Mode, Negotiate};
pub use queue::{WaitError, WaiterId};
pub use retry::Attempt;
pub use state::Pool;
