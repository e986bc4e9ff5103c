//! Everything without a runtime: an application whose handlers are threads, and a pool that threads share.
//!
//! `cargo run -p fcgi-blocking --example blocking`

use std::io::Write;
use std::thread;

use fcgi_blocking::server::{Listener, Request, Server};
use fcgi_blocking::{Pool, PoolConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = Listener::bind("127.0.0.1:0")?;
    let address = listener.local_address()?;
    println!("an application at {address}");
    let server = Server::new(hello);
    let shutdown = server.shutdown_handle();
    let server = thread::spawn(move || server.serve(listener));

    let pool = Pool::new([address], PoolConfig::default());
    let names = ["Ada", "Grace", "Barbara"];
    let requests = names.map(|name| fcgi_blocking::Request::get("/hello").query([("name", name)]));
    for result in pool.join_ordered(requests) {
        print!("{}", String::from_utf8_lossy(result?.body()));
    }
    println!("{:?}", pool.metrics());
    shutdown.shutdown();
    server.join().expect("no panic")?;
    Ok(())
}

fn hello(mut request: Request) -> std::io::Result<u32> {
    let query = request.params.get_str("QUERY_STRING").unwrap_or_default();
    let name = query.strip_prefix("name=").unwrap_or("World");
    write!(request.stdout, "Content-Type: text/plain\r\n\r\nHello {name}\n")?;
    Ok(0)
}
