use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::sync::{Arc, Weak};

use fcgi_proto::Role;
use fcgi_proto::server::{AcceptFailure, Config, Hub, Settings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::driver::Driver;
use super::{ConnectionError, Handler, Listener};
use crate::client::Stream;

/// A FastCGI application server; see the [module](super).
///
/// ```no_run
/// use core::num::NonZeroU16;
/// use fcgi_tokio::server::{Config, Listener, Request, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// async fn hello(mut request: Request) -> std::io::Result<u32> {
///     request.stdout.write("Content-Type: text/plain\r\n\r\nHello\n").await?;
///     Ok(0)
/// }
///
/// Server::new(hello)
///     .config(Config::default().max_requests(NonZeroU16::MIN)) // no multiplexing
///     .max_connections(64)
///     .graceful_shutdown(tokio::signal::ctrl_c())
///     .serve(Listener::bind("unix:/run/hello.sock").await?)
///     .await
/// # }
/// ```
pub struct Server<H> {
    handler: Arc<H>,
    settings: Settings,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<H: Handler> Server<H> {
    /// A server with the default settings.
    pub fn new(handler: H) -> Self {
        Self {
            handler: Arc::new(handler),
            settings: Settings::default(),
            shutdown: Box::pin(core::future::pending()),
        }
    }

    /// Limits of each connection: requests at once, parameters, output held; see [`Config`]. Its `max_conns` gives way to
    /// [`max_connections`](Self::max_connections).
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = config;
        self
    }

    /// How many connections are served at once; others wait in the backlog of the listener. Default: 1024; at least 1.
    #[must_use]
    pub fn max_connections(mut self, count: u32) -> Self {
        self.settings.max_connections = count.max(1);
        self
    }

    /// How many bytes of a body are held for a handler that does not read them. Default: 128 KiB. The window is soft: the
    /// piece that reaches it, of up to 64 KiB, is taken whole.
    #[must_use]
    pub fn stdin_window(mut self, bytes: usize) -> Self {
        self.settings.stdin_window = bytes;
        self
    }

    /// How many bytes of one request's output are held for a connection that is not taking them, before the handler's
    /// writes wait. Default: 64 KiB. The window is soft: the write that reaches it is taken whole. The connection holds
    /// [`max_buffered`](Config::max_buffered) for all of its requests in addition.
    #[must_use]
    pub fn stdout_window(mut self, bytes: usize) -> Self {
        self.settings.stdout_window = bytes;
        self
    }

    /// Which roles are served; others are refused with UNKNOWN_ROLE. Default: [`Role::Responder`] alone, since a handler
    /// that does not know of authorizers would let everybody in by an ordinary answer.
    #[must_use]
    pub fn roles(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.settings.roles = roles.into_iter().collect();
        self
    }

    /// When to close a connection on which no request is open and nothing comes. Default: 5 minutes; `None` and zero mean
    /// never.
    ///
    /// It should be longer than web servers keep idle connections (nginx 60 s, HAProxy 5 s), so that those close first
    /// and never send a request towards a connection that is closing.
    #[must_use]
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = limit.into().filter(|limit| !limit.is_zero());
        self
    }

    /// Ends the server once `signal` resolves: it stops listening, closes idle connections, lets the requests on the
    /// others end, and closes those. Without this it serves for ever.
    #[must_use]
    pub fn graceful_shutdown(mut self, signal: impl Future + Send + 'static) -> Self {
        self.shutdown = Box::pin(async move { drop(signal.await) });
        self
    }

    /// How long a [graceful shutdown](Self::graceful_shutdown) waits for requests; those that take longer are stopped.
    /// Default: 30 seconds.
    #[must_use]
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.settings.drain_timeout = limit;
        self
    }

    /// Serves until the shutdown, if there is one. Must run in a tokio runtime with time and IO enabled.
    ///
    /// Dropping the future stops everything at once.
    ///
    /// # Errors
    /// The listener does not work, as when descriptor 0 is a socket that does not listen. What befalls a single connection
    /// is no error, and a lack of descriptors or memory is waited out.
    pub async fn serve(mut self, listener: impl Into<Listener>) -> io::Result<()> {
        let mut listener = listener.into();
        let Settings { max_connections, drain_timeout, .. } = self.settings;
        self.settings.config = self.settings.config.max_conns(max_connections);
        let mut connections = Connections {
            handler: self.handler,
            settings: Arc::new(self.settings),
            tasks: JoinSet::new(),
            hubs: Vec::new(),
        };
        let places = usize::try_from(max_connections).unwrap_or(usize::MAX);
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        loop {
            tokio::select! {
                () = &mut self.shutdown => break,
                accepted = accept(&mut listener, &places) => match accepted {
                    Ok((stream, place)) => connections.spawn(stream, place),
                    Err(error) => match AcceptFailure::of(&error) {
                        AcceptFailure::Skip => {}
                        AcceptFailure::Pause(time) => sleep(time).await,
                        AcceptFailure::Fatal => return Err(error),
                    },
                },
            }
            connections.reap();
        }
        drop(listener);
        connections.stop();
        let _ = timeout(drain_timeout, connections.wait()).await;
        Ok(())
    }

    /// Serves one connection that exists already, of any kind, until it is closed. The future does not borrow the server.
    ///
    /// Dropping the future stops the handlers of its requests.
    ///
    /// # Errors
    /// Writing failed, or the web server broke the protocol. A web server that has gone is no error.
    pub fn serve_connection<IO>(
        &self,
        io: IO,
    ) -> impl Future<Output = Result<(), ConnectionError>> + use<IO, H>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handler = Arc::clone(&self.handler);
        let settings = Arc::new(self.settings.clone());
        Driver::new(io, handler, settings, Arc::default()).run()
    }
}

/// The next connection, and its place among those that are served at once.
async fn accept(
    listener: &mut Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(Stream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    Ok((listener.accept().await?, place))
}

/// The connections of a server.
struct Connections<H> {
    handler: Arc<H>,
    settings: Arc<Settings>,
    tasks: JoinSet<()>,
    hubs: Vec<Weak<Hub>>,
}

impl<H: Handler> Connections<H> {
    fn spawn(&mut self, stream: Stream, place: OwnedSemaphorePermit) {
        let hub = Arc::new(Hub::default());
        if self.hubs.len() == self.hubs.capacity() {
            self.hubs.retain(|hub| hub.strong_count() > 0);
        }
        self.hubs.push(Arc::downgrade(&hub));
        let handler = Arc::clone(&self.handler);
        let driver = Driver::new(stream, handler, Arc::clone(&self.settings), hub);
        self.tasks.spawn(async move {
            // How a connection ends is the web server's affair; most just close.
            let _ = driver.run().await;
            drop(place);
        });
    }

    /// Forgets tasks that have ended.
    fn reap(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    fn stop(&self) {
        for hub in self.hubs.iter().filter_map(Weak::upgrade) {
            hub.stop();
        }
    }

    async fn wait(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}
