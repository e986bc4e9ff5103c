//! The service: from a request to the part that answers it.

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::Poll;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::TrustedProxies;
use fcgi_proto::cgi::proxies::Forwarding;
use fcgi_proto::cgi::script::percent_decode;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use tower_service::Service;

use crate::builder::Builder;
use crate::check;
use crate::compress::compress;
use crate::files::Looking;
use crate::folder::{Folder, Release};
use crate::handoff::Handoff;
use crate::inbound::Inbound;
use crate::mount::{self, OriginalUri};
use crate::observe::{Context, Counted, Identify, Observers, RequestId, TraceContext, Watch};
use crate::pages::{Failure, Page};
use crate::proxy::{self, Answer, Place, ReadAhead, Variables};
use crate::routing::{Route, Rules, Script};
use crate::sending::{send_file, send_instead};
use crate::upstream::Upstreams;
use crate::{Body, BoxError, Connection};

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
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) handoff: Handoff,
    pub(crate) observers: Observers,
    pub(crate) identify: Identify,
    pub(crate) trace: TraceContext,
    pub(crate) is_development: bool,
    pub(crate) inbound: Inbound,
    pub(crate) read_ahead: ReadAhead,
    pub(crate) compresses: bool,
    pub(crate) trusted_proxies: Option<TrustedProxies>,
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

    /// The figures of the pool of connections to the application: how many there are, who waits, what was tried again.
    #[must_use]
    pub fn pool_metrics(&self) -> fcgi_tokio::Metrics {
        self.inner.upstreams.pool().metrics()
    }

    /// The addresses of the application that requests go to now.
    #[must_use]
    pub fn addresses(&self) -> Vec<fcgi_tokio::Address> {
        self.inner.upstreams.pool().addresses()
    }

    /// Whether some address of the application accepts connections now.
    ///
    /// Says nothing about whether it answers: a busy one does not at once.
    pub async fn is_reachable(&self) -> bool {
        self.inner.upstreams.is_reachable().await
    }

    pub(crate) fn shared_upstreams(&self) -> Arc<Upstreams> {
        Arc::clone(&self.inner.upstreams)
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

    fn poll_ready(&mut self, _cx: &mut core::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { Ok(inner.serve(request).await) })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Gateway");
        if let Target::Site { folder, .. } = &self.inner.target {
            debug.field("root", &folder.current().root.path());
        }
        debug.field("upstreams", &self.inner.upstreams.addresses()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Whether a proxy of ours is on the other side.
    fn trusts(&self, connection: &Connection) -> bool {
        let proxies = self.trusted_proxies.as_ref();
        connection.is_trusted()
            || proxies.is_some_and(|proxies| proxies.trusts(connection.remote()))
    }

    /// The answer to a request, whatever comes of it, with everything about it told to those who want to know.
    async fn serve<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let connection = parts.extensions.get::<Connection>();
        let is_trusted = connection.is_some_and(|connection| self.trusts(connection));
        let id = self.identify.identify(&mut parts.headers, is_trusted);
        self.trace.apply(&mut parts.headers);
        let context = Context::new(id, &parts, self.observers.clone());
        // What cannot be right is refused later; the log then names the proxy.
        let client = Some(&self.observers)
            .filter(|observers| !observers.is_empty())
            .and_then(|_| proxy::forwarding(&parts, self).ok().flatten())
            .filter(Forwarding::is_believed)
            .map(|forwarding| forwarding.remote_addr());
        let watch = Watch::begin(&context, parts, client);
        let parts = watch.parts();
        let shown = Some(context.id()).filter(|_| self.identify == Identify::On);
        let mut response = self
            .answer(parts, Counted::new(body, &context), &context)
            .await
            .unwrap_or_else(|failure| {
                context.set_failure(failure.cause());
                failure.response(&parts.headers, shown, self.is_development)
            });
        if self.compresses {
            response = compress(parts, response).await;
        }
        if let Some(id) = shown {
            response.headers_mut().insert(RequestId::HEADER, id.to_header());
        }
        let watch = watch.answered(&response);
        response.body_mut().watch(watch);
        response
    }

    /// The answer; what a script redirects to within the server is followed.
    async fn answer<B>(
        &self,
        parts: &Parts,
        body: B,
        context: &Arc<Context>,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut redirected;
        let mut answer = self.answer_once(parts, body, context).await?;
        for _ in 0..LOCAL_REDIRECTS {
            match answer {
                Answer::Response(response) => return Ok(response),
                Answer::File(found, headers) => {
                    return Box::pin(send_instead(&found, parts, headers))
                        .await
                        .map_err(Into::into);
                }
                Answer::Redirect(target) => {
                    redirected = redirect_within(parts, &target)?;
                    // What is rare is boxed, so that the rest is not as large.
                    let next = self.answer_once(&redirected, Empty::<Bytes>::new(), context);
                    answer = Box::pin(next).await?;
                }
            }
        }
        tracing::error!(path = context.path(), request = %context.id(), "the application redirects in a circle");
        Err(Page::REDIRECT_LOOP.into())
    }

    async fn answer_once<B>(
        &self,
        parts: &Parts,
        body: B,
        context: &Arc<Context>,
    ) -> Result<Answer<'_>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        check::request(parts)?;
        if check::is_about_server(parts) {
            return Ok(Answer::Response(check::about_server()));
        }
        let Target::Site { folder, rules } = &self.target else {
            return self.to_application(parts, body, context).await;
        };
        let release = folder.current();
        let Release { root, files } = &*release;
        let path = parts.uri.path();
        let (route, opened) = Looking::new(root, files).route(rules, path);
        Ok(match route {
            Route::Script(script) | Route::FrontController(script) => {
                let Script { script_name, path_info } = &script;
                let place = Place { root: Some(root.path()), script_name, path_info };
                return proxy::pass(self, parts, body, place, context).await;
            }
            Route::Static(file) => Answer::Response(send_file(files, parts, &file, opened).await?),
            Route::RedirectToSlash(location) => {
                let location = format!("{}{location}", mount::prefix(parts));
                Answer::Response(redirect(location, parts.uri.query())?)
            }
            Route::NotFound => {
                let root = root.path().display();
                let cause = format!(
                    "{path} is neither a file nor a script in {root}, which has no front controller either"
                );
                return Err(Failure::new(Page::NOT_FOUND, cause));
            }
            Route::Denied(reason) => {
                tracing::debug!(path, ?reason, "not shown");
                return Err(Failure::new(Page::NOT_FOUND, format!("never shown: {reason:?}")));
            }
            Route::BadRequest(reason) => {
                tracing::debug!(path, %reason, "bad request");
                return Err(Page::BAD_PATH.into());
            }
        })
    }

    async fn to_application<B>(
        &self,
        parts: &Parts,
        body: B,
        context: &Arc<Context>,
    ) -> Result<Answer<'_>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let path = percent_decode(parts.uri.path().as_bytes()).map_err(|_| Page::BAD_PATH)?;
        let place = Place { root: None, script_name: "", path_info: &path };
        proxy::pass(self, parts, body, place, context).await
    }
}

/// How often a request may be redirected within the server; nginx allows as many.
const LOCAL_REDIRECTS: usize = 10;

/// The request that a script redirects to: what a client would send that asks for it.
fn redirect_within(parts: &Parts, target: &str) -> Result<Parts, Page> {
    let mut redirected = parts.clone();
    let no_address = || {
        tracing::error!(path = parts.uri.path(), target, "the script redirects to no address");
        Page::BAD_GATEWAY
    };
    // The script knows the paths of the client.
    let prefix = mount::prefix(parts);
    let below = target.strip_prefix(prefix).filter(|below| below.starts_with('/'));
    redirected.uri = below.unwrap_or(target).parse().map_err(|_| no_address())?;
    if !prefix.is_empty() {
        let original = target.parse().map_err(|_| no_address())?;
        redirected.extensions.insert(OriginalUri(original));
    }
    if redirected.method != Method::HEAD {
        redirected.method = Method::GET;
    }
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::TRANSFER_ENCODING] {
        redirected.headers.remove(name);
    }
    // An authority that came with the target of old is not in the new one.
    if let Some(authority) = parts.uri.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::try_from(host).map_err(|_| Page::BAD_HOST)?;
        redirected.headers.insert(header::HOST, host);
    }
    Ok(redirected)
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
