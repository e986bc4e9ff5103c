//! Several sites behind one listener, told apart by the host that a request names.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fcgi_gateway::sites::{Sites, Table};
//! use fcgi_gateway::{Gateway, server::Server};
//!
//! let blog = Gateway::builder("/srv/blog").fpm("unix:/run/php/blog.sock").build()?;
//! let shop = Gateway::builder("/srv/shop/public").fpm("unix:/run/php/shop.sock").build()?;
//! let table = Table::new().site("blog.example.org", blog)?.site("*.shop.example.org", shop)?;
//! Server::bind("127.0.0.1:8080").await?.run(Sites::new(table), core::future::pending()).await;
//! # Ok(()) }
//! ```

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use fcgi_proto::cgi::TrustedProxies;
use http::header;
use http::uri::Authority;
use http::{Request, Response};
use tower_service::Service;

use crate::observe::{Observer, Observers, answered_before};
use crate::pages::Page;
use crate::{Body, BoxError, Connection, Gateway};

/// Which site answers for which host.
///
/// A name counts before a wildcard, and of wildcards the longest. Ports, case, and a dot at the end of a name do not
/// matter.
#[derive(Clone, Debug, Default)]
pub struct Table {
    names: HashMap<String, Gateway>,
    /// What follows the star, with its dot.
    wildcards: HashMap<String, Gateway>,
    default: Option<Gateway>,
    trusted_proxies: Option<TrustedProxies>,
    observers: Observers,
}

/// Why a site has no place in a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// It is neither a host name, nor an address, nor a name behind `*.`; it may not have a port.
    Invalid(String),
    /// Another site has this name already.
    Taken(String),
}

impl Table {
    /// No sites.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a site for a host: `example.org`, or `*.example.org` for every name below it, though not for itself.
    ///
    /// # Errors
    ///
    /// See [`HostError`].
    pub fn site(mut self, host: &str, gateway: Gateway) -> Result<Self, HostError> {
        let invalid = || HostError::Invalid(host.to_owned());
        let (names, name) = match host.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => (&mut self.wildcards, rest),
            Some(_) => return Err(invalid()),
            None => (&mut self.names, host),
        };
        // What is behind the star begins with its dot.
        let below = if host.starts_with('*') { name.get(1..).unwrap_or_default() } else { name };
        if !is_host(below) {
            return Err(invalid());
        }
        match names.insert(normal(name), gateway) {
            None => Ok(self),
            Some(_) => Err(HostError::Taken(host.to_owned())),
        }
    }

    /// The site for every other host, and for requests that name none. Without it these get a 421 (Misdirected Request),
    /// so that no site answers under names that are not its own.
    #[must_use]
    pub fn default_site(mut self, gateway: Gateway) -> Self {
        self.default = Some(gateway);
        self
    }

    /// Believes these proxies which host a request is for, as the sites do that trust them; see
    /// [`Builder::trusted_proxies`](crate::Builder::trusted_proxies). Default: none, the host that a request itself names
    /// counts.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = Some(proxies);
        self
    }

    /// Tells somebody of the requests that no site has answered, besides those who are told already.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// The host without its port that a trusted proxy names, or else the request itself. Whether a request may name it so is
    /// for the site to check.
    fn host<B>(&self, request: &Request<B>) -> Option<String> {
        let connection = request.extensions().get::<Connection>();
        let forwarding =
            connection.zip(self.trusted_proxies.as_ref()).map(|(connection, proxies)| {
                let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value));
                proxies.resolve(connection.remote(), headers)
            });
        // What is wrong in their words is told by the site.
        let forwarded = forwarding.and_then(Result::ok).and_then(|forwarding| forwarding.host());
        match (forwarded, request.uri().authority()) {
            (Some(host), _) => Some(Authority::try_from(host).ok()?.host().to_owned()),
            (None, Some(authority)) => Some(authority.host().to_owned()),
            (None, None) => {
                let named = request.headers().get(header::HOST)?.as_bytes();
                Some(Authority::try_from(named).ok()?.host().to_owned())
            }
        }
    }

    fn find(&self, host: Option<&str>) -> Option<&Gateway> {
        let host = host.map(normal);
        let named = host.as_deref().and_then(|host| {
            self.names.get(host).or_else(|| {
                // From the left, so that the longest comes first.
                let dots = host.match_indices('.').map(|(at, _)| at);
                dots.filter(|&at| at > 0).find_map(|at| self.wildcards.get(host.get(at..)?))
            })
        });
        named.or(self.default.as_ref())
    }
}

fn is_host(name: &str) -> bool {
    let is_address = name.starts_with('[') && name.ends_with(']');
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty()
        && !name.starts_with('.')
        && (is_address || name.bytes().all(is_host_byte))
        && name.parse::<Authority>().is_ok_and(|authority| authority.port().is_none())
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Several sites as one [`Service`]. Clones share everything, the table too.
#[derive(Clone, Debug)]
pub struct Sites {
    table: Arc<RwLock<Arc<Table>>>,
}

impl Sites {
    /// Serves the sites of a table.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table: Arc::new(RwLock::new(Arc::new(table))) }
    }

    /// Serves those of another table from the next request on; requests under way end as they began.
    pub fn replace(&self, table: Table) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<B> Service<Request<B>> for Sites
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
        let table = self.table();
        let host = table.host(&request);
        match table.find(host.as_deref()) {
            Some(gateway) => gateway.clone().call(request),
            None => {
                tracing::debug!(host, "no site of this name");
                let (parts, _body) = request.into_parts();
                let response = Page::MISDIRECTED.response(&parts.headers);
                let response = answered_before(&table.observers, parts, response);
                Box::pin(core::future::ready(Ok(response)))
            }
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(host) => write!(
                f,
                "{host:?} is no host; expected a name such as example.org, or *.example.org for all below it"
            ),
            Self::Taken(host) => write!(f, "two sites have the name {host}"),
        }
    }
}

impl core::error::Error for HostError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(port: u16) -> Gateway {
        Gateway::to_application(format!("127.0.0.1:{port}").as_str()).build().unwrap()
    }

    /// The port tells which gateway was found.
    fn found(table: &Table, host: &str) -> Option<u16> {
        let gateway = format!("{:?}", table.find(Some(host))?);
        (1..10).find(|port| {
            gateway.contains(&format!("port: {port}"))
                || gateway.contains(&format!("127.0.0.1:{port}\""))
        })
    }

    #[test]
    fn names_before_wildcards_and_long_ones_first() {
        let table = Table::new()
            .site("example.org", gateway(1))
            .and_then(|table| table.site("*.example.org", gateway(2)))
            .and_then(|table| table.site("*.shop.example.org", gateway(3)))
            .and_then(|table| table.site("a.shop.example.org", gateway(4)))
            .and_then(|table| table.site("[::1]", gateway(5)))
            .unwrap();
        for (host, expected) in [
            ("example.org", Some(1)),
            ("EXAMPLE.org.", Some(1)),
            ("www.example.org", Some(2)),
            ("a.b.example.org", Some(2)),
            ("shop.example.org", Some(2)),
            ("b.shop.example.org", Some(3)),
            ("a.shop.example.org", Some(4)),
            ("[::1]", Some(5)),
            ("badexample.org", None),
            (".example.org", None),
            ("org", None),
            ("", None),
        ] {
            assert_eq!(found(&table, host), expected, "{host}");
        }
        let table = table.default_site(gateway(9));
        assert_eq!(found(&table, "elsewhere"), Some(9));
        assert!(table.find(None).is_some());
    }

    #[test]
    fn what_is_no_host() {
        for host in [
            "",
            "*",
            "*example.org",
            "*.",
            "a.*.org",
            "a b",
            "example.org:80",
            ".a",
            "a/b",
            "user@a",
        ] {
            let error = Table::new().site(host, gateway(1)).unwrap_err();
            assert_eq!(error, HostError::Invalid(host.to_owned()));
        }
        let table = Table::new().site("a.org", gateway(1)).unwrap();
        assert_eq!(
            table.site("A.ORG.", gateway(2)).unwrap_err(),
            HostError::Taken("A.ORG.".to_owned())
        );
    }
}
