//! The application's side of a connection: requests come in, responses go out.
//!
//! No socket, clock or thread is used here. Feed what you read to [`Connection::poll_event`], write what
//! [`Connection::outgoing`] holds, and answer through [`Connection::response`].
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use fcgi_proto::server::{Config, Connection, Event};
//!
//! let mut conn = Connection::new(Config::default());
//! # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0];
//! let mut input = read; // what the socket gave
//! while let Some(event) = conn.poll_event(&mut input)? {
//!     if let Event::Request { key, .. } = event {
//!         let Some(mut response) = conn.response(key) else { continue };
//!         response.stdout(Bytes::from_static(b"Content-Type: text/plain\r\n\r\nhello"))?;
//!         response.end(0);
//!     }
//! }
//! assert!(conn.outgoing().has_remaining()); // write these, then `advance`
//! assert!(conn.is_closing()); // the web server did not ask to keep the connection
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! What is answered without asking the application: GET_VALUES, unknown management records, requests beyond the limits,
//! and requests aborted before their parameters were complete.
//!
//! # Handlers
//! With the feature `std`, a [`Session`] lets each request be answered by a handler of its own, a future or a thread, with
//! windows in both directions: what the servers of all adapters share. [`Reader`], [`Writer`] and [`Aborted`] are the
//! handler's side.

#[cfg(feature = "std")]
mod accept;
mod config;
mod connection;
mod draining;
#[cfg(feature = "std")]
mod error;
mod event;
#[cfg(feature = "std")]
mod exchange;
#[cfg(feature = "http")]
pub mod http;
mod phase;
mod receive;
mod response;
#[cfg(feature = "std")]
mod session;
#[cfg(feature = "std")]
mod settings;
#[cfg(feature = "std")]
mod socket_names;
mod values;
#[cfg(feature = "std")]
mod web_servers;

#[cfg(feature = "std")]
pub use accept::AcceptFailure;

pub use config::Config;
pub use connection::Connection;
#[cfg(feature = "std")]
pub use error::ConnectionError;
pub use event::{Event, RefusedReason};
#[cfg(feature = "std")]
pub use exchange::{
    Aborted, Exchange, Hub, InputError, InputStream, OutputError, OutputStream, Reader, Writer,
};
pub use response::{Refusal, Response};
#[cfg(feature = "std")]
pub use session::{Incoming, Session};
#[cfg(feature = "std")]
pub use settings::Settings;
#[cfg(feature = "std")]
pub use socket_names::SocketNames;
#[cfg(feature = "std")]
pub use web_servers::WebServers;
