//! The web server's side: requests to an application, php-fpm above all.

mod body;
mod carrier;
mod clock;
mod driver;
mod feeder;
mod gather;
mod patience;
mod pool;
mod response;
mod shared;
mod single;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::{Config, MAX_CALL_BODY};
use fcgi_proto::{Address, AddressError, Error, Phase, SpoolConfig, Timeouts, trace};

use crate::connect::{Failure, connect};
use crate::socket::Socket;

pub use body::Body;
use driver::{Driver, News};
pub use fcgi_proto::pool::Metrics;
pub use gather::AsCompleted;
pub use pool::Pool;
pub use response::{Chunks, Response, ResponseBody};
use single::{Link, Single};

/// A request with a [`Body`] of this crate.
pub type Request = fcgi_proto::Request<Body>;

/// A form with fields and files, each a [`Body`] of this crate; see [`Request::multipart`].
///
/// ```no_run
/// use fcgi_blocking::{Body, Multipart, Part, Request};
///
/// let photo = Part::new(Body::open("photo.jpg")?).file_name("photo.jpg").content_type("image/jpeg");
/// let form = Multipart::new().text("title", "At the sea").part("photo", photo);
/// let request = Request::post("/srv/upload.php").multipart(form);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Multipart = fcgi_proto::Multipart<Body>;

/// Calls a script and returns the body of its response: the whole of FastCGI in one line.
///
/// `address` is anything that [`Address`] parses: `127.0.0.1:9000`, `unix:/run/php/php-fpm.sock`. `script` is the path of
/// the script as the application sees it, and may carry a `?query`. Form fields make it a POST; without any it is a GET.
///
/// ```no_run
/// let body = fcgi_blocking::call("127.0.0.1:9000", "/srv/greeter.php", [("who", "Swoole")])?;
/// assert_eq!(body, "Hello Swoole");
/// # Ok::<(), fcgi_blocking::Error>(())
/// ```
///
/// # Errors
/// See [`Client::call`]; also when `address` is none.
pub fn call<K, V>(
    address: &str,
    script: impl AsRef<[u8]>,
    form: impl IntoIterator<Item = (K, V)>,
) -> Result<Bytes, Error>
where
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let client = Client::new(parse(address)?);
    Ok(client.call(Request::get_or_post(script, form))?.into_body())
}

/// Sends requests to one application. Cheap to clone, and usable by any number of threads at once.
///
/// Each request has a connection of its own, closed at its end: no idle connection ever occupies a worker of php-fpm.
///
/// ```no_run
/// use std::io::Read;
/// use fcgi_blocking::{Client, Request};
///
/// let client = Client::connect("unix:/run/php/php-fpm.sock")?;
/// let mut response = client.execute(Request::get("/srv/app/report.php?year=2025"))?;
/// assert_eq!(response.status(), 200);
/// std::io::copy(response.body_mut(), &mut std::io::stdout())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
    pub fn connect(address: &str) -> Result<Self, Error> {
        let client = Self::new(parse(address)?);
        dial(&client.address, Instant::now(), &client.timeouts)?;
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
    /// A body of unknown length is collected first, see [`SpoolConfig`]; any other is sent while the response is read,
    /// here and by whoever reads the body of the response, so that neither side waits for the other. An application may
    /// answer without reading the body; the rest of it is dropped then. A response of any status is a response.
    ///
    /// To end it early from elsewhere, set [`Timeouts`]; dropping the response closes the connection and the request with
    /// it, which php notices at its next output.
    ///
    /// # Errors
    /// See [`ErrorKind`](fcgi_proto::ErrorKind). The client stays usable.
    pub fn execute(&self, request: Request) -> Result<Response, Error> {
        self.exchange(request).map_err(|error| error.to(&self.address))
    }

    fn exchange(&self, request: Request) -> Result<Response, Error> {
        let started = Instant::now();
        let (parts, body, timeouts) = body::prepare(request, self.spool, self.timeouts, started)?;
        let ready = started.elapsed();
        let socket = dial(&self.address, started, &timeouts)?;
        let link = Link::new(socket, Config::default().peer(&self.address));
        let mut driver =
            Driver::Single(Single::begin(link, None, &parts, body, timeouts, started)?);
        driver.handle_connection(ready, started.elapsed().saturating_sub(ready));
        loop {
            match driver.next() {
                Ok(News::Head(head)) => {
                    let body = ResponseBody::new(driver, Arc::clone(&self.address));
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
    pub fn call(&self, request: Request) -> Result<FullResponse, Error> {
        let script = request.params().get("SCRIPT_FILENAME").map(Vec::from).unwrap_or_default();
        let response = self.execute(request)?.collect(MAX_CALL_BODY)?;
        response.error_for_status().map_err(|error| error.to(&self.address).with_script(script))
    }
}

/// Connects within the limits; the whole exchange has begun at `started`.
fn dial(address: &Address, started: Instant, timeouts: &Timeouts) -> Result<Socket, Error> {
    let wait = timeouts.wait(Phase::Connect, started.elapsed());
    let deadline = wait.and_then(|wait| started.checked_add(wait.deadline));
    connect(address, deadline)
        .map_err(|failure| match (failure, wait) {
            (Failure::TimedOut, Some(wait)) => Error::expired(wait).to(address),
            (Failure::TimedOut, None) => Error::connect(address, io::ErrorKind::TimedOut.into()),
            (Failure::Io(error), _) => Error::connect(address, error),
        })
        .inspect(|_| trace::connected(address))
}

fn parse(address: &str) -> Result<Address, Error> {
    address.parse().map_err(|error: AddressError| error.into())
}
