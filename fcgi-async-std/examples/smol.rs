//! Everything on smol: an application with its handlers on all of smol's threads, and a pool that calls it.
//!
//! `cargo run -p fcgi-async-std --example smol`; with `SMOL_THREADS=4` on four threads.

use fcgi_async_std::server::{Listener, Request, Server};
use fcgi_async_std::{Pool, PoolConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(async {
        let listener = Listener::bind("127.0.0.1:0").await?;
        let address = listener.local_address()?;
        println!("an application at {address}");
        let server = Server::new(hello).spawn_with(|connection| smol::spawn(connection).detach());
        let server = smol::spawn(server.serve(listener));

        let pool = Pool::new([address], PoolConfig::default());
        let names = ["Ada", "Grace", "Barbara"];
        let requests =
            names.map(|name| fcgi_async_std::Request::get("/hello").query([("name", name)]));
        for result in pool.join_ordered(requests).await {
            print!("{}", String::from_utf8_lossy(result?.body()));
        }
        println!("{:?}", pool.metrics());
        server.cancel().await;
        Ok(())
    })
}

async fn hello(mut request: Request) -> std::io::Result<u32> {
    let query = request.param("QUERY_STRING").unwrap_or_default();
    let name = query.strip_prefix("name=").unwrap_or("World");
    let text = format!("Content-Type: text/plain\r\n\r\nHello {name}\n");
    request.stdout.write(text).await?;
    Ok(0)
}
