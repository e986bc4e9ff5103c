//! Which request headers become variables, and how repeats are joined.

use alloc::vec::Vec;

use memchr::{memchr, memchr3};

use super::{Environment, EnvironmentError};
use crate::cgi::head_parser::parse_decimal;
use crate::cgi::names::{is_single_valued, trim};
use crate::cgi::proxies::Forwarding;

/// About the connection to the client, whether or not `Connection` names them.
const HOP_BY_HOP: [&[u8]; 9] = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"Proxy-Connection",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"Upgrade",
];

/// What else has a way of its own into the environment, or none.
const NOT_COPIED: [&[u8]; 4] = [b"Content-Length", b"Content-Type", b"Host", b"Proxy"];

/// What a client may not declare to be about the connection, and so make vanish.
const END_TO_END: [&[u8]; 4] = [b"Authorization", b"Cookie", b"Forwarded", b"X-Real-IP"];

impl<'a> Environment<'a> {
    /// The headers that become `HTTP_*`, each name once, at its first place. Repeats are joined in `value`. Names may hold
    /// what no token may.
    pub(super) fn for_each_header(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let options: Vec<_> = self.connection_options().collect();
        let mut joined = Vec::new();
        for (at, &(name, value)) in self.headers.iter().enumerate() {
            let (earlier, from_here) = self.headers.split_at_checked(at).unwrap_or_default();
            let is_repeat =
                |&(other, value): &(&[u8], &[u8])| is_same(other, name) && is_printable(value);
            if !self.is_copied(name, &options)
                || !is_printable(value)
                || earlier.iter().any(is_repeat)
            {
                continue;
            }
            let mut repeats =
                from_here.iter().skip(1).filter(|&header| is_repeat(header)).peekable();
            if repeats.peek().is_none() || is_single_valued(name) {
                visit(name, trim(value));
                continue;
            }
            joined.clear();
            joined.extend_from_slice(trim(value));
            for (_, value) in repeats {
                joined.extend_from_slice(if is_same(name, b"Cookie") { b"; " } else { b", " });
                joined.extend_from_slice(trim(value));
            }
            visit(name, &joined);
        }
    }

    fn is_copied(&self, name: &[u8], options: &[&[u8]]) -> bool {
        !is_in(name, &NOT_COPIED)
            && !is_in(name, &HOP_BY_HOP)
            && memchr(b'_', name).is_none()
            && self.forwarding.is_none_or(|forwarding| forwarding.keeps(name))
            && (!is_in(name, options) || is_end_to_end(name))
    }

    /// What the client says is about the connection.
    fn connection_options(&self) -> impl Iterator<Item = &'a [u8]> {
        self.values(b"Connection").flat_map(|value| value.split(|&byte| byte == b',')).map(trim)
    }

    /// The values of a header in order.
    pub(super) fn values(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(found, value)| is_same(found, name) && is_printable(value))
            .map(|&(_, value)| trim(value))
    }

    /// What the client calls this server: proxy, target, `:authority`, `Host`, in this order.
    pub(super) fn host(&self) -> Result<Option<&'a [u8]>, EnvironmentError> {
        let mut hosts = self.values(b"Host");
        let header = hosts.next();
        if hosts.next().is_some() {
            return Err(EnvironmentError::Host);
        }
        let forwarded = self.forwarding.and_then(Forwarding::host);
        Ok(forwarded.or(self.target.authority).or(self.authority).or(header))
    }

    /// The length of the body where it is known.
    pub(super) fn known_length(&self) -> Result<Option<u64>, EnvironmentError> {
        if let Some(length) = self.content_length {
            return Ok(length);
        }
        // Both together are how requests are smuggled; the transfer coding wins (RFC 9112 section 6.3).
        if self.values(b"Transfer-Encoding").next().is_some() {
            return Ok(None);
        }
        self.values(b"Content-Length").try_fold(None, |earlier, value| {
            let length = parse_decimal(value).ok_or(EnvironmentError::ContentLength)?;
            match earlier {
                Some(earlier) if earlier != length => Err(EnvironmentError::ContentLength),
                _ => Ok(Some(length)),
            }
        })
    }
}

fn is_end_to_end(name: &[u8]) -> bool {
    let has_prefix =
        |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| is_same(start, prefix));
    is_in(name, &END_TO_END) || has_prefix(b"X-Forwarded-") || has_prefix(b"Content-")
}

fn is_in(name: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|other| is_same(name, other))
}

/// The length, which mostly differs, is looked at without a call.
#[inline]
fn is_same(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len() && name.eq_ignore_ascii_case(other)
}

fn is_printable(value: &[u8]) -> bool {
    memchr3(b'\0', b'\r', b'\n', value).is_none()
}

/// Whether a header is about the connection on which it came, also by the word of the `Connection` header there.
#[cfg(feature = "http")]
pub(crate) fn is_about_connection(name: &str, connection: &[u8]) -> bool {
    let name = name.as_bytes();
    let is_named = |option: &[u8]| is_same(trim(option), name);
    is_in(name, &HOP_BY_HOP)
        || (!is_end_to_end(name) && connection.split(|&byte| byte == b',').any(is_named))
}
