//! Where a FastCGI application listens.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::convert::Infallible;
use core::fmt;
use core::net::{Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// The address of a FastCGI application: a TCP port or a Unix domain socket.
///
/// Nothing is resolved or opened here. Every usual spelling is read, and [`Display`](fmt::Display) prints the
/// canonical one, which reads back as the same address:
///
/// | spelling | address |
/// |---|---|
/// | `127.0.0.1:9000`, `php.internal:9000` | TCP |
/// | `[::1]:9000` | TCP; IPv6 always in brackets, a zone (`[fe80::1%eth0]:9000`) is kept |
/// | `tcp://host:9000` | TCP |
/// | `/run/php/php-fpm.sock` | Unix: an absolute path |
/// | `unix:/run/php/php-fpm.sock`, `unix:///run/php/php-fpm.sock` | Unix |
/// | `unix:php-fpm.sock` | Unix: a path relative to the current folder |
///
/// The port is never guessed. Port 0 is read, for those who listen.
///
/// ```
/// use fcgi_proto::Address;
///
/// let address: Address = "unix:///run/php/php-fpm.sock".parse()?;
/// assert_eq!(address, Address::unix("/run/php/php-fpm.sock"));
/// assert_eq!(address.to_string(), "unix:/run/php/php-fpm.sock");
/// assert_eq!("[::1]:9000".parse(), Ok(Address::tcp("::1", 9000)));
/// # Ok::<(), fcgi_proto::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A TCP host and port.
    Tcp {
        /// A host name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of a Unix domain socket.
    Unix(String),
}

impl Address {
    /// A TCP address. An IPv6 address is given without brackets.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// The path of a Unix domain socket.
    pub fn unix(path: impl Into<String>) -> Self {
        Self::Unix(path.into())
    }

    /// Whether this is a Unix domain socket.
    #[must_use]
    pub const fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    fn parse(text: &str) -> Result<Self, AddressErrorKind> {
        if text.is_empty() {
            return Err(AddressErrorKind::Empty);
        }
        if text.contains(['\0', '\r', '\n']) {
            return Err(AddressErrorKind::ControlCharacter);
        }
        if text.starts_with('/') {
            return Ok(Self::unix(text));
        }
        if let Some(path) = strip_scheme(text, "unix:") {
            return parse_unix(path);
        }
        if let Some(rest) = strip_scheme(text, "tcp://") {
            return parse_tcp(rest.strip_suffix('/').unwrap_or(rest));
        }
        if text.contains("://") {
            return Err(AddressErrorKind::UnknownScheme);
        }
        parse_tcp(text)
    }
}

/// `unix:` was cut off; what is left is a path, or `//` and an absolute one.
fn parse_unix(rest: &str) -> Result<Address, AddressErrorKind> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        // `unix://run/php.sock` would be the path `/php.sock` on a host named `run`.
        Some(path) if !path.is_empty() => return Err(AddressErrorKind::UnixHost),
        Some(_) => "",
        None => rest,
    };
    if path.is_empty() || path.ends_with('/') {
        return Err(AddressErrorKind::NoPath);
    }
    Ok(Address::unix(path))
}

fn parse_tcp(text: &str) -> Result<Address, AddressErrorKind> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(AddressErrorKind::Host)?;
            let ip = host.split_once('%').map_or(host, |(ip, _zone)| ip);
            if ip.parse::<Ipv6Addr>().is_err() || host.ends_with('%') {
                return Err(AddressErrorKind::Host);
            }
            (host, port.strip_prefix(':').ok_or(AddressErrorKind::NoPort)?)
        }
        None => {
            let (host, port) = text.rsplit_once(':').ok_or(AddressErrorKind::NoPort)?;
            if host.contains(':') {
                return Err(AddressErrorKind::NoBrackets);
            }
            (host, port)
        }
    };
    if host.is_empty() || !host.bytes().all(is_host_byte) {
        return Err(AddressErrorKind::Host);
    }
    if port.is_empty() {
        return Err(AddressErrorKind::NoPort);
    }
    // `u16::from_str` takes a plus sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressErrorKind::Port);
    }
    let port = port.parse().map_err(|_| AddressErrorKind::Port)?;
    Ok(Address::tcp(host, port))
}

/// Names are left to the resolver; only what belongs to a URL or cannot be a name is refused.
const fn is_host_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !matches!(byte, b'/' | b'@' | b'?' | b'#' | b'[' | b']' | b'\\')
}

fn strip_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map_err(|kind| AddressError { kind, given: text.to_owned() })
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = AddressError;

    fn try_from(text: &String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<SocketAddr> for Address {
    /// A zone of an IPv6 address is kept as its number.
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                alloc::format!("{}%{}", v6.ip(), v6.scope_id())
            }
            _ => alloc::format!("{}", address.ip()),
        };
        Self::Tcp { host, port: address.port() }
    }
}

/// A text that is no [`Address`], and what is wrong with it.
///
/// ```
/// use fcgi_proto::Address;
///
/// let error = "localhost:port".parse::<Address>().unwrap_err();
/// assert!(error.to_string().contains("localhost:port"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    kind: AddressErrorKind,
    given: String,
}

impl AddressError {
    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> AddressErrorKind {
        self.kind
    }

    /// The text that was given.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {:?} {}", self.given, self.kind)
    }
}

impl core::error::Error for AddressError {}

/// So that a function may take an [`Address`] as well as text that becomes one.
impl From<Infallible> for AddressError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What is wrong with an address.
///
/// ```
/// use fcgi_proto::{Address, AddressErrorKind};
///
/// let error = "localhost:0x50".parse::<Address>().unwrap_err();
/// assert_eq!(error.kind(), AddressErrorKind::Port);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressErrorKind {
    /// There is no text.
    Empty,
    /// NUL or a line break.
    ControlCharacter,
    /// A scheme other than `tcp` and `unix`.
    UnknownScheme,
    /// `unix://` followed by a name instead of a third slash.
    UnixHost,
    /// `unix:` without the path of a socket.
    NoPath,
    /// No port. It is not guessed.
    NoPort,
    /// A port that is no number up to 65535.
    Port,
    /// A host that is empty, or holds what no host name can, or no IPv6 address in its brackets.
    Host,
    /// An IPv6 address without brackets, where the port cannot be told from the address.
    NoBrackets,
}

impl fmt::Display for AddressErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty, expected host:port or unix:/path",
            Self::ControlCharacter => "holds NUL or a line break",
            Self::UnknownScheme => "has an unknown scheme, expected tcp:// or unix:",
            Self::UnixHost => "names a host before the path, expected unix:/path or unix:///path",
            Self::NoPath => "has no socket path, expected unix:/path",
            Self::NoPort => "has no port, expected host:port or unix:/path",
            Self::Port => "has a port that is no number from 0 to 65535",
            Self::Host => "has no valid host, expected host:port or unix:/path",
            Self::NoBrackets => "has an IPv6 address without brackets, expected [address]:port",
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn spellings() {
        for (text, address, canonical) in [
            ("127.0.0.1:9000", Address::tcp("127.0.0.1", 9000), "127.0.0.1:9000"),
            ("php.internal:1", Address::tcp("php.internal", 1), "php.internal:1"),
            ("php_fpm:65535", Address::tcp("php_fpm", 65535), "php_fpm:65535"),
            ("localhost:0", Address::tcp("localhost", 0), "localhost:0"),
            ("[::1]:9000", Address::tcp("::1", 9000), "[::1]:9000"),
            ("[fe80::1%eth0]:9000", Address::tcp("fe80::1%eth0", 9000), "[fe80::1%eth0]:9000"),
            ("tcp://[::]:80", Address::tcp("::", 80), "[::]:80"),
            ("tcp://host:9000", Address::tcp("host", 9000), "host:9000"),
            ("TCP://host:9000/", Address::tcp("host", 9000), "host:9000"),
            ("/run/a b.sock", Address::unix("/run/a b.sock"), "unix:/run/a b.sock"),
            ("unix:/run/a.sock", Address::unix("/run/a.sock"), "unix:/run/a.sock"),
            ("unix:///run/a.sock", Address::unix("/run/a.sock"), "unix:/run/a.sock"),
            ("Unix:a.sock", Address::unix("a.sock"), "unix:a.sock"),
            ("unix:/run/host:9000", Address::unix("/run/host:9000"), "unix:/run/host:9000"),
            ("unix:/run/\u{e9}.sock", Address::unix("/run/\u{e9}.sock"), "unix:/run/\u{e9}.sock"),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(address));
        }
    }

    #[test]
    fn refusals() {
        use AddressErrorKind::*;
        for (text, kind) in [
            ("", Empty),
            ("localhost", NoPort),
            ("9000", NoPort),
            ("localhost:", NoPort),
            ("[::1]", NoPort),
            ("[::1]9000", NoPort),
            ("::1:9000", NoBrackets),
            ("host:65536", Port),
            ("host:+80", Port),
            ("host:-1", Port),
            ("host:http", Port),
            (":9000", Host),
            ("a b:9000", Host),
            ("user@host:9000", Host),
            ("host/path:9000", Host),
            ("[::1:9000", Host),
            ("[localhost]:9000", Host),
            ("[::1%]:9000", Host),
            ("tcp://", NoPort),
            ("http://host:80", UnknownScheme),
            ("unix:", NoPath),
            ("unix://", NoPath),
            ("unix:///", NoPath),
            ("unix:/run/", NoPath),
            ("unix://run/a.sock", UnixHost),
            ("unix:/run/a\0b", ControlCharacter),
            ("host:80\r\n", ControlCharacter),
            ("\u{e9}", NoPort),
        ] {
            assert_eq!(text.parse::<Address>().map_err(|e| e.kind()), Err(kind), "{text}");
        }
    }

    #[test]
    fn from_socket_address() {
        let v4: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        assert_eq!(Address::from(v4).to_string(), "127.0.0.1:9000");
        let v6: SocketAddr = "[fe80::1%3]:9000".parse().unwrap();
        assert_eq!(Address::from(v6).to_string(), "[fe80::1%3]:9000");
    }

    #[test]
    fn message_names_the_text() {
        let error = "localhost".parse::<Address>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "address \"localhost\" has no port, expected host:port or unix:/path"
        );
    }
}
