//! One station on the way of a request.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::ForwardingError;

/// For whom a proxy has forwarded (RFC 7239 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// With port 0 where none is given.
    Address(SocketAddr),
    /// `unknown`, or an identifier such as `_hidden` that is only for the proxy's owner.
    Hidden,
}

impl Node {
    /// Reads `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`; and of what RFC 7239
    /// has besides, `unknown`, `_hidden` and ports such as `:_hidden`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ForwardingError> {
        let text = core::str::from_utf8(text).map_err(|_| ForwardingError::Address)?;
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::at(ip, 0));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(ForwardingError::Address)?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 0,
            Some(hidden) if is_obfuscated(hidden) => 0,
            Some(port) => parse_port(port.as_bytes())?,
            None => return Err(ForwardingError::Address),
        };
        if text.starts_with('[') {
            let ip: Ipv6Addr = host.parse().map_err(|_| ForwardingError::Address)?;
            return Ok(Self::at(ip.into(), port));
        }
        if host.eq_ignore_ascii_case("unknown") || is_obfuscated(host) {
            return Ok(Self::Hidden);
        }
        let ip = host.parse().map_err(|_| ForwardingError::Address)?;
        Ok(Self::at(IpAddr::V4(ip), port))
    }

    fn at(ip: IpAddr, port: u16) -> Self {
        Self::Address(SocketAddr::new(ip.to_canonical(), port))
    }
}

/// `"_" 1*( ALPHA / DIGIT / "." / "_" / "-")`
fn is_obfuscated(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_allowed))
}

/// A port from 1 to 65535.
pub(super) fn parse_port(text: &[u8]) -> Result<u16, ForwardingError> {
    let port = crate::cgi::head_parser::parse_decimal(text);
    port.and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .ok_or(ForwardingError::Port)
}
