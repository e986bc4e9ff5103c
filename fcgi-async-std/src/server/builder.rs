use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use fcgi_proto::Role;
use fcgi_proto::server::{AcceptFailure, Config, Settings};
use futures_io::{AsyncRead, AsyncWrite};

use super::connections::{Connection, Connections, Spawn};
use super::driver::Driver;
use super::{ConnectionError, Handler, Listener};
use crate::time::{Alarm, Budget, until};

/// A FastCGI application server; see the [module](super).
///
/// ```no_run
/// use core::num::NonZeroU16;
/// use fcgi_async_std::server::{Config, Listener, Request, Server};
///
/// # fn main() -> std::io::Result<()> {
/// async fn hello(mut request: Request) -> std::io::Result<u32> {
///     request.stdout.write("Content-Type: text/plain\r\n\r\nHello\n").await?;
///     Ok(0)
/// }
///
/// smol::block_on(async {
///     Server::new(hello)
///         .config(Config::default().max_requests(NonZeroU16::MIN)) // no multiplexing
///         .max_connections(64)
///         .spawn_with(|connection| smol::spawn(connection).detach()) // on smol's threads
///         .serve(Listener::bind("unix:/run/hello.sock").await?)
///         .await
/// })
/// # }
/// ```
pub struct Server<H> {
    handler: Arc<H>,
    settings: Settings,
    spawn: Option<Arc<Spawn>>,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<H: Handler> Server<H> {
    /// A server with the default settings.
    pub fn new(handler: H) -> Self {
        Self {
            handler: Arc::new(handler),
            settings: Settings::default(),
            spawn: None,
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

    /// Runs each connection, with its handlers, as a task of an executor. By default they all run in the task that polls
    /// [`serve`](Self::serve), one at a time.
    ///
    /// `spawn` is called with every connection: `|connection| smol::spawn(connection).detach()`, or
    /// `|connection| { async_std::task::spawn(connection); }`. The server still ends them all when it is dropped.
    #[must_use]
    pub fn spawn_with(mut self, spawn: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        self.spawn = Some(Arc::new(spawn));
        self
    }

    /// Serves until the shutdown, if there is one.
    ///
    /// Dropping the future stops everything at once.
    ///
    /// # Errors
    /// The listener does not work, as when descriptor 0 is a socket that does not listen. What befalls a single connection
    /// is no error, and a lack of descriptors or memory is waited out.
    pub async fn serve(self, listener: impl Into<Listener>) -> io::Result<()> {
        let Self { handler, mut settings, spawn, mut shutdown } = self;
        let drain_timeout = settings.drain_timeout;
        settings.config = settings.config.max_conns(settings.max_connections);
        let mut accepting = Accepting {
            listener: listener.into(),
            connections: Connections::new(handler, settings, spawn),
            pause: None,
            alarm: Alarm::default(),
        };
        poll_fn(|cx| match shutdown.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => accepting.poll(cx).map(Err),
        })
        .await?;
        let Accepting { listener, mut connections, .. } = accepting;
        drop(listener);
        connections.stop();
        until(Instant::now().checked_add(drain_timeout), connections.wait()).await;
        Ok(())
    }

    /// Serves one connection that exists already, of any kind, until it is closed. The future does not borrow the server.
    ///
    /// Closing `io` must shut its writing direction down, as with the sockets of `async-net` and async-std; a bare
    /// [`Async`](async_io::Async) does nothing, and the web server sees the end 2 s later.
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

/// A server while it accepts connections.
struct Accepting<H> {
    listener: Listener,
    connections: Connections<H>,
    /// Until when nothing is accepted, after a failure.
    pause: Option<Instant>,
    alarm: Alarm,
}

impl<H: Handler> Accepting<H> {
    /// Runs the connections, and accepts more while there is room. Ready with an error that it will not get over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut budget = Budget::new();
        loop {
            let has_ended = self.connections.poll_running(cx).is_ready();
            let mut has_started = false;
            while self.connections.has_room() && self.poll_pause(cx).is_ready() {
                match self.listener.poll_accept(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(stream)) => {
                        self.connections.start(stream);
                        has_started = true;
                    }
                    Poll::Ready(Err(error)) => match AcceptFailure::of(&error) {
                        AcceptFailure::Skip => {}
                        AcceptFailure::Pause(time) => {
                            self.pause = Instant::now().checked_add(time);
                        }
                        AcceptFailure::Fatal => return Poll::Ready(error),
                    },
                }
            }
            if !has_started && !has_ended {
                return Poll::Pending;
            }
            ready!(budget.poll_spend(cx));
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.pause {
            Some(moment) => self.alarm.poll(moment, cx).map(|()| self.pause = None),
            None => Poll::Ready(()),
        }
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}
