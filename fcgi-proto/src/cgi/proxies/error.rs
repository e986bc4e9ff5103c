//! Words of trusted proxies that cannot be right.

use core::fmt;

/// What a trusted proxy passed on cannot be right: over HTTP a 400.
///
/// ```
/// use fcgi_proto::cgi::proxies::{ForwardingError, TrustedProxies};
///
/// let proxies = TrustedProxies::new(["10.0.0.1".parse()?]);
/// let peer = Some("10.0.0.1:1".parse()?);
/// let error = proxies.resolve(peer, [("X-Forwarded-For", "<script>")]).unwrap_err();
/// assert_eq!(error, ForwardingError::Address);
/// assert_eq!(error.to_string(), "a trusted proxy forwards for something that is no IP address");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardingError {
    /// `Forwarded` is not of the form of RFC 7239 section 4.
    Syntax,
    /// The one for whom the request was forwarded is no IP address.
    Address,
    /// The scheme is neither `http` nor `https`.
    Scheme,
    /// The host is none.
    Host,
    /// The port is not from 1 to 65535.
    Port,
    /// A header that has one value came several times.
    Repeated,
}

impl fmt::Display for ForwardingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "Forwarded header of a trusted proxy is malformed",
            Self::Address => "a trusted proxy forwards for something that is no IP address",
            Self::Scheme => "a trusted proxy forwards a scheme other than http and https",
            Self::Host => "a trusted proxy forwards a host that is none",
            Self::Port => "a trusted proxy forwards a port that is not from 1 to 65535",
            Self::Repeated => "a trusted proxy passes X-Real-IP more than once",
        })
    }
}

impl core::error::Error for ForwardingError {}
