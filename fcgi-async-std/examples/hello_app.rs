//! An application for behind a web server: `cargo run -p fcgi-async-std --example smol_hello_app`, and in nginx
//! `location / { include fastcgi_params; fastcgi_pass 127.0.0.1:9000; }`.

use fcgi_async_std::server::{Listener, Request, serve};

fn main() -> std::io::Result<()> {
    smol::block_on(async { serve(Listener::bind("127.0.0.1:9000").await?, hello).await })
}

async fn hello(mut request: Request) -> std::io::Result<u32> {
    let path = request.param("REQUEST_URI").unwrap_or("/");
    let text = format!("Content-Type: text/plain\r\n\r\nHello from {path}\n");
    request.stdout.write(text).await?;
    Ok(0)
}
