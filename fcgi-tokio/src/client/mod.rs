//! The web server's side: requests to an application, php-fpm above all.

mod body;
mod carrier;
mod clock;
mod driver;
mod gather;
mod home;
mod pool;
mod response;
mod response_body;
mod shared;
mod single;
mod stream;

use std::future::{Future, poll_fn};
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::{Config, MAX_CALL_BODY, Received};
pub use fcgi_proto::pool::Metrics;
use fcgi_proto::{Address, AddressError, Error, Phase, SpoolConfig, Timeouts, Wait, trace};
use tokio::time::Instant;

pub use body::Body;
use driver::Driver;
pub use gather::AsCompleted;
pub use pool::Pool;
pub use response::Response;
pub use response_body::ResponseBody;
use single::{Link, Single};
pub(crate) use stream::Stream;

/// A request with a [`Body`] of this crate.
pub type Request = fcgi_proto::Request<Body>;

/// A form with fields and files, each a [`Body`] of this crate; see [`Request::multipart`].
///
/// ```no_run
/// use fcgi_tokio::{Body, Multipart, Part, Request};
///
/// # async fn f() -> std::io::Result<()> {
/// let photo = Part::new(Body::open("photo.jpg").await?).file_name("photo.jpg").content_type("image/jpeg");
/// let form = Multipart::new().text("title", "At the sea").part("photo", photo);
/// let request = Request::post("/srv/upload.php").multipart(form);
/// # Ok(()) }
/// ```
pub type Multipart = fcgi_proto::Multipart<Body>;

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
    Ok(client.call(Request::get_or_post(script, form)).await?.into_body())
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
    address: Arc<Address>,
    timeouts: Timeouts,
    spool: SpoolConfig,
}

impl Client {
    /// A client that has not connected to anything yet.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address: Arc::new(address),
            timeouts: Timeouts::default(),
            spool: SpoolConfig::default(),
        }
    }

    /// A client for this address, after a look whether somebody listens there.
    ///
    /// # Errors
    /// [`Address`](fcgi_proto::ErrorKind::Address), [`Connect`](fcgi_proto::ErrorKind::Connect) or, after 3 s, [`Timeout`](fcgi_proto::ErrorKind::Timeout).
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

    /// Sets how bodies of unknown length are collected, for all requests that do not say so themselves.
    #[must_use]
    pub const fn spool(mut self, config: SpoolConfig) -> Self {
        self.spool = config;
        self
    }

    /// The address of the application.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request, and returns once the head of the response has come.
    ///
    /// A body of unknown length is collected first, see [`SpoolConfig`]; any other is sent while the response is read, so that neither side waits
    /// for the other. An application may answer without reading the body; the rest of it is dropped then. A response of any status is a
    /// response.
    ///
    /// # Errors
    /// See [`ErrorKind`](fcgi_proto::ErrorKind). The client stays usable.
    ///
    /// # Cancellation
    /// Dropping the future closes the connection, and the request with it; php notices at its next output.
    pub async fn execute(&self, request: Request) -> Result<Response, Error> {
        self.exchange(request).await.map_err(|error| error.to(&self.address))
    }

    async fn exchange(&self, request: Request) -> Result<Response, Error> {
        let started = Instant::now();
        let (parts, body, timeouts) =
            body::prepare(request, self.spool, self.timeouts, started).await?;
        let ready = started.elapsed();
        let io = dial(&self.address, started, &timeouts).await?;
        let link = Link::new(io, Config::default().peer(&self.address));
        let mut single = Single::begin(link, None, &parts, body, timeouts, started)?;
        single.handle_connection(ready, started.elapsed().saturating_sub(ready));
        let mut driver = Driver::Single(single);
        loop {
            match poll_fn(|cx| driver.poll_received(cx)).await {
                Ok(Received::Head { head, body }) => {
                    let body = ResponseBody::new(driver, Arc::clone(&self.address), body);
                    return Ok(Response::new(head, body));
                }
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request and reads the whole response, a body of up to 64 MiB.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and with the response inside: [`ScriptNotFound`](fcgi_proto::ErrorKind::ScriptNotFound) when
    /// php-fpm ran no script, [`Status`](fcgi_proto::ErrorKind::Status) when the status is 400 or above.
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute).
    pub async fn call(&self, request: Request) -> Result<FullResponse, Error> {
        let script = request.params().get("SCRIPT_FILENAME").map(Vec::from).unwrap_or_default();
        let response = self.execute(request).await?.collect(MAX_CALL_BODY).await?;
        response.error_for_status().map_err(|error| error.to(&self.address).with_script(script))
    }
}

/// Connects within the limits; the whole exchange has begun at `started`.
async fn dial(address: &Address, started: Instant, timeouts: &Timeouts) -> Result<Stream, Error> {
    let wait = timeouts.wait(Phase::Connect, started.elapsed());
    within(started, wait, Stream::connect(address))
        .await
        .map_err(|error| error.to(address))?
        .map_err(|error| Error::connect(address, error))
        .inspect(|_| trace::connected(address))
}

/// Waits no longer than `wait` says, which counts from `started`.
async fn within<T>(
    started: Instant,
    wait: Option<Wait>,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    let deadline = wait.and_then(|wait| Some((wait, started.checked_add(wait.deadline)?)));
    let Some((wait, deadline)) = deadline else { return Ok(future.await) };
    tokio::time::timeout_at(deadline, future).await.map_err(|_elapsed| Error::expired(wait))
}

fn parse(address: &str) -> Result<Address, Error> {
    address.parse().map_err(|error: AddressError| error.into())
}
