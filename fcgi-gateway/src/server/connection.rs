//! The task of one connection.

use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fcgi_proto::cgi::TrustedProxies;
use http::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use super::Config;
use super::activity::{Activity, Verdict};
use super::proxy_protocol;
use super::redirect::Redirect;
use super::service::{RequestBody, Watched};
use super::socket::Socket;
use super::stream::Stream;
use super::streams::Streams;
use crate::observe::Observers;
use crate::{BoxError, Connection};

/// A client that has just connected.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) redirect: Option<Redirect>,
    pub(super) proxies: Option<Arc<TrustedProxies>>,
    pub(super) activity: Arc<Activity>,
    pub(super) config: Arc<Config>,
    pub(super) observers: Observers,
}

impl Accepted {
    /// Serves it to its end. `stopped` tells when the server is to stop.
    pub(super) async fn serve<S, B>(self, service: S, stopped: watch::Receiver<Option<Instant>>)
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { mut stream, connection, tls, redirect, proxies, activity, config, observers } =
            self;
        let mut patience = Patience { activity, config, stopped, connection };
        let mut read = Bytes::new();
        if proxies.is_some_and(|proxies| proxies.trusts(connection.remote())) {
            // Boxed, so that others are not as large.
            match Box::pin(patience.introduce(&mut stream)).await {
                Some(rest) => read = rest,
                None => return,
            }
        }
        let Patience { activity, config, connection, .. } = &patience;
        // Under TLS other bytes are written than those of the answers.
        let outlet = tls.is_none().then(|| stream.outlet());
        let socket = Socket::new(stream, read, config.write_timeout, Arc::clone(activity));
        let service = Watched {
            service,
            connection: *connection,
            activity: Arc::clone(activity),
            config: Arc::clone(config),
            observers,
            redirect,
            outlet,
        };
        match tls {
            None => patience.serve(socket, service).await,
            // Boxed, so that plain connections are not as large.
            Some(acceptor) => Box::pin(patience.serve_tls(socket, acceptor, service)).await,
        }
    }
}

/// Ends a connection when it has taken too long.
struct Patience {
    activity: Arc<Activity>,
    config: Arc<Config>,
    stopped: watch::Receiver<Option<Instant>>,
    connection: Connection,
}

impl Patience {
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            value = work => Some(value),
            _ = stopped.wait_for(Option::is_some) => None,
        }
    }

    /// Reads what a load balancer says of the client, and gives what was read behind it. If it says nothing, that is the end.
    async fn introduce(&mut self, stream: &mut Stream) -> Option<Bytes> {
        let header = self.unless_stopped(proxy_protocol::read(stream));
        let peer = self.connection.remote();
        match timeout(self.config.head_time, header).await {
            Ok(Some(Ok((said, rest)))) => {
                self.connection = said.apply(self.connection);
                return Some(rest);
            }
            Ok(Some(Err(error))) if error.kind() == io::ErrorKind::InvalidData => {
                // Without a word every connection would be closed, and nobody know why.
                tracing::warn!(
                    ?peer,
                    "closed, as a trusted proxy began with no header of the PROXY protocol: let it send one, or do not ask for it"
                );
            }
            Ok(Some(Err(error))) => tracing::debug!(?peer, %error, "no PROXY protocol"),
            Ok(None) => {}
            Err(_) => tracing::debug!(?peer, "the PROXY protocol's header did not come in time"),
        }
        None
    }

    async fn serve_tls<S, B>(self, socket: Socket, acceptor: TlsAcceptor, service: Watched<S>)
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // A stop does not wait for a handshake: nobody has asked for anything yet.
        let handshake = self.unless_stopped(shake_hands(socket, acceptor));
        let remote = self.connection.remote();
        match timeout(self.config.head_time, handshake).await {
            Ok(Some(Ok(Greeted::Tls(stream)))) => self.serve(*stream, service).await,
            Ok(Some(Ok(Greeted::Plain(socket)))) => {
                tracing::debug!(?remote, "began with HTTP where HTTPS is spoken");
                let service = Watched { redirect: Some(Redirect::ToTls), ..service };
                self.serve(socket, service).await;
            }
            Ok(Some(Err(error))) => tracing::debug!(?remote, %error, "no TLS handshake"),
            Ok(None) => {}
            Err(_) => tracing::debug!(?remote, "the TLS handshake did not end in time"),
        }
    }

    async fn serve<I, S, B>(self, io: I, service: Watched<S>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let builder = builder(&self.config);
        let mut http =
            pin!(builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service)));
        let mut stopped = self.stopped.clone();
        let mut told = pin!(stopped.wait_for(Option::is_some));
        let mut stopping = None;
        let mut timer = pin!(sleep_until((Instant::now() + self.config.idle_time).into()));
        poll_fn(|cx| {
            if stopping.is_none() && told.as_mut().poll(cx).is_ready() {
                stopping = *self.stopped.borrow();
                http.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                if let Err(error) = result {
                    tracing::debug!(remote = ?self.connection.remote(), %error, "connection ended early");
                }
                return Poll::Ready(());
            }
            // The timer is only moved forward, and when it has fired: most deadlines pass unused.
            loop {
                let until = match self.activity.verdict(Instant::now(), stopping, &self.config) {
                    Verdict::Close(reason) => {
                        tracing::debug!(remote = ?self.connection.remote(), reason, "connection closed");
                        return Poll::Ready(());
                    }
                    Verdict::GoOn { until } => until.map(Into::into),
                };
                let has_fired = timer.is_elapsed();
                match until {
                    Some(until) if has_fired || until < timer.deadline() => {
                        timer.as_mut().reset(until);
                    }
                    None if has_fired => return Poll::Pending,
                    _ => {}
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

/// What a client of a port for HTTPS turned out to speak.
enum Greeted {
    Tls(Box<TlsStream<Socket>>),
    /// HTTP, though it should not. It is told so in its own language.
    Plain(Socket),
}

async fn shake_hands(mut socket: Socket, acceptor: TlsAcceptor) -> io::Result<Greeted> {
    // Records of TLS begin with a small number, and methods of HTTP with a letter.
    if socket.first_byte().await?.is_some_and(|byte| byte.is_ascii_alphabetic()) {
        return Ok(Greeted::Plain(socket));
    }
    Ok(Greeted::Tls(Box::new(acceptor.accept(socket).await?)))
}

fn builder(config: &Config) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams { write_timeout: config.write_timeout });
    let mut http1 = builder.http1();
    // The times are ours to watch.
    http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(config.max_head);
    if config.max_headers > DEFAULT_MAX_HEADERS {
        // Set only where it must be, as it costs an allocation for each request. Fewer are counted by the service.
        http1.max_headers(config.max_headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        // What a client may have under way to us, and we to it, per connection and stream.
        .initial_connection_window_size(1024 * 1024)
        .initial_stream_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024);
    if config.http2 { builder } else { builder.http1_only() }
}

/// hyper's.
const DEFAULT_MAX_HEADERS: usize = 100;
