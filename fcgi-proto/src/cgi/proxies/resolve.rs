//! The walk from the peer to the client.

use core::net::SocketAddr;

use super::fields::{Element, Fields, elements, from_the_right};
use super::node::{Node, parse_port};
use super::{Forwarding, ForwardingError, ForwardingHeader, TrustedProxies, UNKNOWN};
use crate::cgi::environment::host_name;
use crate::cgi::names::trim;

/// What the headers of a trusted peer say.
pub(super) fn resolve<'a>(
    proxies: &TrustedProxies,
    fields: Fields<'a>,
    unforwarded: Forwarding<'a>,
) -> Result<Forwarding<'a>, ForwardingError> {
    let mut way = Way { proxies, remote: unforwarded.remote, hops: 0 };
    let said = match proxies.header {
        ForwardingHeader::XForwarded => {
            way.walk(from_the_right(&fields.x_forwarded_for))?;
            Said::by_lists(&fields, way.hops)
        }
        ForwardingHeader::XRealIp => {
            let ([] | [_]) = fields.x_real_ip.as_slice() else {
                return Err(ForwardingError::Repeated);
            };
            way.walk(fields.x_real_ip.iter().map(|value| trim(value)).take(1))?;
            Said::by_lists(&fields, 1)
        }
        ForwardingHeader::Forwarded => {
            let elements = elements(&fields.forwarded)?;
            // An element without `for` tells of a client that its proxy does not tell.
            way.walk(elements.iter().rev().map(|element| element.r#for.unwrap_or(b"unknown")))?;
            Said::by_element(elements.iter().rev().nth(way.hops.saturating_sub(1)))
        }
    };
    said.about(Forwarding { remote: way.remote, ..unforwarded })
}

struct Way<'p> {
    proxies: &'p TrustedProxies,
    /// Whom the nearest unchecked proxy was asked by.
    remote: SocketAddr,
    /// How many entries were taken: as many proxies as are known to have written them.
    hops: usize,
}

impl Way<'_> {
    fn walk<'e>(&mut self, entries: impl Iterator<Item = &'e [u8]>) -> Result<(), ForwardingError> {
        for entry in entries {
            self.hops += 1;
            match Node::parse(entry)? {
                Node::Hidden => {
                    self.remote = UNKNOWN;
                    break;
                }
                Node::Address(address) => self.remote = address,
            }
            if !self.proxies.is_trusted(self.remote.ip()) {
                break;
            }
        }
        Ok(())
    }
}

/// What the proxy next to the client has noted.
#[derive(Default)]
struct Said<'a> {
    proto: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn by_lists(fields: &Fields<'a>, hops: usize) -> Self {
        let said = |lines: &[&'a [u8]]| from_the_right(lines).take(hops.max(1)).last();
        Self {
            proto: said(&fields.x_forwarded_proto),
            host: said(&fields.x_forwarded_host),
            port: said(&fields.x_forwarded_port),
        }
    }

    fn by_element(element: Option<&Element<'a>>) -> Self {
        let element = element.copied().unwrap_or_default();
        Self { proto: element.proto, host: element.host, port: None }
    }

    fn about(self, forwarding: Forwarding<'a>) -> Result<Forwarding<'a>, ForwardingError> {
        let is_https = self.proto.map(is_https).transpose()?;
        let host = self.host.map(valid_host).transpose()?;
        let port = match (self.port, host, is_https) {
            (Some(port), ..) => Some(parse_port(port)?),
            (None, Some((_, Some(port))), _) => Some(port),
            (None, _, Some(true)) => Some(443),
            (None, _, Some(false)) => Some(80),
            (None, _, None) => None,
        };
        Ok(Forwarding { is_https, host: host.map(|(host, _)| host), port, ..forwarding })
    }
}

fn is_https(proto: &[u8]) -> Result<bool, ForwardingError> {
    match () {
        // Web sockets begin as HTTP, and Traefik says so.
        () if [&b"https"[..], b"wss"].iter().any(|name| proto.eq_ignore_ascii_case(name)) => {
            Ok(true)
        }
        () if [&b"http"[..], b"ws"].iter().any(|name| proto.eq_ignore_ascii_case(name)) => {
            Ok(false)
        }
        () => Err(ForwardingError::Scheme),
    }
}

/// The host as it was given, and the port in it.
fn valid_host(host: &[u8]) -> Result<(&[u8], Option<u16>), ForwardingError> {
    let name = host_name(host).filter(|name| !name.is_empty()).ok_or(ForwardingError::Host)?;
    let port = host.get(name.len()..).unwrap_or_default();
    match port.strip_prefix(b":") {
        None | Some([]) => Ok((host, None)),
        Some(port) => Ok((host, Some(parse_port(port)?))),
    }
}
