//! The developer's page: what is asked of the site, live.
//!
//! It has a port of its own, so that no path of the site is taken, and its stream none of the few connections that a
//! browser opens to one server. [`guard`] says who may see it.

mod feed;
mod guard;
mod history;
mod masked;
mod pools;

use core::convert::Infallible;
use core::future::{Ready, pending, ready};
use core::net::{Ipv4Addr, SocketAddr};
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_gateway::server::Server;
use fcgi_gateway::{Builder, Gateway};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower_service::Service;

use self::feed::Feed;
use self::history::History;
use self::pools::Pools;
use super::endpoint::HostPort;
use super::error::ServeError;

/// The page and its port, until it is dropped.
#[derive(Debug)]
pub(super) struct DevPage {
    page: Page,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl DevPage {
    /// Listens at the address, or without one at the usual port of this machine, or if that is taken at any free one.
    pub(super) async fn open(address: Option<&HostPort>, site: String) -> Result<Self, ServeError> {
        let listening = match address {
            Some(address) => Server::bind(address.as_str()).await,
            None => match Server::bind((Ipv4Addr::LOCALHOST, USUAL_PORT)).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    Server::bind((Ipv4Addr::LOCALHOST, 0)).await
                }
                listening => listening,
            },
        };
        let server = listening.map_err(|source| ServeError::DevListen {
            address: address.map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string),
            source,
        })?;
        let address = server.local_addr().map_err(ServeError::Runtime)?;
        if !address.ip().is_loopback() {
            tracing::warn!("whoever reaches {address} sees all requests and PHP's messages");
        }
        let streams = Arc::new(Semaphore::new(MOST_STREAMS));
        let page = Page { history: History::new(site), pools: Pools::default(), streams };
        let serving = tokio::spawn(server.run(page.clone(), pending()));
        Ok(Self { page, address, serving })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows the requests of a site.
    pub(super) fn apply(&self, gateway: Builder) -> Builder {
        gateway.observe(self.page.history.clone())
    }

    /// Shows the pools of these sites.
    pub(super) fn set_gateways(&self, gateways: Vec<Gateway>) {
        self.page.pools.set(gateways);
    }
}

impl Drop for DevPage {
    fn drop(&mut self) {
        // Its streams have no end that could be waited for.
        self.serving.abort();
    }
}

/// Near that of the site, and the same with every start, so that an open page goes on by itself.
const USUAL_PORT: u16 = 8079;
/// Pages that are open at once.
const MOST_STREAMS: usize = 16;

/// The service.
#[derive(Clone, Debug)]
struct Page {
    history: History,
    pools: Pools,
    streams: Arc<Semaphore>,
}

type Answer = Response<Either<Full<Bytes>, Feed>>;

impl Page {
    fn answer<B>(&self, request: Request<B>) -> Answer {
        let (parts, _) = request.into_parts();
        if let Err(reason) = guard::check(&parts) {
            tracing::debug!(path = parts.uri.path(), reason, "the developer's page was refused");
            return text(StatusCode::FORBIDDEN, reason);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match parts.uri.path() {
            "/" => full(StatusCode::OK, "text/html; charset=utf-8", include_str!("page.html")),
            "/page.css" => {
                full(StatusCode::OK, "text/css; charset=utf-8", include_str!("page.css"))
            }
            "/page.js" => {
                full(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("page.js"))
            }
            "/events" => self.events(&parts.method),
            _ => text(StatusCode::NOT_FOUND, "the page is at /"),
        }
    }

    fn events(&self, method: &Method) -> Answer {
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open; close one");
        };
        let body = if *method == Method::HEAD {
            Either::Left(Full::default())
        } else {
            Either::Right(Feed::new(self.history.clone(), self.pools.clone(), permit))
        };
        with_headers(StatusCode::OK, "text/event-stream", body)
    }
}

fn text(status: StatusCode, line: &'static str) -> Answer {
    full(status, "text/plain; charset=utf-8", line)
}

fn full(status: StatusCode, content_type: &'static str, content: &'static str) -> Answer {
    with_headers(status, content_type, Either::Left(Full::from(content)))
}

fn with_headers(
    status: StatusCode,
    content_type: &'static str,
    body: Either<Full<Bytes>, Feed>,
) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// The page shows what strangers sent: nothing of it may run, load anything, or be seen by others.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

impl<B> Service<Request<B>> for Page {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request)))
    }
}
