//! The web server's side: requests to an application, php-fpm above all.

mod body;
mod driver;
mod gather;
mod lease;
mod pool;
mod response;
mod shared;
mod stream;

use std::future::{Future, poll_fn};
use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::Config;
use fcgi_proto::{Address, AddressError, Error, ErrorKind, Phase, Timeouts, Timings};
use tokio::time::Instant;

pub use body::Body;
use driver::{Driver, Link, Owned};
pub use gather::AsCompleted;
pub use pool::{Metrics, Pool};
pub use response::{Response, ResponseBody};
pub(crate) use stream::Stream;

/// A request with a [`Body`] of this crate.
pub type Request = fcgi_proto::Request<Body>;

/// The most that [`call`] and [`Client::call`] read of a body: 64 MiB.
pub const MAX_CALL_BODY: usize = 64 * 1024 * 1024;

/// Calls a script and returns the body of its response: the whole of FastCGI in one line.
///
/// `address` is anything that [`Address`] parses: `127.0.0.1:9000`, `unix:/run/php/php-fpm.sock`. `script` is the path of
/// the script as the application sees it, and may carry a `?query`. Form fields make it a POST; without any it is a GET.
///
/// ```no_run
/// # async fn f() -> Result<(), fcgi_tokio::Error> {
/// let body = fcgi_tokio::call("127.0.0.1:9000", "/srv/greeter.php", [("who", "Swoole")]).await?;
/// assert_eq!(body, "Hello Swoole");
/// # Ok(()) }
/// ```
///
/// # Errors
/// See [`Client::call`]; also when `address` is none.
///
/// # Cancellation
/// Dropping the future closes the connection.
pub async fn call<K, V>(
    address: &str,
    script: impl AsRef<[u8]>,
    form: impl IntoIterator<Item = (K, V)>,
) -> Result<Bytes, Error>
where
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let client = Client::new(parse(address)?);
    let mut form = form.into_iter().peekable();
    let request = match form.peek() {
        Some(_) => Request::post(script).form(form),
        None => Request::get(script),
    };
    Ok(client.call(request).await?.into_body())
}

/// Sends requests to one application. Cheap to clone, and usable by any number of tasks at once.
///
/// Each request has a connection of its own, closed at its end: no idle connection ever occupies a worker of php-fpm.
///
/// ```no_run
/// use fcgi_tokio::{Client, Request};
///
/// # async fn f() -> Result<(), fcgi_tokio::Error> {
/// let client = Client::connect("unix:/run/php/php-fpm.sock").await?;
/// let mut response = client.execute(Request::get("/srv/app/report.php?year=2025")).await?;
/// assert_eq!(response.status(), 200);
/// while let Some(chunk) = response.chunk().await? {
///     print!("{}", String::from_utf8_lossy(&chunk));
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    timeouts: Timeouts,
}

impl Client {
    /// A client that has not connected to anything yet.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address, timeouts: Timeouts::default() }
    }

    /// A client for this address, after a look whether somebody listens there.
    ///
    /// # Errors
    /// [`Address`](ErrorKind::Address), [`Connect`](ErrorKind::Connect) or, after 3 s, [`Timeout`](ErrorKind::Timeout).
    ///
    /// # Cancellation
    /// Safe.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let client = Self::new(parse(address)?);
        let started = Instant::now();
        dial(&client.address, started, &client.timeouts).await?;
        Ok(client)
    }

    /// Sets the time limits of all requests that bring none of their own. See [`Timeouts`] for the defaults.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The address of the application.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request, and returns once the head of the response has come.
    ///
    /// The body of the request is sent while the response is read, so that neither side waits for the other. An
    /// application may answer without reading the body; the rest of it is dropped then. A response of any status is a
    /// response.
    ///
    /// # Errors
    /// See [`ErrorKind`]. The client stays usable.
    ///
    /// # Cancellation
    /// Dropping the future closes the connection, and the request with it; php notices at its next output.
    pub async fn execute(&self, request: Request) -> Result<Response, Error> {
        let started = Instant::now();
        let (parts, body) = request.into_parts().map_err(|error| self.refused(error))?;
        let timeouts = parts.timeouts.unwrap_or(self.timeouts);
        let io = dial(&self.address, started, &timeouts).await?;
        let connect = started.elapsed();
        let link = Link::new(io, Config::default());
        let mut driver = Driver::begin(link, None, &parts, body, timeouts, started)
            .map_err(|error| error.to(&self.address))?;
        loop {
            match poll_fn(|cx| driver.poll_output(cx)).await {
                Ok(Owned::Head(head, first)) => {
                    let body = ResponseBody::new(driver, self.address.clone(), first);
                    let head_time = started.elapsed().saturating_sub(connect);
                    let timings = Timings { queue: Duration::ZERO, connect, head: head_time };
                    return Ok(Response::new(head, body, timings));
                }
                Ok(_) => {}
                Err(error) => return Err(error.to(&self.address)),
            }
        }
    }

    /// Sends a request and reads the whole response, a body of up to 64 MiB.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and with the response inside: [`ScriptNotFound`](ErrorKind::ScriptNotFound) when
    /// php-fpm ran no script, [`Status`](ErrorKind::Status) when the status is 400 or above.
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute).
    pub async fn call(&self, request: Request) -> Result<FullResponse, Error> {
        let script = request.params().get("SCRIPT_FILENAME").map(Vec::from).unwrap_or_default();
        let response = self.execute(request).await?.collect(MAX_CALL_BODY).await?;
        response.error_for_status().map_err(|error| error.to(&self.address).with_script(script))
    }

    fn refused(&self, error: fcgi_proto::RequestError) -> Error {
        Error::new(ErrorKind::Request(error)).to(&self.address)
    }
}

/// Connects within the limits. That on the whole counts from `started`.
async fn dial(address: &Address, started: Instant, timeouts: &Timeouts) -> Result<Stream, Error> {
    let limits = [
        (Instant::now(), timeouts.connect(), Phase::Connect),
        (started, timeouts.total(), Phase::Total),
    ];
    within(limits, Stream::connect(address))
        .await
        .map_err(|error| error.to(address))?
        .map_err(|error| Error::connect(address, error))
}

/// Waits until the first of some limits has passed, each counting from its moment.
async fn within<T>(
    limits: [(Instant, Option<Duration>, Phase); 2],
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    let deadlines = limits.into_iter().filter_map(|(from, limit, phase)| {
        let limit = limit?;
        Some((from.checked_add(limit)?, limit, phase))
    });
    let Some((deadline, limit, phase)) = deadlines.min_by_key(|(deadline, ..)| *deadline) else {
        return Ok(future.await);
    };
    let result = tokio::time::timeout_at(deadline, future).await;
    result.map_err(|_elapsed| Error::timeout(phase, limit))
}

fn parse(address: &str) -> Result<Address, Error> {
    address.parse().map_err(|error: AddressError| error.into())
}
