//! The target of a request line, and the host in it.

use alloc::borrow::Cow;
use core::net::Ipv6Addr;

use super::EnvironmentError;

/// A request target (RFC 9112 section 3.2).
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    /// Host and port of an absolute-form target, without user and password.
    pub(super) authority: Option<&'a [u8]>,
    /// Path and query as they were sent.
    pub(super) uri: Cow<'a, [u8]>,
}

impl<'a> Target<'a> {
    pub(super) fn parse(target: &'a [u8]) -> Result<Self, EnvironmentError> {
        if target.iter().any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'#') {
            return Err(EnvironmentError::Target);
        }
        if target.first() == Some(&b'/') || target == b"*" {
            return Ok(Self { authority: None, uri: Cow::Borrowed(target) });
        }
        let rest = [&b"http://"[..], b"https://"]
            .iter()
            .find_map(|scheme| strip_prefix_ignore_case(target, scheme))
            .ok_or(EnvironmentError::Target)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, uri) = rest.split_at(end);
        let host = authority.rsplit(|&byte| byte == b'@').next().unwrap_or(authority);
        if host.is_empty() {
            return Err(EnvironmentError::Target);
        }
        let uri = match uri.first() {
            Some(b'/') => Cow::Borrowed(uri),
            _ => Cow::Owned([b"/", uri].concat()),
        };
        Ok(Self { authority: Some(host), uri })
    }

    /// What follows the first question mark.
    pub(super) fn query(&self) -> &[u8] {
        self.uri.splitn(2, |&byte| byte == b'?').nth(1).unwrap_or_default()
    }
}

fn strip_prefix_ignore_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The host in `host[:port]`, brackets of an IPv6 address included. `None` when it is not of that form (RFC 3986,
/// section 3.2; the port is at most 65,535): nothing else may reach applications, which build links and folder names of it.
///
/// ```
/// use fcgi_proto::cgi::environment::host_name;
///
/// assert_eq!(host_name(b"example.org:8080"), Some(&b"example.org"[..]));
/// assert_eq!(host_name(b"[::1]"), Some(&b"[::1]"[..]));
/// assert_eq!(host_name(b"user@example.org"), None);
/// ```
#[must_use]
pub fn host_name(authority: &[u8]) -> Option<&[u8]> {
    let end = match authority.first() {
        Some(b'[') => authority.iter().position(|&byte| byte == b']')? + 1,
        _ => authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    let is_host = match host {
        [b'[', literal @ .., b']'] => is_literal(literal),
        name => is_name(name),
    };
    (is_port && is_host).then_some(host)
}

/// None, or a number that a port can have.
fn is_port(digits: &[u8]) -> bool {
    let number = core::str::from_utf8(digits).ok().map(str::parse::<u16>);
    digits.iter().all(u8::is_ascii_digit) && (digits.is_empty() || matches!(number, Some(Ok(_))))
}

/// An IPv6 address, or one of a kind to come: `v1.x` (RFC 3986, section 3.2.2).
fn is_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = literal {
        let Some(dot) = rest.iter().position(|&byte| byte == b'.') else { return false };
        let (version, address) = rest.split_at(dot);
        let is_byte = |&byte: &u8| byte == b':' || is_name_byte(byte) && byte != b'%';
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && address.len() > 1
            && address.iter().all(is_byte);
    }
    core::str::from_utf8(literal).is_ok_and(|literal| literal.parse::<Ipv6Addr>().is_ok())
}

/// `reg-name`, whose percent signs have two digits behind them.
fn is_name(name: &[u8]) -> bool {
    let mut pieces = name.split(|&byte| byte == b'%');
    let is_plain = |piece: &[u8]| piece.iter().all(|&byte| is_name_byte(byte));
    pieces.next().is_none_or(is_plain)
        && pieces.all(|piece| {
            let digits = piece.get(..2).unwrap_or_default();
            digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) && is_plain(piece)
        })
}

/// Unreserved characters, sub-delimiters, and the percent sign.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}
