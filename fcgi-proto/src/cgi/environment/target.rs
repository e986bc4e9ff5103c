//! The target of a request line, and the host in it.

use alloc::borrow::Cow;

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

/// The host in `host[:port]`, brackets of an IPv6 address included. `None` when it is not of that form
/// (RFC 3986 section 3.2): nothing else may reach applications, which build links and folder names of it.
pub(in crate::cgi) fn host_name(authority: &[u8]) -> Option<&[u8]> {
    let end = match authority.first() {
        Some(b'[') => authority.iter().position(|&byte| byte == b']')? + 1,
        _ => authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let is_host = match host {
        [b'[', literal @ .., b']'] => {
            !literal.is_empty() && literal.iter().all(|&byte| is_literal_byte(byte))
        }
        name => name.iter().all(|&byte| is_name_byte(byte)),
    };
    (is_port && is_host).then_some(host)
}

const fn is_literal_byte(byte: u8) -> bool {
    byte == b':' || is_name_byte(byte)
}

/// `reg-name`: unreserved characters, sub-delimiters, and the percent sign.
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
