//! HTTP in front of FastCGI: a PHP site, or any other FastCGI application, behind a [tower](tower_service) service.
//!
//! ```text
//!                    ┌─ routing ─┐
//!   http::Request ──>│  Gateway  │──> files                     (tower-http, behind deny rules)
//!   http::Response <─│           │──> proxy ──> fcgi_tokio ──>  PHP-FPM, or another application
//!                    └───────────┘
//! ```
//!
//! [`Gateway`] is the service. It fits into axum and everything else that takes a tower service; [`server`] is a small
//! HTTP server for those who have none, and [`supervisor`] runs a PHP of its own. The binary `fcgi serve` is these three
//! together.
//!
//! What the gateway takes care of:
//!
//! - [`routing`]: scripts with PATH_INFO, static files, folders, and a front controller for the rest. The source of
//!   scripts, dotfiles, and backup copies are never sent.
//! - Requests: every CGI variable ([`fcgi_proto::cgi::environment`]). A body of known length is streamed; one of
//!   unknown length is spooled, in memory and then on disk, because PHP reads only as much as CONTENT_LENGTH says.
//! - Responses are streamed as they come. One that is cut short, by a script that dies for instance, is visibly cut for
//!   the client too.
//! - Failures: 502 when the application cannot be reached or answers nonsense, 504 when it takes too long, as text or,
//!   by `Accept`, as JSON; details go to the log ([`tracing`]), and so does the application's error output.
//! - A client that leaves: its request was handed over in full before, and its answer is then dropped, which PHP notices
//!   at its next output.
//!
//! The gateway believes nothing about the connection that a client says of itself: `X-Forwarded-For` and the like reach
//! the application as the headers they are, and REMOTE_ADDR is the address of the socket, see [`Connection`]. Behind a proxy of one's own, [`Builder::trusted_proxies`]
//! names whom to believe.
//!
//! It runs on tokio, and on Unix only: the policy for symbolic links is about owners, and PHP is reached and run as on Unix.
//!
//! # Mounting it
//!
//! In axum, one line; other routes go before it:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use fcgi_gateway::Gateway;
//!
//! let php = Gateway::builder("/srv/site/public").fpm("127.0.0.1:9000").build()?;
//! let app: Router = Router::new().route("/new", get(|| async { "new" })).fallback_service(php);
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! With the server in this crate:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fcgi_gateway::{Gateway, server::Server};
//!
//! let php = Gateway::builder("/srv/site/public").fpm("127.0.0.1:9000").build()?;
//! Server::bind("127.0.0.1:8080").await?.run(php, core::future::pending()).await;
//! # Ok(()) }
//! ```
//!
//! For hyper itself, wrap it in `hyper_util::service::TowerToHyperService`.

mod body;
mod builder;
mod check;
mod compress;
mod connection;
mod deny;
mod files;
mod folder;
mod gateway;
mod handoff;
mod inbound;
mod memory;
mod mount;
pub mod observe;
pub mod operations;
mod outlet;
mod pages;
mod proxy;
mod root;
pub mod routing;
mod sending;
pub mod server;
pub mod sites;
mod spool;
pub mod supervisor;
pub mod upstream;

pub use body::Body;
pub use builder::{BuildError, Builder, default_pool};
pub use connection::Connection;
pub use gateway::Gateway;
pub use mount::OriginalUri;
pub use root::Symlinks;

/// An error of another body.
type BoxError = Box<dyn core::error::Error + Send + Sync>;
