//! An HTTP/1.1 server for the gateway, with a graceful end.
//!
//! It is small on purpose: users of axum or hyper mount the [`Gateway`](crate::Gateway) in what they have.

use core::convert::Infallible;
use core::pin::{Pin, pin};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use crate::{BoxError, Connection};

/// A listening HTTP server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    drain_time: Duration,
    write_timeout: Option<Duration>,
}

impl Server {
    /// Listens on an address such as `127.0.0.1:8080`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The system's: the port is in use, needs more rights, or the address is not this machine's.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?))
    }

    /// Uses a listener that exists.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            drain_time: Duration::from_secs(30),
            write_timeout: Some(Duration::from_secs(60)),
        }
    }

    /// How long [`run`](Self::run) waits for answers under way once it was told to stop. Default: 30 s.
    #[must_use]
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.drain_time = time;
        self
    }

    /// How long a client may take nothing of an answer before its connection is closed. Default: 60 s, as nginx's
    /// `send_timeout`. `None` or zero waits for ever.
    ///
    /// A client that does not read holds a worker of the application, which cannot write on.
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into().filter(|timeout| !timeout.is_zero());
        self
    }

    /// Where it listens, with the real port.
    ///
    /// # Errors
    ///
    /// The system's, practically never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves, then takes no new connections, lets the answers under way end,
    /// and returns. Connections that are still busy after the [drain time](Self::drain_time) are cut.
    ///
    /// Every request carries a [`Connection`] among its extensions. Clients have 30 seconds to send the
    /// head of a request. Dropping the future
    /// stops listening and cuts all connections.
    pub async fn run<S, B>(self, service: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { listener, drain_time, write_timeout } = self;
        let graceful = GracefulShutdown::new();
        // Aborts what is left in it when it is dropped.
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => {
                        if let Some(connection) = serve_connection(stream, remote, write_timeout, service.clone()) {
                            let connection = graceful.watch(connection);
                            connections.spawn(async move {
                                if let Err(error) = connection.await {
                                    tracing::debug!(%remote, %error, "connection ended early");
                                }
                            });
                        }
                    }
                    Err(error) => pause_after(&error).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        if tokio::time::timeout(drain_time, graceful.shutdown()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "cut, as their answers did not end within {drain_time:?}"
            );
        }
    }
}

type HttpConnection<S> = http1::Connection<
    TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>,
    TowerToHyperService<WithConnection<S>>,
>;

/// `None` when the client is gone already.
fn serve_connection<S, B>(
    stream: TcpStream,
    remote: SocketAddr,
    write_timeout: Option<Duration>,
    service: S,
) -> Option<HttpConnection<S>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Heads and bodies are separate writes; Nagle's algorithm would hold the second one back.
    stream.set_nodelay(true).ok()?;
    let connection = Connection::new(remote, stream.local_addr().ok()?);
    let service = TowerToHyperService::new(WithConnection { service, connection });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(write_timeout);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    Some(connection)
}

const HEAD_TIME: Duration = Duration::from_secs(30);

/// Most errors of `accept` are about one connection. Those about the process, such as too many open
/// files, stay for a while, and trying again at once would keep a core busy.
async fn pause_after(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => {}
        _ => {
            tracing::error!(%error, "cannot accept connections; trying again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Tells every request of a connection where it came from.
#[derive(Clone, Debug)]
struct WithConnection<S> {
    service: S,
    connection: Connection,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithConnection<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut core::task::Context<'_>,
    ) -> core::task::Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.connection);
        self.service.call(request)
    }
}
