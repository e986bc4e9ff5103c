//! A FastCGI peer that follows a script, byte for byte, for tests of what speaks FastCGI.
//!
//! A [`Script`] says what to wait for and what to write: a whole answer, one that is cut after any byte, records of wrong
//! requests, garbage, silence, a reset. It plays the application as well as the web server, since both write records and
//! wait for some. A [`Peer`] plays it on one connection, without a socket: it is told what was read and says what to do.
//! The loop around it is short, and the same for every runtime:
//!
//! ```
//! use std::io::{Read, Write};
//! use fcgi_proto::scripted::{Action, Peer, Script};
//!
//! fn play(mut socket: impl Read + Write, script: Script) -> std::io::Result<()> {
//!     let mut peer = Peer::new(script);
//!     let mut buf = [0; 4096];
//!     loop {
//!         match peer.poll_action() {
//!             Action::Write(bytes) => socket.write_all(&bytes)?,
//!             Action::Pause(time) => std::thread::sleep(time),
//!             Action::Read => match socket.read(&mut buf)? {
//!                 0 => peer.handle_eof(),
//!                 count => peer.handle_input(&buf[..count]),
//!             },
//!             // To reset a connection of TCP, set SO_LINGER to zero before it is closed.
//!             _ => return Ok(()),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An application that says half of its answer and goes away.
//! let script = Script::new().await_request().stdout("Content-Type: text/plain\r\n\r\nhello").end().cut(30);
//! # let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
//! let application = std::thread::spawn(|| play(theirs, script));
//! // What is to be tested is connected to it here; this is a web server by script as well.
//! let request = Script::new().begin(1, false).params([("REQUEST_METHOD", "GET")]).end_stdin();
//! play(ours, request.await_end().await_close())?;
//! application.join().expect("no panic")?;
//! # Ok(())
//! # }
//! ```

mod peer;
mod script;

pub use peer::{Action, Peer};
pub use script::{Id, Script};
