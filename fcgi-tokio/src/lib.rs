//! FastCGI for tokio: a client that talks to php-fpm and any other application, and a server to write applications with.
//!
//! The protocol itself lives in [`fcgi_proto`], which does no IO; this crate owns the sockets, the clock and the tasks.
//!
//! # Client
//! ```no_run
//! # async fn f() -> Result<(), fcgi_tokio::Error> {
//! let body = fcgi_tokio::call("unix:/run/php/php-fpm.sock", "/srv/greeter.php", [("who", "Swoole")]).await?;
//! assert_eq!(body, "Hello Swoole");
//! # Ok(()) }
//! ```
//! [`Client::execute`] gives the response as a stream, with its head, error output and exit status. Every wait has a limit ([`Timeouts`]), and an
//! [`Error`] says what happened, in which phase, at which address.
//!
//! # Application
//! See [`server`]: a handler for each request, behind any web server.
//!
//! # Features
//! `tracing`, off by default: spans and events of requests, of clients and servers alike, with the target `fcgi`: connects,
//! requests with method, script and address, first bytes, ends, retries, timeouts. Secrets are left out
//! ([`fcgi_proto::trace::masked`]).
//!
//! `tower`, off by default: [`serve_tower`](server::Tower) for applications that are tower services, such as axum's
//! `Router`, and `AuthorizerLayer`, which asks a FastCGI authorizer before a request goes on to such a service.
//!
//! `json`, off by default: `Request::json` for values of serde.

#[cfg(feature = "tower")]
mod authorizer;
mod client;
pub mod server;

#[cfg(feature = "tower")]
pub use authorizer::{
    Authorized, AuthorizedBody, AuthorizerFailure, AuthorizerLayer, AuthorizerVariables,
};

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
#[cfg(feature = "tower")]
pub use server::serve_tower;
pub use server::{Listener, Server, serve};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
