use core::time::Duration;

use super::{Config, Connection, Event};
use crate::{Outgoing, Params};

/// Asks an application on a connection of its own what it can do (GET_VALUES, section 4.1).
///
/// Write what is [outgoing](Self::outgoing), read until [`handle_read`](Self::handle_read) gives an outcome, but no longer
/// than [`TIMEOUT`](Self::TIMEOUT), and close the connection: php-fpm does so by itself, and uWSGI and AnyEvent::FCGI never
/// answer.
///
/// ```
/// use fcgi_proto::client::Probe;
///
/// let mut probe = Probe::new();
/// assert!(bytes::Buf::has_remaining(&probe.outgoing()));
/// # let read = b"\x01\x0a\0\0\0\x12\0\0\x0f\x01FCGI_MPXS_CONNS1";
/// let values = probe.handle_read(read).flatten(); // what the socket gave
/// assert_eq!(values.expect("an answer").get("FCGI_MPXS_CONNS"), Some(&b"1"[..]));
/// ```
#[derive(Debug)]
pub struct Probe {
    conn: Connection,
}

impl Probe {
    /// How long to wait for the answer: 1 s. An application answers at once or never.
    pub const TIMEOUT: Duration = Duration::from_secs(1);

    /// A question that has not been sent.
    #[must_use]
    pub fn new() -> Self {
        let mut conn = Connection::new(Config::default());
        let asked = conn.get_values(["FCGI_MPXS_CONNS", "FCGI_MAX_REQS"]);
        debug_assert!(asked.is_ok(), "two short names fit");
        Self { conn }
    }

    /// The bytes to write.
    pub fn outgoing(&mut self) -> Outgoing<'_> {
        self.conn.outgoing()
    }

    /// Takes what was read, nothing at the end of the input. `Some` is the outcome: the answer, or that there is none.
    pub fn handle_read(&mut self, mut data: &[u8]) -> Option<Option<Params>> {
        if data.is_empty() {
            return Some(None);
        }
        loop {
            match self.conn.poll_event(&mut data) {
                Ok(Some(Event::Values(values))) => return Some(Some(values)),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(_) => return Some(None),
            }
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}
