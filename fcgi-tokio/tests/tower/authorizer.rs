//! An authorizer in front of an axum application.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request as HttpRequest, StatusCode};
use axum::{Extension, Router};
use fcgi_tokio::server::{Listener, RemoteAddr, Request, Server};
use fcgi_tokio::{
    Address, AuthorizerFailure, AuthorizerLayer, AuthorizerVariables, Client, ErrorKind, Pool,
    PoolConfig, Role, Timeouts,
};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::ServiceExt;

/// An authorizer that answers with what the query string says, and tells what it was asked.
async fn authorizer(roles: impl IntoIterator<Item = Role>) -> (Address, UnboundedReceiver<String>) {
    let (report, asked) = unbounded_channel();
    let decide = move |mut request: Request| {
        let report = report.clone();
        async move {
            let body = request.stdin.collect(100).await?;
            let mut told: Vec<_> = request
                .params
                .iter()
                .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
                .collect();
            told.push(format!("role={} body={}", request.role, body.len()));
            let _ = report.send(told.join("\n"));
            let answer = match request.param("QUERY_STRING").unwrap_or_default() {
                "grant" | "grant=fail" => {
                    "Status: 200 OK\r\nVariable-REMOTE_USER: joe\r\nVariable-AUTH_TYPE: door\r\n\
                     Variable-HTTP_HOST: evil\r\nVariable-SCRIPT_FILENAME: /etc/passwd\r\nX-Other: 1\r\n\r\nnobody sees this"
                }
                "away" => "Location: https://login.example/\r\nConnection: close\r\n\r\n",
                "panic" => panic!("no decision"),
                _ => {
                    "Status: 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                     Content-Type: text/html\r\nVariable-REMOTE_USER: joe\r\n\r\n<p>Who are you?"
                }
            };
            request.stdout.write(answer).await?;
            Ok::<_, io::Error>(u32::from(request.param("QUERY_STRING") == Some("grant=fail")))
        }
    };
    let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_address().expect("it has one");
    tokio::spawn(Server::new(decide).roles(roles).serve(listener));
    (address, asked)
}

/// The application, which counts its requests.
fn app(layer: AuthorizerLayer) -> (Router, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let hello = move |variables: Extension<AuthorizerVariables>, body: String| {
        counted.fetch_add(1, Ordering::Relaxed);
        let names: Vec<_> = variables.as_params().iter().map(|(name, _)| name.to_vec()).collect();
        let names = String::from_utf8(names.join(&b' ')).expect("text");
        let user = variables.get_str("REMOTE_USER").unwrap_or("nobody").to_owned();
        async move { format!("{user} [{names}] {body}") }
    };
    (Router::new().fallback(hello).layer(layer), count)
}

fn request(target: &str) -> HttpRequest<Body> {
    let mut request = HttpRequest::new(Body::from("the body"));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.parse().expect("a target");
    let headers = request.headers_mut();
    headers.insert("host", "example.org".parse().expect("a value"));
    headers.insert("content-length", "8".parse().expect("a value"));
    headers.insert("variable-remote-user", "mallory".parse().expect("a value"));
    request.extensions_mut().insert(RemoteAddr(([10, 0, 0, 7], 1234).into()));
    request
}

/// Status, failure, headers as text, and body.
async fn ask(app: Router, target: &str) -> (StatusCode, Option<AuthorizerFailure>, String, String) {
    let response = app.oneshot(request(target)).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let failure = parts.extensions.get().cloned();
    let headers = format!("{:?}", parts.headers);
    (parts.status, failure, headers, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_grant_passes_the_request_on() {
    let (address, mut asked) = authorizer([Role::Authorizer]).await;
    let pool = Pool::new([address.clone()], PoolConfig::default());
    for layer in [AuthorizerLayer::new(Client::new(address)), AuthorizerLayer::pooled(pool)] {
        let layer = layer.params(|parts, params| params.set("SERVER_NAME", parts.method.as_str()));
        let (app, count) = app(layer);
        let (status, _, _, text) = ask(app, "/private/a?grant").await;
        assert_eq!((status, &*text), (StatusCode::OK, "joe [REMOTE_USER AUTH_TYPE] the body"));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        let told = asked.recv().await.expect("it was asked");
        for line in [
            "role=authorizer body=0",
            "REQUEST_METHOD=POST",
            "REQUEST_URI=/private/a?grant",
            "HTTP_HOST=example.org",
            "REMOTE_ADDR=10.0.0.7",
            "SERVER_NAME=POST",
        ] {
            assert!(told.lines().any(|other| other == line), "{line} is not in\n{told}");
        }
        for name in ["CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME"] {
            assert!(!told.contains(name), "{name} is in\n{told}");
        }
    }
}

#[tokio::test]
async fn any_other_answer_is_the_clients() {
    let (address, _asked) = authorizer([Role::Authorizer]).await;
    let (app, count) = app(AuthorizerLayer::new(Client::new(address)));
    let (status, failure, headers, text) = ask(app.clone(), "/?deny").await;
    assert_eq!((status, &*text), (StatusCode::UNAUTHORIZED, "<p>Who are you?"));
    assert!(failure.is_none());
    for part in ["\"www-authenticate\": \"Basic\"", "\"a=1\"", "\"b=2\"", "text/html"] {
        assert!(headers.contains(part), "{part} is not in {headers}");
    }
    let (status, _, headers, _) = ask(app.clone(), "/?away").await;
    assert_eq!(status, StatusCode::FOUND);
    assert!(headers.contains("https://login.example/") && !headers.contains("close"), "{headers}");
    assert_eq!(ask(app, "/?panic").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(count.load(Ordering::Relaxed), 0, "the application was asked");
}

#[tokio::test]
async fn without_an_answer_nobody_passes() {
    let (silent, closing) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (silent, closing) = (silent.await.expect("a port"), closing.await.expect("a port"));
    let address =
        |listener: &TcpListener| Address::from(listener.local_addr().expect("it has one"));
    let (silent_at, closing_at) = (address(&silent), address(&closing));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = closing.accept().await {
            // STDOUT with a grant, and no end.
            let grant = b"\x01\x06\0\x01\0\x12\0\0Status: 200 OK\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, grant).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        }
    });
    let (other_role, _asked) = authorizer([Role::Responder]).await;
    let (authorizer, _asked) = authorizer([Role::Authorizer]).await;
    let nobody = address(&TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    let hasty = Timeouts::NONE.with_first_byte(Duration::from_millis(50));
    for (case, client, target, expected) in [
        ("nobody listens", Client::new(nobody), "/?grant", StatusCode::BAD_GATEWAY),
        ("silence", Client::new(silent_at).timeouts(hasty), "/?grant", StatusCode::GATEWAY_TIMEOUT),
        ("a grant that breaks off", Client::new(closing_at), "/?grant", StatusCode::BAD_GATEWAY),
        ("no authorizer", Client::new(other_role), "/?grant", StatusCode::BAD_GATEWAY),
        ("exit status 1", Client::new(authorizer), "/?grant=fail", StatusCode::BAD_GATEWAY),
    ] {
        let (app, count) = app(AuthorizerLayer::new(client));
        let (status, failure, _, text) = ask(app, target).await;
        assert_eq!(status, expected, "{case}: {failure:?}");
        let failure = failure.expect(case);
        assert!(!text.contains("127.0.0.1"), "{case}: {text}");
        if case == "nobody listens" {
            let kind = failure.error().expect(case).kind();
            assert!(matches!(kind, ErrorKind::Connect), "{kind:?}");
        }
        assert_eq!(count.load(Ordering::Relaxed), 0, "{case}: the application was asked");
    }
}
