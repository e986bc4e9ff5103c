//! An axum application with a folder of PHP below one of its routes.
//!
//! ```text
//! cargo run -p fcgi-gateway --example axum_mount_php FOLDER [FPM [LISTEN]]
//! ```
//!
//! FOLDER holds the scripts, FPM is where PHP-FPM listens (by default `unix:/run/php/php-fpm.sock`), LISTEN where to listen
//! for HTTP (by default 127.0.0.1:8080). `/` is answered by Rust, and everything below `/php` by the folder:
//! `/php/greeter.php/info?who=axum` runs `FOLDER/greeter.php`.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use fcgi_gateway::{Connection, Gateway, OriginalUri};
use std::net::SocketAddr;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: axum_mount_php FOLDER [FPM [LISTEN]]")?;
    let fpm = arguments.next().unwrap_or_else(|| "unix:/run/php/php-fpm.sock".to_owned());
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let php = Gateway::builder(folder).fpm(&*fpm).build()?;
    let listener = TcpListener::bind(listen).await?;
    let local = listener.local_addr()?;
    let app = Router::new()
        .route("/", get(|| async { "Hello from Rust\n" }))
        .nest_service("/php", php)
        // What only the outside of the router knows: who asks (REMOTE_ADDR), and for what, `/php` included (REQUEST_URI).
        .layer(from_fn(move |request, next| tell_client(local, request, next)));
    println!("http://{local}/ is Rust, http://{local}/php/ is PHP");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

async fn tell_client(local: SocketAddr, mut request: Request, next: Next) -> Response {
    if let Some(&ConnectInfo(remote)) = request.extensions().get() {
        request.extensions_mut().insert(Connection::new(remote, local));
    }
    let uri = OriginalUri(request.uri().clone());
    request.extensions_mut().insert(uri);
    next.run(request).await
}
