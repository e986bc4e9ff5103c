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
//! [`Client::execute`] gives the response as a stream, with its head, error output and exit status.

mod client;

pub use client::{Body, Client, MAX_CALL_BODY, Request, Response, ResponseBody, call};
pub use fcgi_proto::cgi::{FullResponse, ResponseHead};
pub use fcgi_proto::client::End;
pub use fcgi_proto::{Address, Error, ErrorKind, Params, Phase, Role, Timeouts};
