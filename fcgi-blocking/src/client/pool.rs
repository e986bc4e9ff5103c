use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::{Caller, Config as ConnectionConfig, MAX_CALL_BODY};
use fcgi_proto::pool::{Access, Config, Metrics, Mode};
use fcgi_proto::{
    Address, BeginError, Error, ErrorKind, Parts, Phase, SpoolConfig, Timeouts, trace,
};

use super::body::prepare;
use super::carrier::{Carrier, probe};
use super::clock::{Entry, Lease, Lobby, Place, ThreadClock};
use super::driver::{Driver, News};
use super::shared::Shared;
use super::single::{Link, Single};
use super::{Body, Request, Response, ResponseBody, dial};
use crate::parker::Parker;
use crate::socket::Socket;

/// Sends requests over kept connections, to one application or to several that are alike. Cheap to clone, and usable by any
/// number of threads at once.
///
/// It is made for php-fpm: a connection is kept after a request only when nobody could use its worker, so that keep-alive
/// never starves the other callers. What it decides and why stands in [`fcgi_proto::pool`]; the defaults are those of
/// [`Config`]. Requests run in the threads of their callers. The pool has one thread that closes idle connections, and one
/// for each connection that requests share; they end with the pool and the last response.
///
/// ```no_run
/// use fcgi_blocking::{Pool, PoolConfig, Request};
///
/// let address = "unix:/run/php/php-fpm.sock".parse()?;
/// let pool = Pool::new([address], PoolConfig::default().max_connections(16));
/// let page = pool.call(Request::get("/srv/app/index.php"))?;
/// println!("{} bytes over {} connections", page.body().len(), pool.metrics().pool.connections);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pool {
    lobby: Arc<Lobby>,
    max_requests: usize,
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
        let (max_requests, timeouts) = (config.allowed_requests(), config.timeouts());
        let lobby = Lobby::new(config, addresses, ThreadClock::new());
        Self { lobby, max_requests, timeouts, spool: SpoolConfig::default() }
    }

    /// Replaces the addresses of this pool and its clones, as when a name resolves to other hosts.
    ///
    /// Addresses that stay keep their connections. At one that goes, requests under way go on to their end, and idle
    /// connections are closed at once. Callers that wait get the new addresses.
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
    /// on another, unless its body is a reader; see [`Request::idempotent`]. The connection is given back when the response has been read to its end;
    /// dropping it before closes the connection.
    ///
    /// # Errors
    /// As there, and [`PoolFull`](ErrorKind::PoolFull) or a [`Timeout`](ErrorKind::Timeout) of [`Phase::Queue`].
    pub fn execute(&self, request: Request) -> Result<Response, Error> {
        let started = Instant::now();
        let (parts, body, timeouts) = self.prepare(request, started)?;
        self.send(&parts, body, timeouts, started)
    }

    fn prepare(
        &self,
        request: Request,
        started: Instant,
    ) -> Result<(Parts, Body, Timeouts), Error> {
        prepare(request, self.spool, self.timeouts, started)
            .map_err(|error| error.to(&self.lobby.first_address()))
    }

    fn send(
        &self,
        parts: &Parts,
        mut body: Body,
        timeouts: Timeouts,
        started: Instant,
    ) -> Result<Response, Error> {
        let mut number = 1;
        loop {
            match self.attempt(parts, body, timeouts, started, &mut number) {
                Ok(response) => return Ok(response),
                Err((error, None)) => return Err(error),
                Err((_, Some(again))) => body = again,
            }
        }
    }

    /// Sends a request and reads the whole response; see [`Client::call`](super::Client::call).
    ///
    /// # Errors
    /// As there, and as [`execute`](Self::execute).
    pub fn call(&self, request: Request) -> Result<FullResponse, Error> {
        let started = Instant::now();
        let (parts, body, timeouts) = self.prepare(request, started)?;
        let response = self.send(&parts, body, timeouts, started)?.collect(MAX_CALL_BODY)?;
        response.error_for_status().map_err(|error| {
            error.with_script(parts.params.get("SCRIPT_FILENAME").unwrap_or_default())
        })
    }

    /// The figures of this pool.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.lobby.metrics()
    }

    /// How many requests can be under way at once.
    pub(super) fn max_in_flight(&self) -> usize {
        self.max_requests.saturating_mul(self.lobby.addresses().len().max(1))
    }

    /// One attempt; an error comes with the body, whole, when there should be another.
    fn attempt(
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
        let mut entry = self.lobby.enter().to_send(parts, can_fail);
        let (address, queued, lease, connected) = loop {
            let place = self.acquire(&mut entry, started, &timeouts);
            let place = place.map_err(|error| (error, None))?;
            let (address, queued) = (Arc::clone(&place.address), started.elapsed());
            match self.connect(place, started, &timeouts) {
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
            match driver.next() {
                Ok(News::Head(head)) => {
                    let body = ResponseBody::new(driver, address);
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

    fn acquire(
        &self,
        entry: &mut Entry,
        started: Instant,
        timeouts: &Timeouts,
    ) -> Result<Place, Error> {
        ThreadClock::start(&self.lobby);
        // Most need not wait, and then nobody need wake them.
        if let Poll::Ready(place) = entry.poll_place(&Context::from_waker(Waker::noop())) {
            return place;
        }
        let wait = timeouts.wait(Phase::Queue, started.elapsed());
        let deadline = wait.and_then(|wait| started.checked_add(wait.deadline));
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(Arc::clone(&parker));
        loop {
            let calls = parker.calls();
            if let Poll::Ready(place) = entry.poll_place(&Context::from_waker(&waker)) {
                return place;
            }
            let is_called = parker.wait(calls, deadline);
            if let (false, Some(wait)) = (is_called, wait) {
                return Err(Error::expired(wait).to(&self.lobby.first_address()));
            }
        }
    }

    fn connect(
        &self,
        place: Place,
        started: Instant,
        timeouts: &Timeouts,
    ) -> Result<(Lease, Connected), Error> {
        let Place { lease, access, address } = place;
        let mode = match access {
            Access::Single(link) => return Ok((lease, Connected::Single(link))),
            Access::Shared(caller) => return Ok((lease, Connected::Shared(caller))),
            Access::Dial(Mode::Probing) => lease.on_values(probe(&address).as_ref()),
            Access::Dial(mode) => mode,
        };
        let socket = match dial(&address, started, timeouts) {
            Ok(socket) => socket,
            Err(error) => {
                lease.on_connect_error(&error);
                return Err(error);
            }
        };
        if mode != Mode::Single {
            return self.share(lease, socket, mode, &address);
        }
        lease.on_connected();
        let config = ConnectionConfig::default().keep_conn(true).peer(&address);
        Ok((lease, Connected::Single(Link::new(socket, config))))
    }

    /// Gives a connection the thread that carries the bytes of all who share it.
    fn share(
        &self,
        mut lease: Lease,
        socket: Socket,
        mode: Mode,
        address: &Address,
    ) -> Result<(Lease, Connected), Error> {
        let failed = |error| Error::connect(address, error);
        let carrier = match Carrier::new(socket, self.lobby.clock().epoch()).map_err(failed) {
            Ok(carrier) => carrier,
            Err(error) => {
                lease.on_connect_error(&error);
                return Err(error);
            }
        };
        let (session, caller) = self.lobby.session(mode, address);
        let line = lease.on_shared(caller.clone());
        carrier.spawn(session, line).map_err(failed)?;
        Ok((lease, Connected::Shared(caller)))
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
