//! An HTTP server for the gateway: HTTP/1.1 and HTTP/2, plain or by TLS, with limits and a graceful end.
//!
//! Users of axum or hyper need none of it: they mount the [`Gateway`](crate::Gateway) in what they have.
//!
//! A [`Server`] has one or more [`Listener`]s and a [`Config`] with its limits. Protocols are told apart by their first
//! bytes, so one port serves both, also without TLS (h2c by prior knowledge).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fcgi_gateway::Gateway;
//! use fcgi_gateway::server::{Listener, Server, Tls};
//!
//! let php = Gateway::builder("/srv/site/public").fpm("127.0.0.1:9000").build()?;
//! let tls = Tls::from_files("/etc/site/fullchain.pem", "/etc/site/privkey.pem")?;
//! let server = Server::new(Listener::bind("0.0.0.0:443").await?.tls(tls))
//!     .listen(Listener::bind("0.0.0.0:80").await?.redirect_to_https(443));
//! server.run(php, core::future::pending()).await;
//! # Ok(()) }
//! ```

mod activity;
mod config;
mod connection;
mod connections;
mod listener;
mod proxy_protocol;
mod redirect;
mod rewound;
mod service;
mod socket;
mod stream;
mod streams;
mod timekeeper;
mod tls;
mod versions;
mod workers;

use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::ToSocketAddrs;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tower_service::Service;

use self::activity::Activity;
pub use self::config::Config;
use self::connection::Accepted;
use self::connections::Connections;
pub use self::listener::Listener;
pub use self::service::RequestBody;
use self::stream::Stream;
pub use self::tls::{Tls, TlsError};
pub use self::workers::Workers;
use crate::observe::{Observer, Observers};
use crate::{BoxError, Connection};

/// A listening HTTP server.
#[derive(Debug)]
#[must_use = "clients wait until `run`"]
pub struct Server {
    listeners: Vec<Listener>,
    config: Config,
    observers: Observers,
    /// Where connections are served, if not where they are accepted.
    runtimes: Vec<Handle>,
}

impl Server {
    /// Listens on an address such as `127.0.0.1:8080`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The system's: the port is in use, needs more rights, or the address is not this machine's.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::new(Listener::bind(address).await?))
    }

    /// Uses a listener that exists: a [`Listener`], or tokio's.
    pub fn new(listener: impl Into<Listener>) -> Self {
        let observers = Observers::default();
        Self {
            listeners: vec![listener.into()],
            config: Config::default(),
            observers,
            runtimes: Vec::new(),
        }
    }

    /// Uses one more.
    pub fn listen(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Sets the limits and times.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Tells somebody of the requests that the server answers itself, as they are over a limit (414, 431) or are sent on to
    /// HTTPS. Those that go to the service are its own to tell of, see [`Builder::observe`](crate::Builder::observe). What
    /// is no request is not told of: hyper answers it with 400 or 431.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Serves connections on these threads. Without, they are served by the runtime that accepts them.
    pub fn workers(mut self, workers: &Workers) -> Self {
        self.runtimes.extend(workers.runtimes());
        self
    }

    /// What it listens on.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Where its first listener is, with the real port.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] for a Unix socket; otherwise the system's, practically never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.listeners.first() {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Serves until `stop` resolves, then takes no new connections, lets the answers under way end, and returns.
    ///
    /// At the end, connections without a request are closed at once, those still sending one after the
    /// [grace time](Config::grace_time), all others after the [drain time](Config::drain_time). Every request carries a
    /// [`Connection`] among its extensions. Dropping the future stops listening and cuts all connections.
    pub async fn run<S, B>(self, service: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { listeners, config, observers, mut runtimes } = self;
        if runtimes.is_empty() {
            runtimes.push(Handle::current());
        }
        let config = Arc::new(config);
        let acceptors = listeners
            .iter()
            .map(|listener| listener.tls.as_ref().map(|tls| tls.acceptor(config.http2)))
            .collect::<Vec<_>>();
        let mut connections = Connections::new(config.max_connections, runtimes);
        let (stopping, stopped) = watch::channel(None);
        let mut stop = pin!(stop);
        let mut newcomer = None;
        loop {
            if let Some((place, accepted)) = newcomer.take() {
                if connections.has_room() {
                    connections.add(place, accepted, service.clone(), stopped.clone());
                } else {
                    newcomer = Some((place, accepted));
                }
            }
            let place = connections.next_place();
            let runtime = connections.runtime(place).cloned();
            tokio::select! {
                () = &mut stop => break,
                ended = connections.ended() => connections.remove(ended),
                () = tokio::time::sleep(LOOK_FOR_ROOM), if newcomer.is_some() => {}
                (index, accepted) = accept(&listeners, runtime.as_ref()), if newcomer.is_none() => match accepted {
                    Ok((stream, connection)) => {
                        let listener = listeners.get(index);
                        newcomer = Some((place, Accepted {
                            stream,
                            connection,
                            tls: acceptors.get(index).cloned().flatten(),
                            redirect: listener.and_then(|listener| listener.redirect),
                            proxies: listener.and_then(|listener| listener.proxies.clone()),
                            activity: Arc::new(Activity::new(Instant::now())),
                            config: Arc::clone(&config),
                            observers: observers.clone(),
                        }));
                    }
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(newcomer);
        drop(listeners);
        let _ = stopping.send(Some(Instant::now()));
        if tokio::time::timeout(config.drain_time, connections.drained()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "cut, as their answers did not end within {:?}",
                config.drain_time
            );
        }
    }
}

/// How often a newcomer that waits has idle connections looked for.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);

/// The next client of any listener, to be served by this runtime.
async fn accept(
    listeners: &[Listener],
    runtime: Option<&Handle>,
) -> (usize, io::Result<(Stream, Connection)>) {
    poll_fn(|cx| {
        // A socket belongs to the event loop of the runtime that it is made in.
        let _entered = runtime.map(Handle::enter);
        for (index, listener) in listeners.iter().enumerate() {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready((index, accepted));
            }
        }
        Poll::Pending
    })
    .await
}

/// Most errors of `accept` are about one connection. Those about the process, such as too many open
/// files, stay for a while, and trying again at once would keep a core busy.
async fn pause_after(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::InvalidInput => {}
        _ => {
            tracing::error!(%error, "cannot accept connections; trying again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
