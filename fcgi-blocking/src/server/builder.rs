use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Duration;

use fcgi_proto::Role;
use fcgi_proto::server::{AcceptFailure, Config, Settings};
use rustix::event::{PollFd, PollFlags};

use super::connections::Connections;
use super::shared::Shared;
use super::workers::Workers;
use super::{ConnectionError, Handler, Listener, Shutdown};
use crate::socket::{Socket, wait};

/// A FastCGI application server; see the [module](super).
///
/// ```no_run
/// use std::num::NonZeroU16;
/// use fcgi_blocking::server::{Config, Listener, Request, Server};
///
/// fn hello(mut request: Request) -> std::io::Result<u32> {
///     request.stdout.write("Content-Type: text/plain\r\n\r\nHello\n")?;
///     Ok(0)
/// }
///
/// let server = Server::new(hello)
///     .config(Config::default().max_requests(NonZeroU16::MIN)) // no multiplexing
///     .max_connections(64);
/// let shutdown = server.shutdown_handle();
/// std::thread::spawn(move || {
///     std::io::stdin().read_line(&mut String::new()).ok(); // or wait for a signal
///     shutdown.shutdown();
/// });
/// server.serve(Listener::bind("unix:/run/hello.sock")?)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server<H> {
    handler: Arc<H>,
    settings: Settings,
    max_multiplexed: u32,
    shutdown: Shutdown,
    workers: Workers,
}

impl<H: Handler> Server<H> {
    /// A server with the default settings.
    pub fn new(handler: H) -> Self {
        let mut settings = Settings::default();
        settings.max_connections = MAX_CONNECTIONS;
        Self {
            handler: Arc::new(handler),
            settings,
            max_multiplexed: 256,
            shutdown: Shutdown::default(),
            workers: Workers::default(),
        }
    }

    /// Limits of each connection: requests at once, parameters, output held; see [`Config`]. Its `max_conns` and `max_reqs`
    /// give way to [`max_connections`](Self::max_connections) and [`max_multiplexed`](Self::max_multiplexed).
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = config;
        self
    }

    /// How many connections are served at once; others wait in the backlog of the listener. Default: 256; at least 1.
    ///
    /// Each takes two threads and two descriptors, while a request is handled. Threads are kept for the next for 10 s.
    #[must_use]
    pub fn max_connections(mut self, count: u32) -> Self {
        self.settings.max_connections = count.max(1);
        self
    }

    /// How many requests are handled at once beyond one for each connection, over all connections; others are answered with
    /// status 503. Default: 256. Each takes a thread.
    ///
    /// Only HAProxy, when told to multiplex, sends such requests. [`max_requests`](Config::max_requests) bounds those on
    /// one connection.
    #[must_use]
    pub fn max_multiplexed(mut self, count: u32) -> Self {
        self.max_multiplexed = count;
        self
    }

    /// How many bytes of one request's output are put together before they are sent, and held for a connection that is not
    /// taking them before the handler's writes wait. Default: 64 KiB. The window is soft: a write of owned data that
    /// reaches it is taken whole. The connection holds [`max_buffered`](Config::max_buffered) for all of its requests in
    /// addition.
    #[must_use]
    pub fn stdout_window(mut self, bytes: usize) -> Self {
        self.settings.stdout_window = bytes;
        self
    }

    /// How many bytes of a body are held for a handler that does not read them. Default: 128 KiB. The window is soft: the
    /// piece that reaches it, of up to 64 KiB, is taken whole.
    #[must_use]
    pub fn stdin_window(mut self, bytes: usize) -> Self {
        self.settings.stdin_window = bytes;
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

    /// How long a [shutdown](Shutdown::shutdown) waits for requests; the connections of those that take longer are closed.
    /// Default: 30 seconds.
    #[must_use]
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.settings.drain_timeout = limit;
        self
    }

    /// Ends [`serve`](Self::serve) from another thread. Unless it is used, the server serves for ever.
    #[must_use]
    pub fn shutdown_handle(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Serves until the [shutdown](Self::shutdown_handle), if there is one.
    ///
    /// A handler cannot be stopped: one that goes on after the [`drain_timeout`](Self::drain_timeout) does so without a
    /// connection, until it ends or the process does.
    ///
    /// # Errors
    /// The listener does not work, as when descriptor 0 is a socket that does not listen. What befalls a single connection
    /// is no error, and a lack of descriptors, threads or memory is waited out.
    pub fn serve(mut self, listener: impl Into<Listener>) -> io::Result<()> {
        let mut listener = listener.into();
        listener.set_nonblocking()?;
        let Settings { max_connections, drain_timeout, .. } = self.settings;
        let max_reqs = max_connections.saturating_add(self.max_multiplexed);
        self.settings.config = self.settings.config.max_conns(max_connections).max_reqs(max_reqs);
        let limit = usize::try_from(max_connections).unwrap_or(usize::MAX);
        let connections = Arc::new(Connections::new(limit, self.shutdown.clone()));
        let accepting = Accepting { connections, shared: self.share(), shutdown: &self.shutdown };
        let result = accepting.run(&mut listener);
        drop(listener);
        let limit = if result.is_ok() { drain_timeout } else { Duration::ZERO };
        accepting.connections.drain(limit);
        result
    }

    /// Serves one connection that exists already, until it is closed: a [`TcpStream`](std::net::TcpStream) or
    /// [`UnixStream`](std::os::unix::net::UnixStream).
    ///
    /// # Errors
    /// Writing failed, or the web server broke the protocol. A web server that has gone is no error.
    pub fn serve_connection(&self, socket: impl Into<OwnedFd>) -> Result<(), ConnectionError> {
        let shared = self.share();
        shared.driver(Socket::new(socket.into())?)?.1.run()
    }

    fn share(&self) -> Arc<Shared<H>> {
        Arc::new(Shared {
            handler: Arc::clone(&self.handler),
            settings: Arc::new(self.settings.clone()),
            places: AtomicU32::new(self.max_multiplexed),
            workers: self.workers.clone(),
        })
    }
}

/// A server that has a listener.
struct Accepting<'s, H> {
    connections: Arc<Connections>,
    shared: Arc<Shared<H>>,
    shutdown: &'s Shutdown,
}

impl<H: Handler> Accepting<'_, H> {
    fn run(&self, listener: &mut Listener) -> io::Result<()> {
        let waker = self.shutdown.waker()?;
        loop {
            waker.arm();
            if self.shutdown.is_requested() {
                return Ok(());
            }
            let mut descriptors = vec![PollFd::new(waker, PollFlags::IN)];
            // Without room for a connection the listener is left alone until there is some.
            if self.connections.has_room() {
                let sockets = listener.descriptors();
                descriptors
                    .extend(sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
            }
            let waited = wait(&mut descriptors, None);
            let mut ready = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty());
            waker.disarm(ready.next().unwrap_or(false));
            let is_called = ready.any(|is_ready| is_ready);
            waited?;
            if is_called {
                self.accept(listener)?;
            }
        }
    }

    fn accept(&self, listener: &mut Listener) -> io::Result<()> {
        let Err(error) = listener.accept().and_then(|socket| self.spawn(socket)) else {
            return Ok(());
        };
        match AcceptFailure::of(&error) {
            // Another process has been faster.
            _ if error.kind() == io::ErrorKind::WouldBlock => {}
            AcceptFailure::Skip => {}
            AcceptFailure::Pause(time) => thread::sleep(time),
            AcceptFailure::Fatal => return Err(error),
        }
        Ok(())
    }

    fn spawn(&self, socket: Socket) -> io::Result<()> {
        let (link, driver) = self.shared.driver(socket)?;
        let counted = self.connections.add(&link);
        self.shared.workers.run(Box::new(move || {
            // How a connection ends is the web server's affair; most just close.
            let _ = driver.run();
            drop(counted);
        }))
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.settings)
            .field("max_multiplexed", &self.max_multiplexed)
            .finish_non_exhaustive()
    }
}

/// Fewer than where a connection takes no thread.
const MAX_CONNECTIONS: u32 = 256;
