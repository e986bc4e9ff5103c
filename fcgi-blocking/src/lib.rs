//! FastCGI on blocking sockets: a client that talks to php-fpm and any other application, and a server to write
//! applications with. There is no runtime inside.
//!
//! The protocol itself lives in [`fcgi_proto`], which does no IO; this crate owns the sockets, the clock and the threads.
//!
//! # Client
//! ```no_run
//! let body = fcgi_blocking::call("unix:/run/php/php-fpm.sock", "/srv/greeter.php", [("who", "Swoole")])?;
//! assert_eq!(body, "Hello Swoole");
//! # Ok::<(), fcgi_blocking::Error>(())
//! ```
//! [`Client::execute`] gives the response as a stream, with its head, error output and exit status.
//!
//! # Application
//! ```no_run
//! use fcgi_blocking::server::{Listener, Request, serve};
//!
//! fn hello(mut request: Request) -> std::io::Result<u32> {
//!     request.stdout.write("Content-Type: text/plain\r\n\r\nHello\n")?;
//!     Ok(0)
//! }
//!
//! serve(Listener::bind("127.0.0.1:9000")?, hello)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Features
//! `tracing`, off by default: spans and events of requests, of clients and servers alike, with the target `fcgi`: connects,
//! requests with method, script and address, first bytes, ends, retries, timeouts. Secrets are left out
//! ([`fcgi_proto::trace::masked`]).
//!
//! `json`, off by default: `Request::json` for values of serde.

mod client;
mod connect;
mod parker;
pub mod server;
mod socket;
mod wake;

pub use client::{
    AsCompleted, Body, Chunks, Client, Metrics, Multipart, Pool, Request, Response, ResponseBody,
    call,
};
pub use fcgi_proto::cgi::{FullResponse, ResponseHead};
pub use fcgi_proto::client::{Chunk, End, MAX_CALL_BODY, Timings};
pub use fcgi_proto::multipart::Part;
pub use fcgi_proto::pool::Config as PoolConfig;
pub use fcgi_proto::{
    Address, Error, ErrorKind, LengthError, Params, Phase, Role, SpoolConfig, Timeouts,
};
pub use server::{Listener, Server, serve};
