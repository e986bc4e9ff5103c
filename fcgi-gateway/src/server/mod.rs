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
mod listener;
mod proxy_protocol;
mod redirect;
mod service;
mod socket;
mod stream;
mod streams;
mod tls;

use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::ToSocketAddrs;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tower_service::Service;

use self::activity::Activity;
pub use self::config::Config;
use self::connection::Accepted;
pub use self::listener::Listener;
pub use self::service::RequestBody;
use self::stream::Stream;
pub use self::tls::{Tls, TlsError};
use crate::observe::{Observer, Observers};
use crate::{BoxError, Connection};

/// A listening HTTP server.
#[derive(Debug)]
#[must_use = "clients wait until `run`"]
pub struct Server {
    listeners: Vec<Listener>,
    config: Config,
    observers: Observers,
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
        Self { listeners: vec![listener.into()], config: Config::default(), observers }
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
        let Self { listeners, config, observers } = self;
        let config = Arc::new(config);
        let acceptors = listeners
            .iter()
            .map(|listener| listener.tls.as_ref().map(|tls| tls.acceptor(config.http2)))
            .collect::<Vec<_>>();
        let mut connections = Connections::new(config.max_connections);
        let (stopping, stopped) = watch::channel(None);
        let mut stop = pin!(stop);
        let mut newcomer = None;
        loop {
            if let Some(accepted) = newcomer.take() {
                if connections.has_room() {
                    connections.add(accepted, service.clone(), stopped.clone());
                } else {
                    newcomer = Some(accepted);
                }
            }
            tokio::select! {
                () = &mut stop => break,
                ended = connections.ended() => connections.remove(ended),
                () = tokio::time::sleep(LOOK_FOR_ROOM), if newcomer.is_some() => {}
                (index, accepted) = accept(&listeners), if newcomer.is_none() => match accepted {
                    Ok((stream, connection)) => {
                        let listener = listeners.get(index);
                        newcomer = Some(Accepted {
                            stream,
                            connection,
                            tls: acceptors.get(index).cloned().flatten(),
                            redirect: listener.and_then(|listener| listener.redirect),
                            proxies: listener.and_then(|listener| listener.proxies.clone()),
                            activity: Arc::new(Activity::new(Instant::now())),
                            config: Arc::clone(&config),
                            observers: observers.clone(),
                        });
                    }
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(newcomer);
        drop(listeners);
        let _ = stopping.send(Some(Instant::now()));
        let drained = async {
            while !connections.tasks.is_empty() {
                let ended = connections.ended().await;
                connections.remove(ended);
            }
        };
        if tokio::time::timeout(config.drain_time, drained).await.is_err() {
            tracing::warn!(
                connections = connections.tasks.len(),
                "cut, as their answers did not end within {:?}",
                config.drain_time
            );
        }
    }
}

/// How often a newcomer that waits has idle connections looked for.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);

/// The next client of any listener.
async fn accept(listeners: &[Listener]) -> (usize, io::Result<(Stream, Connection)>) {
    poll_fn(|cx| {
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

/// All connections, with their tasks, which end when this is dropped.
#[derive(Debug)]
struct Connections {
    tasks: JoinSet<()>,
    known: HashMap<Id, (Arc<Activity>, AbortHandle)>,
    limit: usize,
}

impl Connections {
    fn new(limit: usize) -> Self {
        Self { tasks: JoinSet::new(), known: HashMap::new(), limit }
    }

    fn add<S, B>(
        &mut self,
        accepted: Accepted,
        service: S,
        stopped: watch::Receiver<Option<Instant>>,
    ) where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let activity = Arc::clone(&accepted.activity);
        let task = self.tasks.spawn(accepted.serve(service, stopped));
        self.known.insert(task.id(), (activity, task));
    }

    /// Waits for one to end; for ever while there are none.
    async fn ended(&mut self) -> Id {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => core::future::pending().await,
        }
    }

    fn remove(&mut self, id: Id) {
        self.known.remove(&id);
    }

    /// Whether a newcomer may be served now. Makes room if not.
    fn has_room(&self) -> bool {
        if self.tasks.len() < self.limit {
            return true;
        }
        self.close_idle();
        false // until one of them has ended
    }

    /// Closes those that have been idle longest: some at once, so that looking for them is rare.
    fn close_idle(&self) {
        let mut idle = self
            .known
            .values()
            .filter_map(|(activity, task)| Some((activity.idle_since()?, task)))
            .collect::<Vec<_>>();
        let count = (idle.len() / 16).max(1);
        idle.sort_unstable_by_key(|&(since, _)| since);
        for (_, task) in idle.into_iter().take(count) {
            task.abort();
        }
    }
}
