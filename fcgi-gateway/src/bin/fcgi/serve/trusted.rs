//! Proxies that are believed about clients.

use core::str::FromStr;

use fcgi_proto::cgi::TrustedProxies;
use fcgi_proto::cgi::proxies::ForwardingHeader;

/// The proxies of these networks (or `unix`), who set this header.
pub(super) fn proxies(
    trusted: &[String],
    header: Option<ProxyHeader>,
) -> Result<TrustedProxies, String> {
    let mut networks = Vec::new();
    for network in trusted.iter().filter(|network| *network != "unix") {
        networks
            .push(network.parse().map_err(|error| format!("trusted-proxy {network}: {error}"))?);
    }
    let trusts_unix = trusted.iter().any(|network| network == "unix");
    let ProxyHeader(header) = header.unwrap_or_default();
    Ok(TrustedProxies::new(networks).unix_sockets(trusts_unix).header(header))
}

/// The name of a header that proxies set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProxyHeader(ForwardingHeader);

impl FromStr for ProxyHeader {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(Self(ForwardingHeader::XForwarded)),
            "forwarded" => Ok(Self(ForwardingHeader::Forwarded)),
            "x-real-ip" => Ok(Self(ForwardingHeader::XRealIp)),
            _ => Err("expected x-forwarded-for, forwarded or x-real-ip"),
        }
    }
}
