//! FastCGI for smol and async-std: a client that talks to php-fpm and any other application, and a server to write
//! applications with.
//!
//! The protocol itself lives in [`fcgi_proto`], which does no IO; this crate owns the sockets and the clock.
//!
//! It is made of the traits of [`futures_io`] and of [`async_io`], the reactor that smol and async-std share and that has
//! a thread of its own where nobody else drives it. So any executor will do, and none is needed: whoever polls a request
//! or a server does its work. async-std itself is discontinued since March 2025, and recommends smol to its users; programs
//! that still use it (1.13) can use this crate unchanged. For tokio there is `fcgi-tokio`, which is called alike.
//!
//! # Client
//! ```no_run
//! # async fn f() -> Result<(), fcgi_async_std::Error> {
//! let body = fcgi_async_std::call("unix:/run/php/php-fpm.sock", "/srv/greeter.php", [("who", "Swoole")]).await?;
//! assert_eq!(body, "Hello Swoole");
//! # Ok(()) }
//! ```
//! [`Client::execute`] gives the response as a stream, with its head, error output and exit status, and a [`Pool`] keeps
//! connections. Every wait has a limit ([`Timeouts`]), and an [`Error`] says what happened, in which phase, at which
//! address.
//!
//! # Application
//! See [`server`]: a handler for each request, behind any web server.
//!
//! # Features
//! `tracing`, off by default: spans and events of requests, of clients and servers alike, with the target `fcgi`: connects,
//! requests with method, script and address, first bytes, ends, retries, timeouts. Secrets are left out
//! ([`fcgi_proto::trace::masked`]).
//!
//! `http-body` adds [`http_body`](https://docs.rs/http-body) for the bodies of requests and responses, `json`
//! adds `Request::json` for values of serde. None by default.

mod client;
mod io;
pub mod server;
mod socket;
mod time;

pub use client::{
    AsCompleted, Body, Client, Metrics, Multipart, Pool, Request, Response, ResponseBody, call,
};
pub use fcgi_proto::cgi::{FullResponse, ResponseHead};
pub use fcgi_proto::client::{Chunk, End, MAX_CALL_BODY, Timings};
pub use fcgi_proto::multipart::Part;
pub use fcgi_proto::pool::Config as PoolConfig;
pub use fcgi_proto::{
    Address, Error, ErrorKind, LengthError, Params, Phase, Role, SpoolConfig, Timeouts,
};
pub use server::{Listener, Server, serve};
