//! A running server and clients of it.

use core::convert::Infallible;
use core::time::Duration;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::any;
use fcgi_gateway::Connection;
use fcgi_gateway::server::{Config, Listener, RequestBody, Server};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_service::Service;

/// Long, for slow machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Shortens what is not under test.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(config: Config) -> Self {
        Self::run(Server::new(Listener::bind("127.0.0.1:0").await.unwrap()).config(config))
    }

    pub(crate) fn run(server: Server) -> Self {
        Self::with(server, service())
    }

    /// Serves something else.
    pub(crate) fn with<S, B>(server: Server, service: S) -> Self
    where
        S: Service<http::Request<RequestBody>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let address = server.local_addr().unwrap_or(([0, 0, 0, 0], 0).into());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(service, async { drop(stopped.await) }));
        Self { address, stop: Some(stop), task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Drops it.
    pub(crate) async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) async fn ended(self) {
        tokio::time::timeout(LIMIT, self.task).await.expect("the server does not end").unwrap();
    }

    /// What comes after these bytes, until the server closes.
    pub(crate) async fn answers(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        rest(&mut stream).await
    }
}

/// Tells what the service sees; `/echo` gives the body back, `/whole` once it has it all, `/early` answers without it, `/later` before it, and `/never` does not answer.
fn service() -> Router {
    Router::new()
        .route("/seen", any(seen))
        .route("/echo", any(|request: Request| async { request.into_body() }))
        .route("/whole", any(|body: axum::body::Bytes| async { body }))
        .route("/early", any(|| async { "early" }))
        .route("/later", any(later))
        .route("/never", any(|| async { core::future::pending::<&str>().await }))
        .route("/big", any(|| async { Body::from(vec![b'x'; 64 << 20]) }))
        .route("/.well-known/acme-challenge/token", any(|| async { "token" }))
}

/// Answers, and reads the body behind that.
async fn later(request: Request) -> &'static str {
    tokio::spawn(request.into_body().collect());
    "early"
}

async fn seen(request: Request) -> impl IntoResponse {
    let connection = request.extensions().get::<Connection>().unwrap();
    format!(
        "{:?} https={} remote={}",
        request.version(),
        connection.is_https(),
        connection.remote().map_or("none".to_owned(), |remote| remote.ip().to_string()),
    )
}

/// All that comes until the other side closes.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut all)).await;
    // A reset is an end as well; what came before it counts.
    let _ = read.expect("the server does not close");
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until a text has come.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        let read = tokio::time::timeout(LIMIT, stream.read_buf(&mut all)).await;
        let found = read.expect("too slow").unwrap();
        assert_ne!(found, 0, "closed after {:?}", String::from_utf8_lossy(&all));
    }
    String::from_utf8_lossy(&all).into_owned()
}

pub(crate) type Http2 = http2::SendRequest<Empty<bytes::Bytes>>;

/// Speaks HTTP/2 over a stream.
pub(crate) async fn http2(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Http2 {
    let (client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn get(client: &mut Http2, uri: &str) -> (u16, String) {
    let request = http::Request::get(uri).body(Empty::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
