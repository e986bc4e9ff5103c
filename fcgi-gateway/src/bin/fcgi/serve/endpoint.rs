//! Addresses to listen on.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A port of this machine, or a socket in its file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Port(HostPort),
    Unix(String),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("expected unix:/PATH".to_owned()),
            Some(path) => Ok(Self::Unix(path.to_owned())),
            None => text.parse().map(Self::Port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// `HOST:PORT`. Whether it can be listened on may depend on the moment; whether it is an address does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort(String);

impl HostPort {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_matches(['[', ']'])
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let expected = || "expected HOST:PORT, such as 127.0.0.1:8080".to_owned();
        if port.parse::<u16>().is_err() {
            return Err(expected());
        }
        if host.is_empty() {
            return Err(format!(
                "expected HOST:PORT: 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for others too"
            ));
        }
        if let Some(bracketed) = host.strip_prefix('[') {
            let bare = bracketed.strip_suffix(']').ok_or_else(expected)?;
            bare.parse::<Ipv6Addr>().map_err(|_| format!("{bare} is no IPv6 address"))?;
        } else if host.contains(':') {
            return Err(format!("an IPv6 address needs brackets: [{host}]:{port}"));
        } else if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            // No name: no top-level domain is a number.
            host.parse::<Ipv4Addr>().map_err(|_| format!("{host} is no IPv4 address"))?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in
            ["127.0.0.1:8080", "localhost:0", "[::1]:80", "[::]:443", "a.example:1", "unix:/run/x"]
        {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for (text, hint) in [
            ("8080", "0.0.0.0:8080 for others too"),
            (":8080", "127.0.0.1:8080 for this machine alone"),
            ("localhost", "expected HOST:PORT"),
            ("localhost:http", "expected HOST:PORT"),
            ("localhost:65536", "expected HOST:PORT"),
            ("300.1.1.1:80", "300.1.1.1 is no IPv4 address"),
            ("127.1:80", "127.1 is no IPv4 address"),
            ("::1:80", "brackets: [::1]:80"),
            ("[::1", "expected HOST:PORT"),
            ("[::g]:80", "::g is no IPv6 address"),
            ("unix:", "unix:/PATH"),
            ("", "expected HOST:PORT"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn hosts() {
        let host = |text: &str| text.parse::<HostPort>().unwrap().host().to_owned();
        assert_eq!(host("example.org:1"), "example.org");
        assert_eq!(host("[::1]:1"), "::1");
    }
}
