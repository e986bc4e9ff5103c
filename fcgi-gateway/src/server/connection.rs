//! The task of one connection.

use core::convert::Infallible;
use core::pin::pin;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fcgi_proto::cgi::TrustedProxies;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use super::activity::Activity;
use super::proxy_protocol;
use super::redirect::Redirect;
use super::rewound::News;
use super::service::{RequestBody, Watched};
use super::socket::Socket;
use super::stream::Stream;
use super::timekeeper::Timekeeper;
use super::{Config, versions};
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
        I: AsyncRead + AsyncWrite + News + Unpin + Send + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut stopped = self.stopped.clone();
        let mut stop = pin!(async {
            let told = stopped.wait_for(Option::is_some).await;
            told.ok().and_then(|moment| *moment)
        });
        let mut timer = pin!(sleep_until((Instant::now() + self.config.idle_time).into()));
        let mut time = Timekeeper {
            activity: &self.activity,
            config: &self.config,
            stop: stop.as_mut(),
            timer: timer.as_mut(),
            is_stopping: false,
            stopping: None,
        };
        let remote = self.connection.remote();
        match versions::serve(io, service, &mut time).await {
            Ok(None) => {}
            Ok(Some(reason)) => tracing::debug!(?remote, reason, "connection closed"),
            Err(error) => tracing::debug!(?remote, %error, "connection ended early"),
        }
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
