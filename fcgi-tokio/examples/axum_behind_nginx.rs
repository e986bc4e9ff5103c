//! An axum application behind nginx, unchanged but for the line that serves it.
//!
//! ```text
//! cargo run -p fcgi-tokio --features tower --example axum_behind_nginx [ADDRESS]
//! ```
//!
//! ADDRESS is where nginx connects to: `HOST:PORT` or `unix:PATH`, by default 127.0.0.1:9000. What nginx needs to be told
//! is printed. SIGTERM ends it once the requests under way are answered.

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Extension, Router};
use fcgi_tokio::server::{Listener, RemoteAddr, Server, Tower};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get(|| async { "Hello from axum\n" }))
        .route("/hello/{name}", get(hello))
        .route("/count", post(|body: String| async move { format!("{} bytes\n", body.len()) }));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let listener = Listener::bind(&*address).await?;
    println!("# in a server of nginx:\nlocation / {{");
    println!("    include fastcgi_params;\n    fastcgi_pass {};\n}}", listener.local_address()?);

    let mut terminate = signal(SignalKind::terminate())?;
    Server::new(Tower::new(app))
        .graceful_shutdown(async move { terminate.recv().await })
        .serve(listener)
        .await
}

async fn hello(Path(name): Path<String>, address: Option<Extension<RemoteAddr>>) -> String {
    match address {
        Some(Extension(RemoteAddr(address))) => format!("Hello {name} at {}\n", address.ip()),
        None => format!("Hello {name}\n"),
    }
}
