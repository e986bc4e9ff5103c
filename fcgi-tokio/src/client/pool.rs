use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::{Caller, Config as ConnectionConfig, MAX_CALL_BODY, Received};
use fcgi_proto::pool::{Access, Config, Metrics, Mode};
use fcgi_proto::{
    Address, BeginError, Error, ErrorKind, Parts, Phase, SpoolConfig, Timeouts, trace,
};
use tokio::time::Instant;

use super::body::prepare;
use super::carrier::{Carrier, probe};
use super::clock::{self, Entry, Lease, Lobby, Place, TokioClock};
use super::driver::Driver;
use super::home::Home;
use super::shared::Shared;
use super::single::{Link, Single};
use super::{Body, Request, Response, ResponseBody, Stream, dial, within};

/// Sends requests over kept connections, to one application or to several that are alike. Cheap to clone, and usable by any
/// number of tasks at once.
///
/// It is made for php-fpm: a connection is kept after a request only when nobody could use its worker, so that keep-alive
/// never starves the other callers. What it decides and why stands in [`fcgi_proto::pool`]; the defaults are those of
/// [`Config`].
///
/// It may be used from several runtimes at once, and goes on when one of them ends. Where each thread has a runtime of its own
/// ([current-thread](tokio::runtime::Builder::new_current_thread)), a caller gets a connection of its thread before one of
/// another's. A connection that requests share is driven by the runtime that has dialled it: keep that running as long as others use
/// the pool.
///
/// ```no_run
/// use fcgi_tokio::{Pool, PoolConfig, Request};
///
/// # async fn f() -> Result<(), fcgi_tokio::Error> {
/// let address = "unix:/run/php/php-fpm.sock".parse().expect("an address");
/// let pool = Pool::new([address], PoolConfig::default().max_connections(16));
/// let page = pool.call(Request::get("/srv/app/index.php")).await?;
/// println!("{} bytes over {} connections", page.body().len(), pool.metrics().pool.connections);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pool {
    lobby: Arc<Lobby>,
    timeouts: Timeouts,
    spool: SpoolConfig,
}

/// A connection to begin a request on.
enum Connected {
    Single(Box<Link>),
    Shared(Caller),
}

impl Pool {
    /// A pool for these addresses, which has not connected to any yet. Without any, requests wait until there are some,
    /// see [`set_addresses`](Self::set_addresses).
    ///
    /// The time limits are the defaults of [`Timeouts`], but for the wait for a connection: that is
    /// [`Config::queue_timeout`], which is the most for requests with limits of their own, too.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = Address>, config: Config) -> Self {
        let timeouts = config.timeouts();
        let lobby = Lobby::new(config, addresses, TokioClock::new());
        Self { lobby, timeouts, spool: SpoolConfig::default() }
    }

    /// Replaces the addresses of this pool and its clones, as when a name resolves to other hosts.
    ///
    /// Addresses that stay keep their connections. At one that goes, requests under way go on to their end, and idle
    /// connections are closed at once. Callers that wait get the new addresses. When there are none, everybody waits,
    /// for as long as the queue allows.
    ///
    /// ```
    /// use fcgi_tokio::{Address, Pool, PoolConfig};
    ///
    /// let pool = Pool::new([Address::tcp("10.0.0.1", 9000)], PoolConfig::default());
    /// pool.set_addresses([Address::tcp("10.0.0.1", 9000), Address::tcp("10.0.0.2", 9000)]);
    /// assert_eq!(pool.addresses().len(), 2);
    /// ```
    pub fn set_addresses(&self, addresses: impl IntoIterator<Item = Address>) {
        self.lobby.set_addresses(addresses);
    }

    /// The addresses now in use, in no particular order.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.lobby.addresses().iter().map(|address| Address::clone(address)).collect()
    }

    /// Sets the time limits of all requests that bring none of their own.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how bodies of unknown length are collected, before a place is asked for, for all requests that do not say so
    /// themselves.
    #[must_use]
    pub const fn spool(mut self, config: SpoolConfig) -> Self {
        self.spool = config;
        self
    }

    /// Sends a request, and returns once the head of the response has come; see
    /// [`Client::execute`](super::Client::execute).
    ///
    /// When a kept connection turns out to be closed before any byte of a response has come, the request is sent once more
    /// on another, unless its body is a stream; see [`Request::idempotent`].
    ///
    /// # Errors
    /// As there, and [`PoolFull`](ErrorKind::PoolFull) or a [`Timeout`](ErrorKind::Timeout) of [`Phase::Queue`].
    ///
    /// # Cancellation
    /// Dropping the future closes its connection, or leaves the queue. No place is lost.
    pub async fn execute(&self, request: Request) -> Result<Response, Error> {
        let started = Instant::now();
        let (parts, body, timeouts) = self.prepare(request, started).await?;
        self.send(&parts, body, timeouts, started).await
    }

    /// Sends a request and reads the whole response; see [`Client::call`](super::Client::call).
    ///
    /// # Errors
    /// As there, and as [`execute`](Self::execute).
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute).
    pub async fn call(&self, request: Request) -> Result<FullResponse, Error> {
        let started = Instant::now();
        let (parts, body, timeouts) = self.prepare(request, started).await?;
        let response = self.send(&parts, body, timeouts, started).await?;
        response.collect(MAX_CALL_BODY).await?.error_for_status().map_err(|error| {
            error.with_script(parts.params.get("SCRIPT_FILENAME").unwrap_or_default())
        })
    }

    async fn prepare(
        &self,
        request: Request,
        started: Instant,
    ) -> Result<(Parts, Body, Timeouts), Error> {
        prepare(request, self.spool, self.timeouts, started)
            .await
            .map_err(|error| error.to(&self.lobby.first_address()))
    }

    async fn send(
        &self,
        parts: &Parts,
        mut body: Body,
        timeouts: Timeouts,
        started: Instant,
    ) -> Result<Response, Error> {
        let mut number = 1;
        loop {
            match self.attempt(parts, body, timeouts, started, &mut number).await {
                Ok(response) => return Ok(response),
                Err((error, None)) => return Err(error),
                Err((_, Some(again))) => body = again,
            }
        }
    }

    /// The figures of this pool.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.lobby.metrics()
    }

    /// One attempt; an error comes with the body, whole, when there should be another.
    async fn attempt(
        &self,
        parts: &Parts,
        body: Body,
        timeouts: Timeouts,
        started: Instant,
        number: &mut u32,
    ) -> Result<Response, (Error, Option<Body>)> {
        let spare = body.try_clone();
        // One look is enough, at the second attempt: there may be several that have been closed.
        let can_fail = spare.is_some() && *number == 1;
        let home = Home::current();
        let mut entry = self.lobby.enter().in_lane(home.lane()).to_send(parts, can_fail);
        let (address, queued, lease, connected) = loop {
            let place = self.acquire(&mut entry, started, &timeouts).await;
            let place = place.map_err(|error| (error, None))?;
            let (address, queued) = (Arc::clone(&place.address), started.elapsed());
            match self.connect(place, home, started, &timeouts).await {
                Ok((lease, connected)) => break (address, queued, lease, connected),
                // Nothing was sent, and nothing of the body was read.
                Err(_) if entry.may_dial_again() => {}
                Err(error) => return Err((error, None)),
            }
        };
        let dialled = started.elapsed();
        let begun = self.begin(lease, connected, parts, body, timeouts, started);
        let mut driver = begun.map_err(|(error, body)| {
            *number += 1;
            (error.to(&address), body.filter(|_| *number <= MAX_BEGINS))
        })?;
        driver.handle_connection(queued, dialled.saturating_sub(queued));
        loop {
            match poll_fn(|cx| driver.poll_received(cx)).await {
                Ok(Received::Head { head, body }) => {
                    let body = ResponseBody::new(driver, address, body);
                    return Ok(Response::new(head, body));
                }
                Ok(_) => {}
                Err(error) => {
                    let may_retry = driver.may_retry(&error, spare.is_some(), *number);
                    *number += 1;
                    let again = spare.filter(|_| may_retry);
                    if again.is_some() {
                        trace::retrying(*number - 1);
                        self.lobby.count_retry();
                    }
                    return Err((error.to(&address), again));
                }
            }
        }
    }

    fn begin(
        &self,
        lease: Lease,
        connected: Connected,
        parts: &Parts,
        body: Body,
        timeouts: Timeouts,
        started: Instant,
    ) -> Result<Driver, (Error, Option<Body>)> {
        let caller = match connected {
            Connected::Single(link) => {
                let single = Single::begin(link, Some(lease), parts, body, timeouts, started);
                return single.map(Driver::Single).map_err(|error| (error, None));
            }
            Connected::Shared(caller) => caller,
        };
        let epoch = self.lobby.clock().epoch();
        let begun = caller.begin(
            parts,
            timeouts,
            started.saturating_duration_since(epoch),
            epoch.elapsed(),
        );
        let call = match begun {
            Ok(call) => call,
            // It has closed between the grant and now, and nothing of this was sent.
            Err(BeginError::Closing) => {
                return Err((Error::io(io::ErrorKind::ConnectionReset.into()), Some(body)));
            }
            Err(error) => return Err((Error::new(ErrorKind::Request(error.into())), None)),
        };
        Ok(Driver::Shared(Shared::new(call, lease, Arc::clone(&self.lobby), body)))
    }

    async fn acquire(
        &self,
        entry: &mut Entry,
        started: Instant,
        timeouts: &Timeouts,
    ) -> Result<Place, Error> {
        clock::start(&self.lobby);
        let wait = timeouts.wait(Phase::Queue, started.elapsed());
        within(started, wait, poll_fn(|cx| entry.poll_place(cx)))
            .await
            .map_err(|error| error.to(&self.lobby.first_address()))?
    }

    async fn connect(
        &self,
        place: Place,
        home: Home,
        started: Instant,
        timeouts: &Timeouts,
    ) -> Result<(Lease, Connected), Error> {
        let Place { lease, access, address } = place;
        let mode = match access {
            Access::Single(link) => {
                let link = link.at(home).map_err(Error::io)?;
                return Ok((lease, Connected::Single(link)));
            }
            Access::Shared(caller) => return Ok((lease, Connected::Shared(caller))),
            Access::Dial(Mode::Probing) => lease.on_values(probe(&address).await.as_ref()),
            Access::Dial(mode) => mode,
        };
        match dial(&address, started, timeouts).await {
            Ok(io) => Ok(self.connected(lease, io, mode, &address)),
            Err(error) => {
                lease.on_connect_error(&error);
                Err(error)
            }
        }
    }

    fn connected(
        &self,
        mut lease: Lease,
        io: Stream,
        mode: Mode,
        address: &Address,
    ) -> (Lease, Connected) {
        if mode == Mode::Single {
            lease.on_connected();
            let link = Link::new(io, ConnectionConfig::default().keep_conn(true).peer(address));
            return (lease, Connected::Single(link));
        }
        let (session, caller) = self.lobby.session(mode, address);
        let line = lease.on_shared(caller.clone());
        let epoch = self.lobby.clock().epoch();
        tokio::spawn(Carrier { io, session, line, epoch }.run());
        (lease, Connected::Shared(caller))
    }
}

/// How often a request may meet a connection that closes just then.
const MAX_BEGINS: u32 = 3;

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("addresses", &self.addresses())
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
