//! What operators and their machines ask: is it well, is it ready, what are its figures.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::observe::{Exposition, Metrics};
use crate::{Body, Gateway};

/// A service for a port of its own, which only the operator's network reaches.
///
/// | path | answer |
/// |---|---|
/// | `/healthz` | 200 as long as the process runs and serves; for liveness probes |
/// | `/readyz` | 200 when requests are welcome: not while [draining](Self::drain), and not while no application accepts connections, which is 503; for readiness probes |
/// | `/metrics` | the figures of [`Metrics`], and on Linux those of this process: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds`, `process_start_time_seconds`; in the format of OpenMetrics 1.0 if `Accept` names it, else in the text format 0.0.4 of Prometheus |
///
/// Clones are the same service.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fcgi_gateway::observe::Metrics;
/// use fcgi_gateway::operations::Operations;
/// use fcgi_gateway::{Gateway, server::Server};
///
/// let metrics = Metrics::new();
/// let php = Gateway::builder("/srv/site/public").fpm("127.0.0.1:9000").observe(metrics.clone()).build()?;
/// let operations = Operations::new(metrics, [php.clone()]);
/// let port = Server::bind("127.0.0.1:9100").await?;
/// tokio::spawn(port.run(operations, core::future::pending()));
/// Server::bind("127.0.0.1:8080").await?.run(php, core::future::pending()).await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Operations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    metrics: Metrics,
    gateways: Mutex<Vec<Gateway>>,
    is_draining: AtomicBool,
}

impl Operations {
    /// Answers for these gateways, whose pools are added to the metrics.
    #[must_use]
    pub fn new(metrics: Metrics, gateways: impl IntoIterator<Item = Gateway>) -> Self {
        let inner =
            Inner { metrics, gateways: Mutex::default(), is_draining: AtomicBool::new(false) };
        let operations = Self { inner: Arc::new(inner) };
        operations.set_gateways(gateways);
        operations
    }

    /// Answers for these gateways from now on, as after other settings were read.
    pub fn set_gateways(&self, gateways: impl IntoIterator<Item = Gateway>) {
        let gateways = Vec::from_iter(gateways);
        self.inner.metrics.set_pools(&gateways);
        *self.inner.gateways() = gateways;
    }

    /// From now on it is not ready: load balancers send their requests elsewhere. Call it before the server stops.
    pub fn drain(&self) {
        self.inner.is_draining.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn gateways(&self) -> MutexGuard<'_, Vec<Gateway>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, method: &Method, path: &str, exposition: Exposition) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness().await,
            "/metrics" => {
                let page = exposition.convert(self.metrics.encode_with_process());
                let mut response = text(StatusCode::OK, page);
                let content_type = HeaderValue::from_static(exposition.content_type());
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"),
        }
    }

    async fn readiness(&self) -> Response<Body> {
        if self.is_draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        let gateways = self.gateways().clone();
        for gateway in &gateways {
            if !gateway.is_reachable().await {
                let reason = "no application accepts connections\n";
                return text(StatusCode::SERVICE_UNAVAILABLE, reason);
            }
        }
        text(StatusCode::OK, "ready\n")
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<B> Service<Request<B>> for Operations {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let exposition = Exposition::asked_for(request.headers());
        Box::pin(async move { Ok(inner.answer(&method, uri.path(), exposition).await) })
    }
}
