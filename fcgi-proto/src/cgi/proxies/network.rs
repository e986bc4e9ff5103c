//! Networks in CIDR notation.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

/// A network of IPv4 or IPv6 addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
///
/// ```
/// use fcgi_proto::cgi::proxies::Network;
///
/// let network: Network = "192.168.0.0/16".parse()?;
/// assert!(network.contains("192.168.7.1".parse()?) && !network.contains("192.169.0.1".parse()?));
/// assert!(network.contains("::ffff:192.168.7.1".parse()?)); // the same address on a socket for both families
/// assert!("10.0.0.1/8".parse::<Network>().is_err()); // is it one address or all of them?
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    ip: IpAddr,
    prefix_len: u8,
}

impl Network {
    /// The network of all addresses that share their first `prefix_len` bits with `ip`.
    ///
    /// # Errors
    /// [`NetworkError::Prefix`] above 32 or 128 bits, [`NetworkError::HostBits`] when `ip` has a bit set behind them.
    pub fn new(ip: IpAddr, prefix_len: u8) -> Result<Self, NetworkError> {
        let (bits, width) = bits(ip);
        if prefix_len > width {
            return Err(NetworkError::Prefix);
        }
        if bits & !mask(prefix_len, width) != 0 {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { ip, prefix_len })
    }

    /// Whether an address is in the network. An IPv4 address mapped to IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ((network, width), (address, other_width)) = (bits(self.ip), bits(ip.to_canonical()));
        width == other_width && (network ^ address) & mask(self.prefix_len, width) == 0
    }
}

impl From<IpAddr> for Network {
    /// The network of a single address.
    fn from(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { ip, prefix_len: bits(ip).1 }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let Some((ip, prefix_len)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| NetworkError::Address);
        };
        let ip: IpAddr = ip.parse().map_err(|_| NetworkError::Address)?;
        let is_number = prefix_len.bytes().all(|byte| byte.is_ascii_digit());
        let prefix_len = prefix_len.parse().ok().filter(|_| is_number);
        let prefix_len: u8 = prefix_len.ok_or(NetworkError::Prefix)?;
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; a shorter prefix would take in addresses that are not IPv4 at all.
        match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => match prefix_len.checked_sub(96) {
                Some(prefix_len) => Self::new(v4, prefix_len),
                None => Err(NetworkError::Prefix),
            },
            _ => Self::new(ip, prefix_len),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

/// The address as a number, and how many bits it has.
fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        IpAddr::V6(ip) => (u128::from(Ipv6Addr::from(ip.octets())), 128),
    }
}

/// The first `prefix_len` of `width` bits.
fn mask(prefix_len: u8, width: u8) -> u128 {
    let hosts = u32::from(width.saturating_sub(prefix_len));
    u128::MAX.checked_shl(hosts).unwrap_or(0)
}

/// Why a text is no network.
///
/// ```
/// use fcgi_proto::cgi::proxies::{Network, NetworkError};
///
/// assert_eq!("10.0.0.0/33".parse::<Network>(), Err(NetworkError::Prefix));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkError {
    /// What stands before the slash is no IP address.
    Address,
    /// What stands behind the slash is no number of bits that such an address has.
    Prefix,
    /// The address has bits set behind the prefix, so that it is not plain what was meant.
    HostBits,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address, nor a network such as 10.0.0.0/8",
            Self::Prefix => "length of the network's prefix is not from 0 to 32, or 128 for IPv6",
            Self::HostBits => "address has bits set behind the network's prefix",
        })
    }
}

impl core::error::Error for NetworkError {}
