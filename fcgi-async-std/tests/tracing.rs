//! What the feature `tracing` tells of requests, and that it tells no secret.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};

use fcgi_async_std::server::{self, Listener};
use fcgi_async_std::{Address, Client, Request, Timeouts};

async fn answer(mut request: server::Request) -> io::Result<u32> {
    request.stdin.collect(1000).await?;
    match request.param("MODE") {
        Some("fail") => Err(io::Error::other("no database")),
        Some("wait") => core::future::pending().await,
        _ => {
            request.stdout.write("Set-Cookie: session=s3cret\r\n\r\nyour token is s3cret").await?;
            Ok(0)
        }
    }
}

#[test]
fn requests_are_told_and_secrets_are_not() {
    let told = Told::listen();
    smol::block_on(async {
        let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_address().expect("it has one");
        smol::spawn(server::serve(listener, answer)).detach();
        let client = Client::new(address.clone());
        client.call(secrets()).await.expect("an answer");
        client.call(secrets().param("MODE", "fail")).await.expect_err("status 500");
        let hasty = Timeouts::NONE.with_first_byte(Duration::from_millis(20));
        let waiting = secrets().param("MODE", "wait").timeouts(hasty);
        client.execute(waiting).await.expect_err("time is up");
        let nobody = Client::new(Address::unix("/nowhere/at/all.sock"));
        nobody.call(secrets()).await.expect_err("nobody listens");
        check(&told.text(), &address.to_string());
    });
}

/// What was told, at every level.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    /// Listens to everything that this process tells.
    fn listen() -> Self {
        let told = Self::default();
        let writer = told.clone();
        tracing_subscriber::fmt()
            .with_env_filter("trace")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        told
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("text")
    }
}

impl io::Write for Told {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request full of secrets, all of them with this word in it.
const SECRET: &str = "s3cret";

fn secrets() -> Request {
    Request::post("/srv/login.php?code=s3cret")
        .param("HTTP_COOKIE", "session=s3cret")
        .param("HTTP_AUTHORIZATION", "Bearer s3cret")
        .param("PHP_AUTH_PW", "s3cret")
        .param("DB_PASSWORD", "s3cret")
        .param("HTTP_X_API_KEY", "s3cret")
        .param("HTTP_REFERER", "https://example.org/?token=s3cret")
        .param("HTTP_ACCEPT", "text/plain")
        .body("password=s3cret")
}

fn check(told: &str, address: &str) {
    assert!(!told.contains(SECRET), "a secret was told:\n{told}");
    let expected = [
        "connected",
        "first byte",
        "response begins",
        "request ends",
        "handler failed",
        "cannot connect",
        "error=\"timeout\"",
        "fcgi.request",
        "fcgi.serve",
        "text/plain",
        "method=\"POST\"",
        "script=\"/srv/login.php\"",
        "path=\"/login.php\"",
        "HTTP_COOKIE",
        "<14 bytes>",
        "phase=first byte",
        "app_status=1",
    ];
    for expected in expected.into_iter().chain([&*format!("address={address}")]) {
        assert!(told.contains(expected), "{expected} was not told:\n{told}");
    }
}
