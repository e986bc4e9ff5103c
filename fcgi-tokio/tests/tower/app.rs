//! The application, and its server.

use core::time::Duration;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Extension, Router};
use fcgi_tokio::server::{Listener, RemoteAddr, Server, Tower};
use fcgi_tokio::{Address, Params};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt;

/// A running application; stopped when dropped.
pub(crate) struct App {
    pub(crate) address: Address,
    /// What has happened to requests that never end.
    events: UnboundedReceiver<&'static str>,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl App {
    pub(crate) fn on_tcp() -> Self {
        Self::start(|_| "127.0.0.1:0".to_owned())
    }

    pub(crate) fn on_unix() -> Self {
        Self::start(|folder| format!("unix:{}/app.sock", folder.display()))
    }

    fn start(address: impl FnOnce(&std::path::Path) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("fcgi-").tempdir().expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let (report, events) = unbounded_channel();
        let listener = runtime.block_on(Listener::bind(&*address(folder.path()))).expect("it can");
        let address = listener.local_address().expect("it has one");
        runtime.spawn(Server::new(Tower::new(router(report))).serve(listener));
        Self { address, events, runtime, _folder: folder }
    }

    /// Waits for news of a request that never ends.
    pub(crate) fn event(&mut self) -> &'static str {
        let next = self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await
        });
        next.expect("nothing happens").expect("the application lives")
    }
}

/// Says when it is dropped.
struct Guard(UnboundedSender<&'static str>, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

type Reports = State<UnboundedSender<&'static str>>;

fn router(report: UnboundedSender<&'static str>) -> Router {
    Router::new()
        .route("/hello", get(|| async { "Hello" }))
        .route("/hash", post(hash))
        .route("/echo", post(|body: Body| async { body }))
        .route("/big", get(|| async { Body::from_stream(pieces(BIG)) }))
        .route("/redirect", get(|| async { Redirect::to("/hello?from=redirect") }))
        .route("/created", get(|| async { (StatusCode::CREATED, [("location", "/hello")], "new") }))
        .route("/cookies", get(cookies))
        .route("/facts", get(facts).post(facts))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/broken", get(|| async { Body::from_stream(broken()) }))
        .route(
            "/short",
            get(|| async { ([("content-length", "1000")], Body::from_stream(pieces(1))) }),
        )
        .route("/panic", get(panic))
        .route("/wait", get(wait))
        .route("/drip", get(drip))
        .nest(
            "/app",
            Router::new().route(
                "/inside",
                get(|request: Request| async move { request.uri().path().to_owned() }),
            ),
        )
        .with_state(report)
}

const BIG: usize = 2000;
pub(crate) const PIECE: &[u8] = &[b'x'; 10_000];

/// How long the answer at `/big` is.
pub(crate) const BIG_LEN: usize = BIG * PIECE.len();

fn pieces(count: usize) -> impl tokio_stream::Stream<Item = io::Result<Bytes>> + Send {
    tokio_stream::iter((0..count).map(|_| Ok(Bytes::from_static(PIECE))))
}

fn broken() -> impl tokio_stream::Stream<Item = io::Result<Bytes>> + Send {
    pieces(10).chain(tokio_stream::iter([Err(io::Error::other("the source broke"))]))
}

/// Reads the body piece by piece.
async fn hash(mut body: Body) -> Result<String, String> {
    let (mut hash, mut length) = (Md5::new(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|error| error.to_string())?.into_data().expect("data");
        length += data.len();
        hash.update(&data);
    }
    Ok(digest(length, hash))
}

pub(crate) fn digest(length: usize, hash: Md5) -> String {
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{length} {hash}")
}

async fn cookies(headers: HeaderMap) -> impl IntoResponse {
    let all: Vec<_> =
        headers.get_all("cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let name = HeaderName::from_static("set-cookie");
    (AppendHeaders([(name.clone(), "a=1; Path=/"), (name, "b=2")]), all.join("; "))
}

async fn facts(
    params: Extension<Params>,
    address: Extension<RemoteAddr>,
    request: Request,
) -> String {
    let length = request.headers().get("content-length").map(|value| value.to_str().unwrap());
    let Extension(RemoteAddr(address)) = address;
    format!(
        "{} {} {:?} length={length:?} body_end={} client={} software={}",
        request.method(),
        request.uri(),
        request.version(),
        http_body::Body::is_end_stream(request.body()),
        address.ip(),
        params.get_str("SERVER_SOFTWARE").unwrap_or("none"),
    )
}

async fn panic() -> &'static str {
    panic!("a handler's own fault")
}

/// Never answers.
async fn wait(State(report): Reports) -> &'static str {
    let _ = report.send("asked to wait");
    let _guard = Guard(report, "dropped while waiting");
    core::future::pending().await
}

/// Never ends, and keeps writing.
async fn drip(State(report): Reports) -> Body {
    let guard = Guard(report, "dropped while dripping");
    let drops = StreamExt::throttle(
        tokio_stream::iter(core::iter::repeat(Bytes::from_static(PIECE))),
        Duration::from_millis(5),
    );
    Body::from_stream(drops.map(move |drop| {
        let _held = &guard;
        Ok::<_, io::Error>(drop)
    }))
}
