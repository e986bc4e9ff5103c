//! What trusted proxies say about the client, as pure rules.
//!
//! Behind a load balancer the peer of a connection is the balancer, and who asked stands in headers. Anybody can send such
//! headers, so they count only as far as somebody trusted has written them: [`TrustedProxies`] holds the networks of
//! those, and [`resolve`](TrustedProxies::resolve) gives the [`Forwarding`] of one request.
//!
//! # Rules
//! - From a peer that is not trusted nothing is believed: the peer is the client.
//! - From one that is, the list of addresses is walked from the right, where each proxy appends whom it was asked by,
//!   over trusted addresses. The first that is not trusted is the client; what stands left of it is the client's own
//!   invention and not even read. When all are trusted, the leftmost is the client.
//! - One family of headers is read, the one that the site's proxy sets ([`ForwardingHeader`]). A proxy that sets
//!   `X-Forwarded-For` passes a `Forwarded` of the client on, so to read whichever is there would be to believe anybody.
//! - Scheme, host and port are those that the proxy next to the client has noted. A list that is shorter than the way
//!   is taken to have been overwritten on it, and its leftmost value counts; so a trusted proxy must set or extend these
//!   headers, and not pass those of its clients on.
//! - What a trusted proxy has let through and is not right is a [`ForwardingError`], and the request a bad one (400). A
//!   client can bring this only upon itself.
//!
//! # What becomes of the headers
//! [`Environment::forwarding`](super::Environment::forwarding) leaves out those that nobody vouches for: all of them when
//! the peer is not trusted, else those of the other families. An application that reads `HTTP_X_FORWARDED_FOR` by itself
//! thus never sees a stranger's. Those that were read are passed on as they came. REMOTE_ADDR, REMOTE_PORT, HTTPS,
//! REQUEST_SCHEME, HTTP_HOST, SERVER_NAME and SERVER_PORT are then the client's view already.
//!
//! ```
//! use core::net::SocketAddr;
//! use fcgi_proto::cgi::{Environment, TrustedProxies};
//!
//! let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?, "fd00::/8".parse()?]);
//! let peer: SocketAddr = "10.0.0.7:41000".parse()?;
//! let headers = [
//!     ("Host", "backend:8080"),
//!     ("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.0.0.3"), // the client made up the first
//!     ("X-Forwarded-Proto", "https"),
//!     ("X-Forwarded-Host", "shop.example"),
//! ];
//! let forwarding = proxies.resolve(Some(peer), headers)?;
//! assert_eq!(forwarding.remote_addr().ip().to_string(), "203.0.113.9");
//!
//! let params = Environment::new("GET", "/")?.headers(headers).forwarding(&forwarding).params()?;
//! assert_eq!(params.get_str("REMOTE_ADDR"), Some("203.0.113.9"));
//! assert_eq!(params.get_str("HTTPS"), Some("on"));
//! assert_eq!(params.get_str("HTTP_HOST"), Some("shop.example"));
//! assert_eq!(params.get_str("SERVER_PORT"), Some("443"));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod error;
mod fields;
mod network;
mod node;
mod resolve;

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use error::ForwardingError;
pub use network::{Network, NetworkError};

/// Whom to believe, and which headers; see the [module](self).
///
/// ```
/// use fcgi_proto::cgi::proxies::{ForwardingHeader, TrustedProxies};
///
/// // A proxy on this machine that speaks RFC 7239, over TCP or a Unix socket.
/// let proxies = TrustedProxies::new(["127.0.0.0/8".parse()?, "::1".parse()?])
///     .unix_sockets(true)
///     .header(ForwardingHeader::Forwarded);
/// assert!(proxies.is_trusted("127.0.0.1".parse()?));
/// let forwarding = proxies.resolve(None, [("Forwarded", "for=\"[2001:db8::1]:4711\";proto=https")])?;
/// assert_eq!(forwarding.remote_addr().to_string(), "[2001:db8::1]:4711");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    trusts_unix: bool,
    header: ForwardingHeader,
}

/// The headers that a site's proxy sets.
///
/// ```
/// use fcgi_proto::cgi::proxies::ForwardingHeader;
///
/// assert_eq!(ForwardingHeader::default(), ForwardingHeader::XForwarded);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port` where they are sent. What
    /// HAProxy, AWS, Cloudflare, Caddy and Traefik do by themselves.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239) and nothing else.
    Forwarded,
    /// `X-Real-IP`, one address without a way, as usual for nginx; with `X-Forwarded-Proto`, `-Host` and `-Port`.
    XRealIp,
}

/// Who asked, and how, after the word of the trusted proxies; from [`TrustedProxies::resolve`].
///
/// ```
/// use fcgi_proto::cgi::TrustedProxies;
///
/// let peer = "203.0.113.9:50000".parse()?; // nobody we know
/// let forwarding = TrustedProxies::default().resolve(Some(peer), [("X-Forwarded-For", "127.0.0.1")])?;
/// assert_eq!(forwarding.remote_addr(), peer);
/// assert_eq!((forwarding.is_https(), forwarding.host(), forwarding.port()), (None, None, None));
/// assert!(!forwarding.keeps("X-Forwarded-For") && forwarding.keeps("Accept"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding<'a> {
    remote: SocketAddr,
    is_https: Option<bool>,
    host: Option<&'a [u8]>,
    port: Option<u16>,
    /// Whose word was taken, if anybody's.
    believed: Option<ForwardingHeader>,
}

impl TrustedProxies {
    /// Trusts these networks and reads [`XForwarded`](ForwardingHeader::XForwarded). The default trusts nobody.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self { networks: networks.into_iter().collect(), ..Self::default() }
    }

    /// Whether to trust peers without an address, which come over a Unix socket. Default false.
    #[must_use]
    pub const fn unix_sockets(mut self, trust: bool) -> Self {
        self.trusts_unix = trust;
        self
    }

    /// Which headers the proxies set. Default [`XForwarded`](ForwardingHeader::XForwarded).
    #[must_use]
    pub const fn header(mut self, header: ForwardingHeader) -> Self {
        self.header = header;
        self
    }

    /// Whether an address is in one of the networks. An IPv4 address mapped to IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn is_trusted(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }

    /// Whether the peer of a connection is one of the proxies; `None` is that of a Unix socket.
    #[must_use]
    pub fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        peer.map_or(self.trusts_unix, |peer| self.is_trusted(peer.ip()))
    }

    /// Who asked, by the peer of the connection (`None` for that of a Unix socket) and the headers of the request in their
    /// order. The work is linear in the length of the headers.
    ///
    /// # Errors
    /// [`ForwardingError`] when a trusted proxy has passed on what cannot be right: a bad request (400).
    pub fn resolve<'a, N, V>(
        &self,
        peer: Option<SocketAddr>,
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
    ) -> Result<Forwarding<'a>, ForwardingError>
    where
        N: AsRef<[u8]> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let unbelieved = Forwarding {
            remote: peer.unwrap_or(UNKNOWN),
            is_https: None,
            host: None,
            port: None,
            believed: None,
        };
        if !self.trusts(peer) {
            return Ok(unbelieved);
        }
        let headers = headers.into_iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let fields = fields::Fields::collect(headers);
        resolve::resolve(self, fields, Forwarding { believed: Some(self.header), ..unbelieved })
    }
}

impl<'a> Forwarding<'a> {
    /// The client, with port 0 where its port is not known.
    ///
    /// `0.0.0.0` when a trusted proxy says that it does not know or does not tell (RFC 7239 section 6), or a peer without
    /// an address says nothing: that is nobody's address, and no application takes it for its neighbour.
    #[must_use]
    pub const fn remote_addr(&self) -> SocketAddr {
        self.remote
    }

    /// Whether the client used HTTPS; `None` when no trusted proxy says.
    #[must_use]
    pub const fn is_https(&self) -> Option<bool> {
        self.is_https
    }

    /// The host that the client asked, with its port if it gave one; `None` when no trusted proxy says. A valid one.
    #[must_use]
    pub const fn host(&self) -> Option<&'a [u8]> {
        self.host
    }

    /// The port that the client connected to; `None` when no trusted proxy says. Said by `X-Forwarded-Port`, else by the
    /// host, else by the scheme.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the peer was trusted, and its headers read.
    #[must_use]
    pub const fn is_believed(&self) -> bool {
        self.believed.is_some()
    }

    /// Whether a header of the request may reach the application: false for those about forwarding that nobody vouches for.
    #[must_use]
    pub fn keeps(&self, header: impl AsRef<[u8]>) -> bool {
        let header = header.as_ref();
        let is = |name: &str| header.eq_ignore_ascii_case(name.as_bytes());
        let has_prefix = header
            .split_at_checked(12)
            .is_some_and(|(prefix, _)| prefix.eq_ignore_ascii_case(b"X-Forwarded-"));
        match self.believed {
            _ if !(has_prefix || is("X-Real-IP") || is("Forwarded")) => true,
            None => false,
            Some(ForwardingHeader::XForwarded) => has_prefix,
            Some(ForwardingHeader::Forwarded) => is("Forwarded"),
            Some(ForwardingHeader::XRealIp) => {
                is("X-Real-IP") || has_prefix && !is("X-Forwarded-For")
            }
        }
    }
}

/// A client of which nothing is known.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
