//! One line for a person.
//!
//! `what happened[ with whom][: cause][ (where, how far)][; what usually helps]`

use core::error::Error as StdError;
use core::fmt;
use std::io;

use super::{Error, ErrorKind, Inner};
use crate::address::Address;
use crate::request::RequestError;
use crate::timeouts::Phase;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        inner.what(f)?;
        inner.cause(f)?;
        inner.progress(f)?;
        match inner.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = Whom(self.address.as_ref());
        match self.kind {
            // The cause says it all.
            ErrorKind::Address(_) => Ok(()),
            ErrorKind::Request(error) => write!(f, "request to {whom} cannot be sent: {error}"),
            ErrorKind::RequestBody => f.write_str("reading the request body failed"),
            ErrorKind::Spool => f.write_str("keeping the request body in a temporary file failed"),
            ErrorKind::PoolFull { limit } => {
                write!(f, "{limit} callers wait for a connection to {whom} already")
            }
            ErrorKind::Connect => write!(f, "cannot connect to {whom}"),
            ErrorKind::Timeout => self.timeout(f, whom),
            ErrorKind::Reset => {
                write!(f, "{whom} closed the connection before the response was complete")
            }
            ErrorKind::Protocol(error) => write!(f, "{whom} broke the FastCGI protocol: {error}"),
            ErrorKind::NotFastCgi(first) => match first.looks_like() {
                Some(name) => write!(f, "{whom} speaks {name}, not FastCGI: it sent {first}"),
                None => write!(f, "{whom} does not speak FastCGI: it sent {first}"),
            },
            ErrorKind::Overloaded => write!(f, "{whom} is overloaded and refused the request"),
            ErrorKind::CantMultiplex => {
                write!(f, "{whom} refused a second request on the same connection")
            }
            ErrorKind::UnknownRole => write!(f, "{whom} does not serve the role asked for"),
            ErrorKind::UnknownStatus(octet) => {
                write!(f, "{whom} ended the request with the unknown protocol status {octet}")
            }
            ErrorKind::ScriptNotFound(error) => {
                let script = self.script.as_deref().unwrap_or("script");
                write!(f, "{script}: {whom} answered {error}")
            }
            ErrorKind::Status(status) => write!(f, "{whom} answered with status {status}"),
            ErrorKind::Head(error) => write!(f, "{whom} sent no valid response head: {error}"),
            ErrorKind::Body(error) => {
                write!(f, "{whom} sent a response of the wrong length: {error}")
            }
            ErrorKind::TooLarge { limit } => {
                write!(f, "response of {whom} is larger than the limit of {limit} bytes")
            }
            ErrorKind::Io => write!(f, "connection to {whom} failed"),
        }
    }

    fn timeout(&self, f: &mut fmt::Formatter<'_>, whom: Whom<'_>) -> fmt::Result {
        match self.phase {
            Some(phase) => write!(f, "{phase} timeout: ")?,
            None => f.write_str("timeout: ")?,
        }
        match self.phase {
            Some(Phase::Queue) => write!(f, "no connection to {whom} became free"),
            Some(Phase::Connect) => write!(f, "{whom} did not accept the connection"),
            Some(Phase::FirstByte) => write!(f, "{whom} did not begin to answer"),
            Some(Phase::Idle) => write!(f, "nothing went to or came from {whom}"),
            Some(Phase::Total) => write!(f, "{whom} did not finish"),
            _ => write!(f, "{whom} made no progress"),
        }?;
        match self.limit {
            Some(limit) => write!(f, " within {limit:?}"),
            None => Ok(()),
        }
    }

    fn cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(source) = &self.source else {
            return Ok(());
        };
        if !matches!(self.kind, ErrorKind::Address(_)) {
            f.write_str(": ")?;
        }
        match source.downcast_ref::<io::Error>() {
            // The kind reads better than "Connection refused (os error 111)", which `source` still has.
            Some(error) if error.get_ref().is_none() => match error.kind() {
                io::ErrorKind::NotFound => f.write_str("no such file or directory"),
                kind if is_named(kind) => write!(f, "{kind}"),
                _ => write!(f, "{error}"),
            },
            _ => chain(f, &**source),
        }
    }

    /// Where it happened and how many bytes went each way, once there was an exchange.
    fn progress(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase =
            self.phase.filter(|_| !matches!(self.kind, ErrorKind::Timeout | ErrorKind::Connect));
        let has_bytes = self.bytes_sent > 0 || self.bytes_received > 0;
        if !self.is_about_exchange() || (phase.is_none() && !has_bytes) {
            return Ok(());
        }
        f.write_str(" (")?;
        if let Some(phase) = phase {
            write!(f, "phase: {phase}")?;
        }
        if has_bytes {
            let comma = if phase.is_some() { ", " } else { "" };
            write!(f, "{comma}{} bytes sent, {} received", self.bytes_sent, self.bytes_received)?;
        }
        f.write_str(")")
    }

    /// Whether the exchange failed, rather than carried a response that the caller does not like.
    const fn is_about_exchange(&self) -> bool {
        !matches!(
            self.kind,
            ErrorKind::ScriptNotFound(_) | ErrorKind::Status(_) | ErrorKind::Address(_)
        )
    }

    /// What usually helps.
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self.kind {
            ErrorKind::Connect => return self.connect_hint(),
            ErrorKind::Timeout => match self.phase? {
                Phase::Connect => {
                    "is the host reachable, and is the listen queue of the application full?"
                }
                Phase::Queue => {
                    "all connections are busy: does the application have enough workers?"
                }
                Phase::FirstByte => {
                    "the script is slow, or all workers are busy (pm.max_children of php-fpm)"
                }
                _ => return None,
            },
            ErrorKind::Reset if self.bytes_received == 0 => {
                "the log of the application may say why: a crash, a restart, or a request that it does not take"
            }
            ErrorKind::Reset => "the script died: the log of the application says why",
            ErrorKind::NotFastCgi(_) => "is this the address of the FastCGI application?",
            ErrorKind::ScriptNotFound(error) => error.hint(),
            ErrorKind::Request(RequestError::BodyTooLarge { .. }) => {
                "say how long it is, or raise the limit (SpoolConfig::max_body)"
            }
            _ => return None,
        })
    }

    fn connect_hint(&self) -> Option<&'static str> {
        let is_unix = self.address.as_ref().is_some_and(Address::is_unix);
        let error = self.source.as_ref()?.downcast_ref::<io::Error>()?;
        Some(match (error.kind(), is_unix) {
            (io::ErrorKind::ConnectionRefused, true) => {
                "the socket is there but nobody listens: is php-fpm running?"
            }
            (io::ErrorKind::ConnectionRefused, false) => "is php-fpm running and listening there?",
            (io::ErrorKind::NotFound, true) => {
                "is php-fpm running, and is this the path that its pool's `listen` names?"
            }
            (io::ErrorKind::PermissionDenied, true) => {
                "listen.owner, listen.group and listen.mode of the pool decide who may connect"
            }
            (io::ErrorKind::WouldBlock, true) => {
                "the listen queue is full: all workers are busy (pm.max_children, listen.backlog)"
            }
            _ => return None,
        })
    }
}

/// Whether the name of the kind says what the operating system said.
fn is_named(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
    )
}

/// An error and what is behind it, on one line.
fn chain(f: &mut fmt::Formatter<'_>, error: &dyn StdError) -> fmt::Result {
    write!(f, "{error}")?;
    let mut next = error.source();
    while let Some(error) = next {
        write!(f, ": {error}")?;
        next = error.source();
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Whom<'a>(Option<&'a Address>);

impl fmt::Display for Whom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("the application"),
        }
    }
}
