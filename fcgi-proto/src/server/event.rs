use core::fmt;

use crate::wire::Role;
use crate::{Params, RequestKey};

/// News from the web server; data is lent from the input.
///
/// ```
/// use fcgi_proto::server::{Config, Connection, Event, Refusal};
/// use fcgi_proto::Role;
///
/// let mut conn = Connection::new(Config::default());
/// # let read: &[u8] = &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 4, 0, 1, 0, 0, 0, 0];
/// let mut input = read; // what the socket gave
/// while let Some(event) = conn.poll_event(&mut input)? {
///     match event {
///         Event::Request { key, role: Role::Responder, .. } => conn.response(key).expect("it is open").end(0),
///         Event::Request { key, .. } => conn.response(key).expect("it is open").refuse(Refusal::UnknownRole),
///         Event::Refused { request_id, reason } => println!("request {request_id}: {reason}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), fcgi_proto::ProtocolError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A request has begun and its parameters are complete (sections 5.1 and 5.2).
    Request {
        /// Names it from now on.
        key: RequestKey,
        /// What is asked; refuse what is not served with [`Refusal::UnknownRole`](super::Refusal::UnknownRole).
        role: Role,
        /// The CGI environment. Give it back with [`recycle`](super::Connection::recycle) to save an allocation.
        params: Params,
    },
    /// More of the body (section 5.3). It ends at [`StdinEnd`](Self::StdinEnd); CONTENT_LENGTH is a hint that may be
    /// empty, absent, or -1 with a body behind it.
    Stdin {
        /// Whose.
        key: RequestKey,
        /// At least one byte.
        data: &'b [u8],
    },
    /// The body is complete.
    StdinEnd {
        /// Whose.
        key: RequestKey,
    },
    /// More of the file that a Filter is given (section 6.4).
    Data {
        /// Whose.
        key: RequestKey,
        /// At least one byte.
        data: &'b [u8],
    },
    /// The file that a Filter is given is complete.
    DataEnd {
        /// Whose.
        key: RequestKey,
    },
    /// The web server has lost interest: by ABORT_REQUEST (section 5.4), or by closing, which most servers do instead.
    /// No more input comes for the request. The application still calls [`end`](super::Response::end), soon.
    Aborted {
        /// Whose.
        key: RequestKey,
    },
    /// A request was refused and the refusal queued; for the log, nothing is left to do.
    Refused {
        /// The id it had on the wire.
        request_id: u16,
        /// Why.
        reason: RefusedReason,
    },
}

/// Why a request was refused before the application saw it.
///
/// ```
/// use fcgi_proto::server::RefusedReason;
///
/// assert_eq!(RefusedReason::TooManyParams.to_string(), "too many parameters");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedReason {
    /// As many requests as allowed were open; see [`max_requests`](super::Config::max_requests).
    TooManyRequests,
    /// Its parameters were larger than [`max_params`](super::Config::max_params).
    ParamsTooLarge,
    /// It had more parameters than [`max_param_count`](super::Config::max_param_count).
    TooManyParams,
    /// A parameter ran past the end of the PARAMS stream.
    MalformedParams,
    /// The web server aborted it before its parameters were complete.
    Aborted,
}

impl fmt::Display for RefusedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyRequests => "too many requests on this connection",
            Self::ParamsTooLarge => "parameters are too large",
            Self::TooManyParams => "too many parameters",
            Self::MalformedParams => "parameters are malformed",
            Self::Aborted => "aborted before its parameters were complete",
        })
    }
}
