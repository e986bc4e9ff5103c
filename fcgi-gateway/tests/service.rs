//! The gateway as a service in somebody else's server.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use fcgi_gateway::server::{Config, Server};
use fcgi_gateway::supervisor::{StartError, Supervisor};
use fcgi_gateway::{BuildError, Connection, Gateway};
use fcgi_test_support::{PhpFpm, Scripts};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full};
use tower_service::Service;

async fn call<B>(gateway: &Gateway, request: Request<B>) -> Response<Bytes>
where
    B: http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static,
{
    let (parts, body) = gateway.clone().call(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn empty(
    target: &str,
) -> Request<impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static> {
    let body = Empty::new().map_err(|never| match never {});
    Request::builder().uri(target).header("Host", "example.org").body(body).unwrap()
}

/// A body that does not know its length.
struct Pieces(u32);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 100])))))
    }
}

#[tokio::test]
async fn in_axum() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let php = Gateway::builder(scripts.root()).fpm(fpm.address()).build().unwrap();
    let app = Router::new().route("/new", get(async || "new")).fallback_service(php);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(app, async { drop(stopped.await) }));
    let answers = tokio::task::spawn_blocking(move || {
        use fcgi_test_support::http::Request;
        let get = |target| Request::get(target).send(address).text();
        [get("/new"), get("/greeter.php?who=axum")]
    });
    assert_eq!(answers.await.unwrap(), ["new", "Hello axum"]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn nothing_is_made_up_about_the_connection() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let gateway = Gateway::builder(scripts.root())
        .fpm(fpm.address())
        .server_software("mine/1")
        .build()
        .unwrap();
    let response = call(&gateway, empty("/env.php")).await;
    let env: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        (&env["REMOTE_ADDR"], &env["SERVER_SOFTWARE"]),
        (&serde_json::Value::Null, &"mine/1".into())
    );
    let mut request = empty("/env.php");
    let connection =
        Connection::new("[2001:db8::7]:4711".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
    request.extensions_mut().insert(connection.https(true));
    let response = call(&gateway, request).await;
    let env: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    for (name, value) in [
        ("REMOTE_ADDR", "2001:db8::7"),
        ("REMOTE_PORT", "4711"),
        ("SERVER_ADDR", "192.0.2.1"),
        ("SERVER_PORT", "443"),
        ("HTTPS", "on"),
        ("REQUEST_SCHEME", "https"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
}

/// Lets everybody in as joe.
async fn let_in(mut request: fcgi_tokio::server::Request) -> std::io::Result<u32> {
    let grant = "Variable-REMOTE_USER: joe\r\nVariable-SCRIPT_FILENAME: /etc/passwd\r\n\r\n";
    request.stdout.write(grant).await?;
    Ok(0)
}

#[tokio::test]
async fn what_an_authorizer_grants_with_is_in_the_environment() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let listener = fcgi_tokio::Listener::bind("127.0.0.1:0").await.unwrap();
    let client = fcgi_tokio::Client::new(listener.local_address().unwrap());
    let roles = [fcgi_tokio::Role::Authorizer];
    tokio::spawn(fcgi_tokio::Server::new(let_in).roles(roles).serve(listener));
    let gateway = Gateway::builder(scripts.root()).fpm(fpm.address()).build().unwrap();
    let layer = fcgi_tokio::AuthorizerLayer::new(client);
    let app: Router = Router::new().fallback_service(gateway).layer(layer);
    let mut request = empty("/env.php").map(axum::body::Body::new);
    request.headers_mut().insert("variable-evil", "1".parse().unwrap());
    let client = fcgi_tokio::server::RemoteAddr("192.0.2.7:4711".parse().unwrap());
    request.extensions_mut().insert(client);
    let response = app.clone().call(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let env: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&env["REMOTE_USER"], &env["REMOTE_ADDR"]), (&"joe".into(), &"192.0.2.7".into()));
    assert_eq!(env["SCRIPT_FILENAME"], scripts.path("env.php"));
    assert_eq!(env["EVIL"], serde_json::Value::Null);
}

#[tokio::test]
async fn an_application_gets_every_path() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let whole = Gateway::to_application(fpm.address()).build().unwrap();
    // PHP-FPM wants a script, which shows that none is named.
    let response = call(&whole, empty("/greeter.php")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(call(&whole, empty("/a%00b")).await.status(), StatusCode::BAD_REQUEST);
    drop(scripts);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let gateway = Gateway::builder(scripts.root())
        .fpm(fpm.address())
        .spool_memory(250)
        .spool_limit(1000)
        .build()
        .unwrap();
    let post =
        |pieces| Request::post("/echo.php").header("Host", "x").body(Pieces(pieces)).unwrap();
    for pieces in [0, 1, 3, 10] {
        let response = call(&gateway, post(pieces)).await;
        assert_eq!(
            (response.status(), response.body().len()),
            (StatusCode::OK, pieces as usize * 100)
        );
    }
    assert_eq!(call(&gateway, post(11)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // The script was never asked to look at that one.
    assert_eq!(fpm.access_log().lines().count(), 4);
}

#[tokio::test]
async fn announced_lengths_beyond_the_limit_are_refused() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let builder = || Gateway::builder(scripts.root()).fpm(fpm.address());
    let post = |length: usize| {
        let body = Full::new(Bytes::from(vec![b'x'; length])).map_err(|never| match never {});
        Request::post("/echo.php").header("Host", "x").body(body).unwrap()
    };
    // Short ones are collected, long ones streamed, and spooled ones wait in a file.
    for stream in [true, false] {
        for limit in [1000, 200_000] {
            let limited = builder().max_body(limit as u64).stream_bodies(stream).build().unwrap();
            let response = call(&limited, post(limit)).await;
            assert_eq!((response.status(), response.body().len()), (StatusCode::OK, limit));
            let response = call(&limited, post(limit + 1)).await;
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
    let unlimited = builder().build().unwrap();
    assert_eq!(call(&unlimited, post(200_001)).await.body().len(), 200_001);
    // Those that were refused have not reached PHP.
    assert_eq!(fpm.access_log().lines().count(), 5);
}

/// A body that goes on when it is told so.
struct Held(tokio::sync::oneshot::Receiver<()>);

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.0).poll(cx).map(|_| None)
    }
}

#[tokio::test]
async fn more_spools_than_allowed_are_refused() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let gateway =
        Gateway::builder(scripts.root()).fpm(fpm.address()).max_spools(1).build().unwrap();
    let (release, held) = tokio::sync::oneshot::channel();
    let held = Request::post("/echo.php").header("Host", "x").body(Held(held)).unwrap();
    let mut first = core::pin::pin!(call(&gateway, held));
    // It has come as far as it can, and has the only place.
    assert!(core::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx))).await.is_pending());
    let post = || Request::post("/echo.php").header("Host", "x").body(Pieces(1)).unwrap();
    let refused = call(&gateway, post()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    // What needs no place is served.
    assert_eq!(call(&gateway, empty("/greeter.php")).await.status(), StatusCode::OK);
    release.send(()).unwrap();
    assert_eq!(first.await.status(), StatusCode::OK);
    assert_eq!(call(&gateway, post()).await.body().len(), 100);
    let none = Gateway::builder(scripts.root()).fpm(fpm.address()).max_spools(0).build().unwrap();
    assert_eq!(call(&none, post()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn php_cgi_is_supervised_too() {
    let scripts = Scripts::new();
    let program = Path::new("/usr/bin/php-cgi");
    assert!(
        program.exists(),
        "php-cgi is not installed, and this test needs it: `apt-get install php-cgi`"
    );
    let php = Supervisor::start_program(scripts.root(), program).await.unwrap();
    let gateway = Gateway::builder(scripts.root()).fpm(php.address().clone()).build().unwrap();
    assert_eq!(call(&gateway, empty("/greeter.php?who=cgi")).await.body(), "Hello cgi");
    let socket = php.address().to_string().replace("unix:", "");
    php.stop().await;
    assert!(!Path::new(&socket).exists());
    assert_eq!(call(&gateway, empty("/greeter.php")).await.status(), StatusCode::BAD_GATEWAY);
    let error = Supervisor::start_program(scripts.root(), Path::new("/bin/sh")).await.unwrap_err();
    assert!(matches!(error, StartError::Unknown(_)), "{error}");
}

#[test]
fn what_cannot_be_built() {
    let error = Gateway::builder("/nowhere").fpm("127.0.0.1:9000").build().unwrap_err();
    assert!(
        matches!(&error, BuildError::Root { .. }) && error.to_string().contains("/nowhere"),
        "{error}"
    );
    assert!(matches!(Gateway::builder("/").build().unwrap_err(), BuildError::NoApplication));
    assert!(matches!(
        Gateway::builder("/").fpm("nonsense").build().unwrap_err(),
        BuildError::Address(_)
    ));
}

/// Serves the test scripts with one worker, and gives the address and what keeps it all alive.
async fn one_worker(
    set: impl FnOnce(fcgi_gateway::Builder) -> fcgi_gateway::Builder,
    write_timeout: Duration,
) -> (SocketAddr, (Scripts, PhpFpm, tokio::task::JoinHandle<()>)) {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::builder().workers(1).start());
    let gateway = set(Gateway::builder(scripts.root()).fpm(fpm.address())).build().unwrap();
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.config(Config::default().write_timeout(write_timeout));
    let address = server.local_addr().unwrap();
    let running = tokio::spawn(server.run(gateway, core::future::pending()));
    (address, (scripts, fpm, running))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_in_its_body_is_told_so() {
    let limit = Duration::from_millis(200);
    let (address, _alive) = one_worker(|gateway| gateway.body_timeout(limit), limit).await;
    let statuses = tokio::task::spawn_blocking(move || {
        [
            "Content-Length: 100\r\n\r\nx",
            "Transfer-Encoding: chunked\r\n\r\n5\r\na",
            "Content-Length: 1000000\r\n\r\nx",
        ]
        .map(|rest| {
            let mut client = fcgi_test_support::http::Connection::open(address);
            let head = format!("POST /hash.php HTTP/1.1\r\nHost: example.org\r\n{rest}");
            client.send_raw(head.as_bytes()).unwrap();
            client.response(false).status
        })
    });
    assert_eq!(statuses.await.unwrap(), [408; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_frees_the_worker_in_time() {
    let limit = Duration::from_millis(200);
    let (address, _alive) = one_worker(|gateway| gateway, limit).await;
    let answer = tokio::task::spawn_blocking(move || {
        use fcgi_test_support::http::{Connection, Request};
        let mut idle = Connection::open(address);
        // More than all buffers on the way hold.
        idle.send_raw(b"GET /big.php?size=200000000 HTTP/1.1\r\nHost: example.org\r\n\r\n")
            .unwrap();
        let answer = Request::get("/zero.php").send(address).text();
        drop(idle);
        answer
    });
    assert_eq!(answer.await.unwrap(), "0");
}
