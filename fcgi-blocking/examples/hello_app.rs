//! An application for behind a web server: `cargo run -p fcgi-blocking --example blocking_hello_app`, and in nginx
//! `location / { include fastcgi_params; fastcgi_pass 127.0.0.1:9000; }`.
//!
//! It listens on the address that is its argument, or on 127.0.0.1:9000.

use std::io::Write;

use fcgi_blocking::server::{Listener, Request, serve};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    serve(Listener::bind(address)?, hello)
}

fn hello(mut request: Request) -> std::io::Result<u32> {
    let path = request.params.get_str("REQUEST_URI").unwrap_or("/");
    write!(request.stdout, "Content-Type: text/plain\r\n\r\nHello from {path}\n")?;
    Ok(0)
}
