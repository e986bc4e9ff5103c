//! An application for behind a web server: `cargo run -p fcgi-tokio --example hello_app`, and in nginx
//! `location / { include fastcgi_params; fastcgi_pass 127.0.0.1:9000; }`.

use fcgi_tokio::server::{Listener, Request, serve};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    serve(Listener::bind("127.0.0.1:9000").await?, hello).await
}

async fn hello(mut request: Request) -> std::io::Result<u32> {
    let path = request.param("REQUEST_URI").unwrap_or("/");
    let text = format!("Content-Type: text/plain\r\n\r\nHello from {path}\n");
    request.stdout.write(text).await?;
    Ok(0)
}
