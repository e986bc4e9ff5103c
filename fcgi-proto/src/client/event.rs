use crate::wire::ProtocolStatus;
use crate::{Params, RequestKey};

/// News from the application; data is lent from the input.
///
/// ```
/// use fcgi_proto::client::{Config, Connection, Event};
/// use fcgi_proto::{ProtocolStatus, Role};
///
/// let mut conn = Connection::new(Config::default());
/// let asked = conn.begin(Role::Responder, [("SCRIPT_NAME", "/a")])?;
/// # let read: &[u8] = b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
/// let Some(Event::End { key, protocol_status, .. }) = conn.poll_event(&mut &read[..])? else { panic!() };
/// assert_eq!((key, protocol_status), (asked, ProtocolStatus::RequestComplete));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// More of the response (section 5.3): a CGI head, a blank line, a body.
    Stdout {
        /// Whose.
        key: RequestKey,
        /// At least one byte.
        data: &'b [u8],
    },
    /// More of the error output (section 5.3). It may come before, amid and after the response.
    Stderr {
        /// Whose.
        key: RequestKey,
        /// At least one byte.
        data: &'b [u8],
    },
    /// The request has ended and its id is free (section 5.5). Only this proves that the response is complete: php
    /// and others do not send the empty STDOUT record before it.
    End {
        /// Whose; from now on this key finds nothing.
        key: RequestKey,
        /// Whether the request was served or refused.
        protocol_status: ProtocolStatus,
        /// The exit status of a CGI program; most applications always say 0.
        app_status: u32,
    },
    /// The answer to [`get_values`](super::Connection::get_values) (section 4.1). Names that were not asked for may be
    /// among them, and asked ones may be missing.
    Values(Params),
    /// The application did not understand a management record of this type (section 4.2).
    UnknownType {
        /// The octet of that record.
        record_type: u8,
    },
}
