use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use fcgi_proto::Address;
use fcgi_proto::server::WebServers;
use listenfd::ListenFd;

use super::unix_socket::{self, SocketFile};
use crate::socket::Socket;

/// One socket that an application listens on.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) socket: Kind,
    pub(super) web_servers: WebServers,
    /// Removed when the listener is dropped.
    pub(super) _file: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Source {
    pub(super) fn local_address(&self) -> io::Result<Address> {
        match &self.socket {
            Kind::Tcp(listener) => Ok(listener.local_addr()?.into()),
            Kind::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().and_then(Path::to_str);
                path.map(Address::unix).ok_or_else(|| io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// Makes [`accept`](Self::accept) return when nobody is there.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match &self.socket {
            Kind::Tcp(listener) => listener.set_nonblocking(true),
            Kind::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    /// The next connection of a web server that is admitted; `WouldBlock` when there is none.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        loop {
            match &self.socket {
                Kind::Unix(listener) => return Socket::new(listener.accept()?.0.into()),
                Kind::Tcp(listener) => {
                    let (stream, peer) = listener.accept()?;
                    if self.web_servers.admits(peer.ip()) {
                        // The last bytes of an answer would wait for the web server's acknowledgement of those before.
                        stream.set_nodelay(true)?;
                        return Socket::new(stream.into());
                    }
                }
            }
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Tcp(listener) => listener.as_fd(),
            Kind::Unix(listener) => listener.as_fd(),
        }
    }
}

pub(super) fn bind(address: &Address) -> io::Result<(Kind, Option<SocketFile>)> {
    match address {
        Address::Tcp { host, port } => {
            let listener = TcpListener::bind((host.as_str(), *port))?;
            Ok((Kind::Tcp(listener), None))
        }
        Address::Unix(path) => {
            let (listener, file) = unix_socket::bind(path)?;
            Ok((Kind::Unix(listener), Some(file)))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Which family it is shows in the address that it has.
pub(super) fn inherited(descriptor: OwnedFd) -> io::Result<Kind> {
    let tcp = TcpListener::from(descriptor.try_clone()?);
    if tcp.local_addr().is_ok() {
        return Ok(Kind::Tcp(tcp));
    }
    let unix = UnixListener::from(descriptor);
    unix.local_addr().map_err(|error| {
        let message = "descriptor 0 is no socket; start this through a web server or spawn-fcgi";
        io::Error::new(error.kind(), message)
    })?;
    Ok(Kind::Unix(unix))
}

/// One of the sockets that systemd has passed.
pub(super) fn activated(passed: &mut ListenFd, index: usize) -> io::Result<Kind> {
    if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
        return Ok(Kind::Tcp(tcp));
    }
    let unix = passed.take_unix_listener(index)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(Kind::Unix(unix))
}
