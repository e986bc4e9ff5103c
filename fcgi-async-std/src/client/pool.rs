use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::{Config as ConnectionConfig, MAX_CALL_BODY};
use fcgi_proto::pool::{Config, Pool as Policy, Snapshot, may_dial_again};
use fcgi_proto::{Address, Error, ErrorKind, Parts, Phase, SpoolConfig, Timeouts, trace};

use super::body::prepare;
use super::driver::{Driver, Link, Owned};
use super::lease::Lease;
use super::shared::{NoPlace, Place, Shared};
use super::{Body, Request, Response, ResponseBody, dial, within};

/// Sends requests over kept connections, to one application or to several that are alike. Cheap to clone, and usable by any
/// number of tasks at once.
///
/// It is made for php-fpm: a connection is kept after a request only when nobody could use its worker, so that keep-alive
/// never starves the other callers. What it decides and why stands in [`fcgi_proto::pool`]; the defaults are those of
/// [`Config`].
///
/// ```no_run
/// use fcgi_async_std::{Pool, PoolConfig, Request};
///
/// # async fn f() -> Result<(), fcgi_async_std::Error> {
/// let address = "unix:/run/php/php-fpm.sock".parse().expect("an address");
/// let pool = Pool::new([address], PoolConfig::default().max_connections(16));
/// let page = pool.call(Request::get("/srv/app/index.php")).await?;
/// println!("{} bytes over {} connections", page.body().len(), pool.metrics().pool.connections);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    addresses: Arc<[Address]>,
    timeouts: Timeouts,
    spool: SpoolConfig,
}

/// Figures of a [`Pool`], those of its policy among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections, callers, dials.
    pub pool: Snapshot,
    /// Kept connections that the application had closed, found before a request was sent on them.
    pub stale: u64,
    /// Requests that were sent a second time, since their kept connection broke before a byte came.
    pub retries: u64,
    /// Requests that ran into a time limit.
    pub timeouts: u64,
}

impl Pool {
    /// A pool for these addresses, which has not connected to any yet.
    ///
    /// The time limits are the defaults of [`Timeouts`], but for the wait for a connection, which is
    /// [`Config::queue_timeout`].
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = Address>, config: Config) -> Self {
        let addresses: Arc<[Address]> = addresses.into_iter().collect();
        let shared = Shared::new(Policy::new(config, addresses.len()));
        Self { shared, addresses, timeouts: Timeouts::default(), spool: SpoolConfig::default() }
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
    /// on another, unless its body is a stream.
    ///
    /// # Errors
    /// As there, and [`PoolFull`](ErrorKind::PoolFull) or a [`Timeout`](ErrorKind::Timeout) of [`Phase::Queue`].
    ///
    /// # Cancellation
    /// Dropping the future closes its connection, or leaves the queue. No place is lost.
    pub async fn execute(&self, request: Request) -> Result<Response, Error> {
        let started = Instant::now();
        let (parts, mut body, timeouts) = prepare(request, self.spool, self.timeouts, started)
            .await
            .map_err(|error| error.to(self.address(0)))?;
        let mut tries = Tries { number: 1, failed_dials: 0 };
        loop {
            match self.attempt(&parts, body, timeouts, started, &mut tries).await {
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
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute).
    pub async fn call(&self, request: Request) -> Result<FullResponse, Error> {
        let script = request.params().get("SCRIPT_FILENAME").map(Vec::from).unwrap_or_default();
        let response = self.execute(request).await?.collect(MAX_CALL_BODY).await?;
        response.error_for_status().map_err(|error| error.with_script(script))
    }

    /// The figures of this pool.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }

    /// One attempt; an error comes with the body, whole, when there should be another.
    async fn attempt(
        &self,
        parts: &Parts,
        body: Body,
        timeouts: Timeouts,
        started: Instant,
        tries: &mut Tries,
    ) -> Result<Response, (Error, Option<Body>)> {
        let place = self.acquire(started, &timeouts).await.map_err(|error| (error, None))?;
        let address = self.address(place.upstream).clone();
        let queued = started.elapsed();
        let (place, link) = match self.connect(place, &address, started, &timeouts).await {
            Ok(connected) => connected,
            Err(error) => {
                // Nothing was sent, and nothing of the body was read.
                tries.failed_dials += 1;
                let again = may_dial_again(tries.failed_dials, self.addresses.len());
                return Err((error, again.then_some(body)));
            }
        };
        let spare = body.try_clone();
        let connect = started.elapsed().saturating_sub(queued);
        let mut driver = Driver::begin(link, Some(place), parts, body, timeouts, started)
            .map_err(|error| (error.to(&address), None))?;
        driver.exchange_mut().handle_connection(queued, connect);
        loop {
            match poll_fn(|cx| driver.poll_output(cx)).await {
                Ok(Owned::Head(head, first)) => {
                    let body = ResponseBody::new(driver, address, first);
                    return Ok(Response::new(head, body));
                }
                Ok(_) => {}
                Err(error) => {
                    let may_retry = driver.may_retry(spare.is_some(), tries.number);
                    tries.number += 1;
                    let again = spare.filter(|_| may_retry);
                    if again.is_some() {
                        trace::retrying(tries.number - 1);
                    }
                    self.shared.count(|counts| counts.retries += u64::from(again.is_some()));
                    return Err((error.to(&address), again));
                }
            }
        }
    }

    async fn acquire(&self, started: Instant, timeouts: &Timeouts) -> Result<Place, Error> {
        let wait = timeouts.wait(Phase::Queue, started.elapsed());
        let place = within(started, wait, self.shared.acquire())
            .await
            .map_err(|error| error.to(self.address(0)))?;
        place.map_err(|reason| self.no_place(&reason, timeouts))
    }

    async fn connect(
        &self,
        place: Place,
        address: &Address,
        started: Instant,
        timeouts: &Timeouts,
    ) -> Result<(Lease, Link), Error> {
        let Place { lease, link, .. } = place;
        if let Some(link) = link {
            return Ok((lease, link));
        }
        match dial(address, started, timeouts).await {
            Ok(io) => {
                lease.on_connected();
                Ok((
                    lease,
                    Link::new(io, ConnectionConfig::default().keep_conn(true).peer(address)),
                ))
            }
            Err(error) => {
                lease.on_connect_error(&error);
                Err(error)
            }
        }
    }

    fn no_place(&self, reason: &NoPlace, timeouts: &Timeouts) -> Error {
        match *reason {
            NoPlace::Full { limit } => Error::new(ErrorKind::PoolFull { limit }).at(Phase::Queue),
            NoPlace::Expired => Error::timeout(Phase::Queue, timeouts.queue().unwrap_or_default()),
            NoPlace::Unreachable(kind) => Error::connect(self.address(0), kind.into()),
        }
        .to(self.address(0))
    }

    fn address(&self, index: usize) -> &Address {
        static NONE: Address = Address::Unix(String::new());
        self.addresses.get(index).unwrap_or(&NONE)
    }
}

/// What became of the attempts at one request so far.
struct Tries {
    number: u32,
    failed_dials: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("addresses", &self.addresses)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
