//! The PROXY protocol, versions 1 and 2: what a load balancer that passes bytes on says of their client, before them.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use ppp::v2::{Command, Protocol};
use ppp::{PartialResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Connection;

/// What a header says of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Nothing when the load balancer speaks for itself, as to see if we live.
    addresses: Option<Ends>,
    /// The load balancer took off the client's TLS.
    https: bool,
}

impl Said {
    /// The connection as the client sees it.
    pub(super) fn apply(self, connection: Connection) -> Connection {
        let https = connection.is_https() || self.https;
        match self.addresses {
            Some((remote, local)) => Connection::new(remote, local).https(https),
            None => connection.https(https),
        }
    }
}

/// Reads a header. What was read behind it comes along.
///
/// # Errors
///
/// The system's; [`io::ErrorKind::UnexpectedEof`] if there is nothing but an end, as when somebody looks whether the port
/// is open; [`io::ErrorKind::InvalidData`] if it is no such header, or longer than 4 KiB.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Said, Bytes)> {
    let mut read = BytesMut::with_capacity(USUAL_LEN);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            let kind = if read.is_empty() {
                io::ErrorKind::UnexpectedEof
            } else {
                io::ErrorKind::InvalidData
            };
            return Err(kind.into());
        }
        if let Some((said, length)) = parse(&read)? {
            read.advance(length);
            return Ok((said, read.freeze()));
        }
        if read.len() >= MAX_LEN {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Addresses of version 2 with some extras, and a small request behind them.
const USUAL_LEN: usize = 512;

/// As nginx takes. Addresses are 52 bytes, and the rest is what load balancers add.
const MAX_LEN: usize = 4096;

/// The header at the beginning, and its length; nothing while it is not complete.
fn parse(input: &[u8]) -> io::Result<Option<(Said, usize)>> {
    if is_beginning(input, v2::PROTOCOL_PREFIX) {
        return match v2::Header::try_from(input) {
            Ok(header) => Ok(Some((said_by_octets(&header), header.len()))),
            Err(error) if error.is_incomplete() => Ok(None),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
    }
    let line = &input[..input.len().min(MAX_LINE)];
    match memchr::memmem::find(line, b"\r\n") {
        Some(end) => {
            let line = &line[..end + 2];
            let header = v1::Header::try_from(line)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok(Some((said_by_text(&header), line.len())))
        }
        None if line.len() < MAX_LINE && is_beginning(line, b"PROXY ") => Ok(None),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether input that may not be complete begins in this way.
fn is_beginning(input: &[u8], with: &[u8]) -> bool {
    let length = input.len().min(with.len());
    input[..length] == with[..length]
}

/// The longest line of version 1, its end counted in.
const MAX_LINE: usize = 107;

/// The client, and where it connected to.
type Ends = (SocketAddr, SocketAddr);

fn of_v4(ip: v2::IPv4) -> Ends {
    let source = (ip.source_address, ip.source_port);
    (source.into(), (ip.destination_address, ip.destination_port).into())
}

fn of_v6(ip: v2::IPv6) -> Ends {
    let source = (ip.source_address, ip.source_port);
    (source.into(), (ip.destination_address, ip.destination_port).into())
}

fn said_by_text(header: &v1::Header<'_>) -> Said {
    let addresses = match header.addresses {
        v1::Addresses::Tcp4(ip) => Some(of_v4(ip)),
        v1::Addresses::Tcp6(ip) => Some(of_v6(ip)),
        v1::Addresses::Unknown => None,
    };
    Said { addresses, https: false }
}

fn said_by_octets(header: &v2::Header<'_>) -> Said {
    if header.command == Command::Local {
        return Said::default();
    }
    let addresses = match header.addresses {
        _ if header.protocol != Protocol::Stream => None,
        v2::Addresses::IPv4(ip) => Some(of_v4(ip)),
        v2::Addresses::IPv6(ip) => Some(of_v6(ip)),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    };
    let https = header.tlvs().flatten().any(|extra| {
        extra.kind == u8::from(v2::Type::SSL)
            && extra.value.first().is_some_and(|client| client & CLIENT_SSL != 0)
    });
    Said { addresses, https }
}

/// The client connected over TLS (PP2_CLIENT_SSL).
const CLIENT_SSL: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: ([u8; 4], u16) = ([192, 0, 2, 1], 443);

    fn octets(command: Command, client: Option<u8>) -> Vec<u8> {
        let remote: SocketAddr = ([203, 0, 113, 9], 50_000).into();
        let to: SocketAddr = LOCAL.into();
        let builder =
            v2::Builder::with_addresses(v2::Version::Two | command, Protocol::Stream, (remote, to));
        match client {
            Some(client) => {
                builder.write_tlv(v2::Type::SSL, &[client, 0, 0, 0, 0]).unwrap().build().unwrap()
            }
            None => builder.build().unwrap(),
        }
    }

    fn said(remote: &str, https: bool) -> Said {
        Said { addresses: Some((remote.parse().unwrap(), LOCAL.into())), https }
    }

    #[test]
    fn both_versions() {
        let v4 = said("203.0.113.9:50000", false);
        let v6 = Said {
            addresses: Some((
                "[2001:db8::9]:50000".parse().unwrap(),
                "[2001:db8::1]:443".parse().unwrap(),
            )),
            https: false,
        };
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 443\r\n".to_vec(), v4),
            (b"PROXY TCP6 2001:db8::9 2001:db8::1 50000 443\r\n".to_vec(), v6),
            (b"PROXY UNKNOWN\r\n".to_vec(), Said::default()),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), Said::default()),
            (octets(Command::Proxy, None), v4),
            (octets(Command::Proxy, Some(1)), said("203.0.113.9:50000", true)),
            (octets(Command::Proxy, Some(0)), v4),
            (octets(Command::Local, Some(1)), Said::default()),
        ] {
            let shown = String::from_utf8_lossy(&header).into_owned();
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]).unwrap(), None, "{end} bytes of {shown:?}");
            }
            let mut more = header.clone();
            more.extend_from_slice(b"GET / HTTP/1.1\r\n");
            for input in [&header, &more] {
                assert_eq!(parse(input).unwrap(), Some((expected, header.len())), "{shown:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header() {
        for input in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 70000\r\n",
            b"PROXY TCP4 2001:db8::9 192.0.2.1 50000 443\r\n",
            b"PROXY TCP5 203.0.113.9 192.0.2.1 50000 443\r\n",
            b"proxy TCP4 203.0.113.9 192.0.2.1 50000 443\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        ] {
            let result = parse(input);
            assert!(result.is_err(), "{:?}: {result:?}", String::from_utf8_lossy(input));
        }
    }

    #[tokio::test]
    async fn headers_have_an_end() {
        let mut endless = octets(Command::Proxy, None);
        endless[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        endless.resize(70_000, 0);
        let mut input = &endless[..];
        let error = read(&mut input).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(endless.len() - input.len() < 2 * MAX_LEN, "no more than it needs is read");

        let mut endless = b"PROXY UNKNOWN ".to_vec();
        endless.resize(70_000, b'x');
        assert_eq!(read(&mut &endless[..]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&mut &b""[..]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut &b"PRO"[..]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
