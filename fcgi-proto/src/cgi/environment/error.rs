//! Requests that no environment can be made of.

use core::fmt;

/// The request is a bad one: over HTTP a 400.
///
/// ```
/// use fcgi_proto::cgi::{Environment, EnvironmentError};
///
/// assert_eq!(Environment::new("GET", "no path").unwrap_err(), EnvironmentError::Target);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The method is no token.
    Method,
    /// The target is not in origin-, absolute- or asterisk-form, or holds what no URI may.
    Target,
    /// There are several `Host` headers, or the host is not one (RFC 9112 section 3.2).
    Host,
    /// `Content-Length` is no number, or there are several that differ (RFC 9110 section 8.6).
    ContentLength,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "request method is no token",
            Self::Target => "request target is neither a path nor an http URL",
            Self::Host => "host is invalid or given more than once",
            Self::ContentLength => "Content-Length is no number or given with different values",
        })
    }
}

impl core::error::Error for EnvironmentError {}
