//! FastCGI without IO: both sides of the protocol for any runtime.
//!
//! ```text
//!   read()  ──> &[u8] ──> poll_event ──> Event<'_> ──────> application
//!                         [ Connection ]                       │
//!   write() <── Outgoing (Buf) <── begin / request(key) / response(key)
//! ```
//!
//! A [`client::Connection`] is the web server's side, a [`server::Connection`] the application's. Both are driven by one
//! loop: feed the bytes that a socket gave, act on the events, write the bytes that are held. There is no socket, clock
//! or thread in this crate, and nothing that a peer sends makes it panic or grow beyond its [limits](server::Config).
//!
//! - [`wire`]: headers, fixed bodies, lengths. [`decode`]: bytes to pieces of records. [`params`]: name-value pairs.
//! - [`client`] and [`server`]: the two state machines, with many requests on one connection.
//! - [`Request`]: what a client sends, with [`multipart`] forms; [`Spool`]: bodies of unknown length.
//! - [`trace`]: any byte stream as readable lines.
//!
//! Section numbers are those of the
//! [FastCGI specification 1.0](https://fastcgi-archives.github.io/FastCGI_Specification.html). Where real applications
//! and web servers ask for something else, the documentation names the product.
//!
//! # Features
//! `std` (default) lets [`Outgoing`] be written with vectored writes. Without it the crate needs `alloc` alone.
//! `json` adds `Request::json`, for values of `serde`.
//! `test-util` adds `scripted`: peers that do what a test says, such as closing at any byte.
//!
//! `http` converts from and to the types of the [`http`](https://docs.rs/http) crate: its requests become an
//! [`Environment`](cgi::Environment) or a [`Request`], a [`ResponseHead`](cgi::ResponseHead) or a
//! [`FullResponse`](cgi::FullResponse) becomes its response.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod address;
pub mod cgi;
pub mod client;
pub mod decode;
mod error;
#[cfg(feature = "std")]
mod failure;
mod id_map;
mod limits;
pub mod multipart;
mod outbox;
pub mod params;
pub mod pool;
mod request;
#[cfg(feature = "test-util")]
pub mod scripted;
pub mod server;
mod slots;
mod telemetry;
mod timeouts;
pub mod trace;
#[cfg(feature = "std")]
mod wakes;
pub mod wire;

pub use address::{Address, AddressError, AddressErrorKind};
pub use client::Timings;
pub use error::{BeginError, FirstBytes, ProtocolError, SendError};
#[cfg(feature = "std")]
pub use failure::{Error, ErrorKind};
pub use multipart::Multipart;
pub use outbox::Outgoing;
pub use params::Params;
pub use request::{
    BodyLen, LengthError, Parts, Request, RequestError, Spool, SpoolConfig, Spooled,
};
pub use slots::RequestKey;
pub use timeouts::{Phase, Timeouts, Wait};
pub use wire::{ProtocolStatus, RecordType, Role};
