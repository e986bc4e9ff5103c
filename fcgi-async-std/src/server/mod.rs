//! An application behind a web server: takes requests, runs a handler for each, sends what it writes.
//!
//! ```no_run
//! use fcgi_async_std::server::{Listener, Request};
//!
//! # fn main() -> std::io::Result<()> {
//! smol::block_on(async {
//!     let listener = Listener::bind("127.0.0.1:9000").await?;
//!     fcgi_async_std::serve(listener, |mut request: Request| async move {
//!         let name = request.param("REMOTE_ADDR").unwrap_or("stranger");
//!         let text = format!("Content-Type: text/plain\r\n\r\nHello {name}\n");
//!         request.stdout.write(text).await?;
//!         Ok::<_, std::io::Error>(0)
//!     })
//!     .await
//! })
//! # }
//! ```
//!
//! [`Server`] has the settings: limits, timeouts, the end on a signal. [`Handler`] says what a handler may be, and
//! [`Request`] what it gets.
//!
//! A server needs no executor: its future does the work of all connections and handlers, at the same time but in the one
//! task that polls it. A handler that computes for long holds up the others, then. [`Server::spawn_with`] makes each
//! connection, with its handlers, a task of an executor's, and so spreads them over its threads; a handler may spawn what
//! is heavy itself (`smol::unblock`).
//!
//! Requests on one connection (HAProxy multiplexes, nginx, Apache, lighttpd and Caddy do not) are handled at the same time.
//! What a peer can make the server hold is bounded in every direction: connections, requests on each, their parameters,
//! input that no handler reads, and output that no peer reads.
//!
//! This is not a web server: it speaks FastCGI alone. The protocol itself is in [`fcgi_proto::server`].

mod builder;
mod connections;
mod driver;
mod handler;
mod listener;
mod request;
mod source;
mod stdin;
mod stdout;
mod unix_socket;

use std::io;

pub use builder::Server;
pub use connections::Connection;
pub use fcgi_proto::server::{Aborted, Config, ConnectionError, InputError, OutputError};
pub use handler::Handler;
pub use listener::Listener;
pub use request::Request;
pub use stdin::Stdin;
pub use stdout::{Stderr, Stdout};

/// Serves requests with the [default settings](Server), for ever.
///
/// # Errors
/// As [`Server::serve`].
pub async fn serve<H: Handler>(listener: impl Into<Listener>, handler: H) -> io::Result<()> {
    Server::new(handler).serve(listener).await
}
