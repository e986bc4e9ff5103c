//! The web server's side of a connection: requests go out, responses come in.
//!
//! No socket, clock or thread is used here. Begin a request, write what [`Connection::outgoing`] holds, feed what you
//! read to [`Connection::poll_event`], and do both at once: an application may answer before it has read the body.
//!
//! ```
//! use bytes::Buf;
//! use fcgi_proto::{Role, client::{Config, Connection, Event}};
//!
//! let mut conn = Connection::new(Config::default());
//! let key = conn.begin(Role::Responder, [("REQUEST_METHOD", "GET"), ("SCRIPT_FILENAME", "/srv/hello.php")])?;
//! conn.request(key).expect("just begun").finish()?; // no body
//! # let len = conn.outgoing().remaining(); let out = conn.outgoing().copy_to_bytes(len);
//! # assert!(out.len() > 24); // wrote these, and advanced
//! # let read = b"\x01\x06\0\x01\0\x05\0\0hello\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
//! let mut input: &[u8] = read; // what the socket gave
//! let mut stdout = Vec::new();
//! while let Some(event) = conn.poll_event(&mut input)? {
//!     match event {
//!         Event::Stdout { data, .. } => stdout.extend_from_slice(data),
//!         Event::End { app_status, .. } => assert_eq!(app_status, 0),
//!         _ => {}
//!     }
//! }
//! assert_eq!(stdout, b"hello");
//! assert!(conn.request(key).is_none()); // the key has outlived its request
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod account;
mod begin;
mod collect;
mod config;
mod connection;
mod deadlines;
mod event;
mod exchange;
mod ids;
mod phase;
mod probe;
mod read_size;
mod receive;
mod request;
#[cfg(feature = "std")]
mod session;
mod timings;
pub(crate) mod values;

pub use collect::{Chunk, Collector, MAX_CALL_BODY};
pub use config::Config;
pub use connection::Connection;
pub use event::Event;
pub use exchange::{End, Exchange, ExchangeError, Output};
pub use probe::Probe;
pub use read_size::ReadSize;
pub use request::Request;
#[cfg(feature = "std")]
pub use session::{Call, Caller, Received, Session, SessionSettings};
pub use timings::Timings;
