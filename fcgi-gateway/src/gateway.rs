//! The service: from a request to the part that answers it.

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::script::percent_decode;
use fcgi_tokio::Client;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use tower_service::Service;

use crate::builder::Builder;
use crate::check;
use crate::files::Files;
use crate::folder::{Folder, Release};
use crate::pages::Page;
use crate::proxy::{self, Place, Variables};
use crate::routing::{Route, Rules, Script};
use crate::{Body, BoxError};

/// HTTP in front of a FastCGI application, as a [`Service`].
///
/// It sends static files itself and passes the rest to the application, as [`routing`](crate::routing) says. It never
/// fails: what goes wrong is answered with a status of 400 or above and told to the log.
///
/// Cloning is cheap, and clones share everything.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fcgi_gateway::Gateway;
///
/// let gateway = Gateway::builder("/srv/site/public").fpm("unix:/run/php/php-fpm.sock").build()?;
/// let app: axum::Router = axum::Router::new().fallback_service(gateway); // or any other tower server
/// # let _ = app;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) target: Target,
    pub(crate) variables: Variables,
    pub(crate) client: Client,
    pub(crate) spool_memory: usize,
    pub(crate) spool_limit: u64,
    pub(crate) body_timeout: Option<Duration>,
    pub(crate) server_software: String,
}

/// What is served.
pub(crate) enum Target {
    /// A folder of files and scripts.
    Site { folder: Folder, rules: Rules },
    /// One application that answers every path.
    Application,
}

impl Gateway {
    /// A gateway for a site of files and scripts in the folder `root`.
    ///
    /// [`Builder::fpm`] must be called; everything else has a default.
    pub fn builder(root: impl AsRef<Path>) -> Builder {
        Builder::new(Some(root.as_ref()))
    }

    /// A gateway for one application that answers every path, with no files: SCRIPT_NAME is empty, and PATH_INFO is
    /// the whole path. This is what applications in Go, Perl, Python or Rust expect.
    ///
    /// ```
    /// use fcgi_gateway::Gateway;
    ///
    /// let gateway = Gateway::to_application("unix:/run/app.sock").build()?;
    /// # Ok::<(), fcgi_gateway::BuildError>(())
    /// ```
    pub fn to_application<A>(address: A) -> Builder
    where
        A: TryInto<fcgi_tokio::Address>,
        A::Error: Into<fcgi_proto::AddressError>,
    {
        Builder::new(None).fpm(address)
    }

    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            Ok(inner
                .answer(&parts, body)
                .await
                .unwrap_or_else(|page| page.response(&parts.headers)))
        })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Gateway");
        if let Target::Site { folder, .. } = &self.inner.target {
            debug.field("root", &folder.current().root.path());
        }
        debug.field("application", self.inner.client.address()).finish_non_exhaustive()
    }
}

impl Inner {
    async fn answer<B>(&self, parts: &Parts, body: B) -> Result<Response<Body>, Page>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        check::request(parts)?;
        if check::is_about_server(parts) {
            return Ok(check::about_server());
        }
        let Target::Site { folder, rules } = &self.target else {
            return self.to_application(parts, body).await;
        };
        let release = folder.current();
        let Release { root, files } = &*release;
        let path = parts.uri.path();
        match rules.route(path, root) {
            Route::Script(script) | Route::FrontController(script) => {
                let Script { script_name, path_info } = &script;
                let place = Place { root: Some(root.path()), script_name, path_info };
                proxy::pass(self, parts, body, place).await
            }
            Route::Static(file) => send_file(files, parts, &file).await,
            Route::RedirectToSlash(location) => redirect(location, parts.uri.query()),
            Route::NotFound => Err(Page::NOT_FOUND),
            Route::Denied(reason) => {
                tracing::debug!(path, ?reason, "not shown");
                Err(Page::NOT_FOUND)
            }
            Route::BadRequest(reason) => {
                tracing::debug!(path, %reason, "bad request");
                Err(Page::BAD_PATH)
            }
        }
    }

    async fn to_application<B>(&self, parts: &Parts, body: B) -> Result<Response<Body>, Page>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let path = percent_decode(parts.uri.path().as_bytes()).map_err(|_| Page::BAD_PATH)?;
        let path = core::str::from_utf8(&path).map_err(|_| Page::BAD_PATH)?;
        proxy::pass(self, parts, body, Place { root: None, script_name: "", path_info: path }).await
    }
}

async fn send_file(files: &Files, parts: &Parts, path: &str) -> Result<Response<Body>, Page> {
    let response = files.send(&parts.method, &parts.headers, path).await.map_err(|error| {
        match error.kind() {
            // It went away after it was looked for, or is not ours to read: a client learns no difference.
            std::io::ErrorKind::NotFound => Page::NOT_FOUND,
            std::io::ErrorKind::PermissionDenied => {
                tracing::warn!(path, %error, "a file of the site may not be read");
                Page::NOT_FOUND
            }
            _ => {
                tracing::error!(path, %error, "cannot read a file");
                Page::INTERNAL
            }
        }
    })?;
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Err(Page::BAD_METHOD),
        StatusCode::NOT_FOUND => Err(Page::NOT_FOUND),
        _ => Ok(response.map(Body::file)),
    }
}

fn redirect(mut location: String, query: Option<&str>) -> Result<Response<Body>, Page> {
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::try_from(location).map_err(|_| Page::BAD_PATH)?;
    let mut response = Response::new(Body::full(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}
