//! Applications that are tower services.

mod body;
mod response;

use core::fmt;
use core::future::poll_fn;
use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};

pub use body::RequestBody;
pub use fcgi_proto::server::http::RemoteAddr;
use fcgi_proto::server::http::{content_length, remote_addr, request_head};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{Handler, Listener, Request as CgiRequest, Server};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Serves an application that is a tower service, such as axum's `Router`, with the [default settings](Server), for ever.
/// See [`Tower`] for what it gets.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use fcgi_tokio::server::{Listener, serve_tower};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let app = Router::new().route("/", get(|| async { "Hello" }));
/// serve_tower(Listener::bind("unix:/run/hello.sock").await?, app).await
/// # }
/// ```
///
/// # Errors
/// As [`Server::serve`].
pub async fn serve_tower<S, B>(listener: impl Into<Listener>, service: S) -> io::Result<()>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    Server::new(Tower::new(service)).serve(listener).await
}

/// A [`Handler`] made of a tower service over HTTP's types: the same application behind a web server as without one.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let app = axum::Router::<()>::new();
/// use fcgi_tokio::server::{Listener, Server, Tower};
///
/// Server::new(Tower::new(app))
///     .graceful_shutdown(tokio::signal::ctrl_c())
///     .serve(Listener::from_systemd()?)
///     .await
/// # }
/// ```
///
/// # The request
/// Method, target, version and headers are what the client sent to the web server; see
/// [`request_head`] for the rules. The body streams, and ends with an error when
/// it is cut off or shorter than CONTENT_LENGTH. Among the extensions are the CGI variables ([`Params`]), the client's
/// address ([`RemoteAddr`]) and the signal of an abort ([`Aborted`](super::Aborted)). For axum's `ConnectInfo` copy the
/// address:
///
/// ```
/// use axum::extract::{ConnectInfo, Request};
/// use axum::middleware::{Next, from_fn};
/// use fcgi_tokio::server::RemoteAddr;
///
/// let app = axum::Router::<()>::new().layer(from_fn(|mut request: Request, next: Next| async {
///     if let Some(&RemoteAddr(address)) = request.extensions().get() {
///         request.extensions_mut().insert(ConnectInfo(address));
///     }
///     next.run(request).await
/// }));
/// ```
///
/// The path is the whole path of the client's request: behind `location /app/ { fastcgi_pass ...; }` of nginx it begins
/// with `/app/`, so mount the routes there (`Router::new().nest("/app", routes)`). nginx, Apache, lighttpd and Caddy do
/// not take a prefix away, also where `ProxyPass /app/ fcgi://.../` looks like it.
///
/// # The response
/// Streams as the service makes it; the first piece of the body leaves together with the head. The answer to HEAD, and one
/// of status 204 or 304, is sent without a body. When the body fails, or ends before its `Content-Length`, the response is
/// [cut](super::Stdout::cut), so that no client takes the part for the whole. Trailers are dropped, as CGI has none; a
/// status below 200, thus a protocol upgrade, is a failure of the service.
///
/// A service that fails is answered for with status 500, and the error goes to the web server's log. Parameters that are
/// no HTTP request are answered with status 400.
///
/// # Cancellation
/// When the web server aborts the request or closes the connection, the future of the service or the body of its response
/// is dropped. nginx does so when its client leaves (unless `fastcgi_ignore_client_abort` is on); Apache and lighttpd
/// notice when they next write to their client.
///
/// [`Params`]: fcgi_proto::Params
pub struct Tower<S> {
    /// Each request is served by a clone. The lock lets services be shared that are not `Sync`.
    service: Mutex<S>,
}

impl<S> Tower<S> {
    /// Serves requests by clones of this service; each is asked to be ready and then called once.
    pub const fn new(service: S) -> Self {
        Self { service: Mutex::new(service) }
    }
}

impl<S, B> Handler for Tower<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Error = BoxError;

    async fn handle(&self, request: CgiRequest) -> Result<u32, BoxError> {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let aborted = request.aborted();
        tokio::select! {
            biased;
            result = answer(service, request) => result,
            // Nobody is there to read the rest.
            () = aborted => Ok(ABORTED),
        }
    }
}

async fn answer<S, B>(mut service: S, request: CgiRequest) -> Result<u32, BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    let CgiRequest { params, stdin, mut stdout, aborted, .. } = request;
    let mut parts = match request_head(&params) {
        Ok(parts) => parts,
        Err(error) => {
            let head = "Status: 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n";
            stdout.write(format!("{head}{error}\n")).await?;
            return Err(error.into());
        }
    };
    let is_head = parts.method == http::Method::HEAD;
    let body = RequestBody::new(stdin, content_length(&params));
    if let Some(address) = remote_addr(&params) {
        parts.extensions.insert(address);
    }
    parts.extensions.insert(aborted);
    parts.extensions.insert(params);
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    let response = service.call(Request::from_parts(parts, body)).await.map_err(Into::into)?;
    drop(service);
    response::send(response, is_head, &mut stdout).await
}

impl<S> fmt::Debug for Tower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tower").finish_non_exhaustive()
    }
}

/// The exit status of a request that nobody waited for.
const ABORTED: u32 = 1;
