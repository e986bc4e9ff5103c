//! An application behind a web server: takes requests, runs a handler for each, sends what it writes.
//!
//! ```no_run
//! use std::io::Write;
//! use fcgi_blocking::server::{Listener, Request};
//!
//! let listener = Listener::bind("127.0.0.1:9000")?;
//! fcgi_blocking::serve(listener, |mut request: Request| -> std::io::Result<u32> {
//!     let name = request.params.get_str("REMOTE_ADDR").unwrap_or("stranger");
//!     write!(request.stdout, "Content-Type: text/plain\r\n\r\nHello {name}\n")?;
//!     Ok(0)
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Server`] has the settings: limits, timeouts, the end from another thread. [`Handler`] says what a handler may be, and
//! [`Request`] what it gets.
//!
//! Each connection has a thread, each request another; requests on one connection (HAProxy multiplexes, nginx, Apache,
//! lighttpd and Caddy do not) are handled at the same time. What a peer can make the server hold is bounded in every
//! direction: connections, requests on each and in all, their parameters, input that no handler reads, and output that no
//! peer reads.
//!
//! This is not a web server: it speaks FastCGI alone. The protocol itself is in [`fcgi_proto::server`].

mod builder;
mod connections;
mod driver;
mod handler;
mod handling;
mod link;
mod listener;
mod request;
mod shared;
mod shutdown;
mod source;
mod stdin;
mod stdout;
mod unix_socket;
mod workers;

use std::io;

pub use builder::Server;
pub use fcgi_proto::server::{Config, ConnectionError, InputError, OutputError};
pub use handler::Handler;
pub use listener::Listener;
pub use request::{Aborted, Request};
pub use shutdown::Shutdown;
pub use stdin::Stdin;
pub use stdout::{Stderr, Stdout};

/// Serves requests with the [default settings](Server), for ever.
///
/// # Errors
/// As [`Server::serve`].
pub fn serve<H: Handler>(listener: impl Into<Listener>, handler: H) -> io::Result<()> {
    Server::new(handler).serve(listener)
}
