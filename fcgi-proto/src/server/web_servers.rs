use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;
use std::env;
use std::io;

/// Which web servers may connect over TCP (section 3.2); everybody by default.
///
/// ```
/// use fcgi_proto::server::WebServers;
///
/// let servers = WebServers::new(["127.0.0.1".parse()?]);
/// assert!(servers.admits("::ffff:127.0.0.1".parse()?) && !servers.admits("192.0.2.1".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WebServers(Option<Vec<IpAddr>>);

impl WebServers {
    /// These, and nobody else.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses = addresses.into_iter().map(|ip| ip.to_canonical());
        Self(Some(addresses.collect()))
    }

    /// Those that the environment variable `FCGI_WEB_SERVER_ADDRS` lists; everybody without it.
    ///
    /// # Errors
    /// `InvalidInput`: a list that cannot be read would admit nobody.
    pub fn from_env() -> io::Result<Self> {
        match env::var_os(VARIABLE) {
            Some(list) => Self::parse(&list.to_string_lossy()),
            None => Ok(Self::default()),
        }
    }

    fn parse(list: &str) -> io::Result<Self> {
        let addresses: Result<Vec<IpAddr>, io::Error> = list
            .split(',')
            .map(str::trim)
            .map(|text| {
                text.parse().map_err(|_| {
                    let message = format!("{VARIABLE} holds {text:?}, which is no IP address");
                    io::Error::new(io::ErrorKind::InvalidInput, message)
                })
            })
            .collect();
        Ok(Self::new(addresses?))
    }

    /// Whether this one may connect.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        match &self.0 {
            Some(addresses) => addresses.contains(&peer.to_canonical()),
            None => true,
        }
    }
}

const VARIABLE: &str = "FCGI_WEB_SERVER_ADDRS";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use core::net::Ipv4Addr;

    use super::*;

    // spec: S3
    #[test]
    fn lists() {
        let servers = WebServers::parse("199.170.183.28, 127.0.0.1,::1").expect("three addresses");
        assert!(servers.admits(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(servers.admits(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())));
        assert!(!servers.admits(IpAddr::V4(Ipv4Addr::BROADCAST)));
        assert!(WebServers::default().admits(IpAddr::V4(Ipv4Addr::BROADCAST)));
    }

    // spec: S3
    #[test]
    fn a_list_that_cannot_be_read_is_an_error() {
        for list in ["", "localhost", "127.0.0.1,,"] {
            let error = WebServers::parse(list).expect_err(list);
            assert!(error.to_string().contains(VARIABLE), "{error}");
        }
    }
}
