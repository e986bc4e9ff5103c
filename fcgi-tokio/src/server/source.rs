use core::task::{Context, Poll, ready};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use fcgi_proto::Address;
use fcgi_proto::server::WebServers;
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::unix_socket::{self, SocketFile};
use crate::client::Stream;

/// One socket that an application listens on.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) socket: Socket,
    pub(super) web_servers: WebServers,
    /// Removed when the listener is dropped.
    pub(super) _file: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Source {
    pub(super) fn local_address(&self) -> io::Result<Address> {
        match &self.socket {
            Socket::Tcp(listener) => Ok(listener.local_addr()?.into()),
            Socket::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().and_then(Path::to_str);
                path.map(Address::unix).ok_or_else(|| io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// The next connection of a web server that is admitted.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            match &self.socket {
                Socket::Unix(listener) => {
                    return listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream));
                }
                Socket::Tcp(listener) => {
                    let (stream, peer) = ready!(listener.poll_accept(cx))?;
                    if self.web_servers.admits(peer.ip()) {
                        // The last bytes of an answer would wait for the web server's acknowledgement of those before.
                        stream.set_nodelay(true)?;
                        return Poll::Ready(Ok(Stream::Tcp(stream)));
                    }
                }
            }
        }
    }
}

pub(super) async fn bind(address: &Address) -> io::Result<(Socket, Option<SocketFile>)> {
    match address {
        Address::Tcp { host, port } => {
            let listener = TcpListener::bind((host.as_str(), *port)).await?;
            Ok((Socket::Tcp(listener), None))
        }
        Address::Unix(path) => {
            let (listener, file) = unix_socket::bind(Path::new(path)).await?;
            Ok((Socket::Unix(listener), Some(file)))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Which family it is shows in the address that it has.
pub(super) fn inherited(descriptor: OwnedFd) -> io::Result<Socket> {
    let tcp = std::net::TcpListener::from(descriptor.try_clone()?);
    if tcp.local_addr().is_ok() {
        tcp.set_nonblocking(true)?;
        return Ok(Socket::Tcp(TcpListener::from_std(tcp)?));
    }
    let unix = std::os::unix::net::UnixListener::from(descriptor);
    unix.local_addr().map_err(|error| {
        let message = "descriptor 0 is no socket; start this through a web server or spawn-fcgi";
        io::Error::new(error.kind(), message)
    })?;
    unix.set_nonblocking(true)?;
    Ok(Socket::Unix(UnixListener::from_std(unix)?))
}

/// One of the sockets that systemd has passed.
pub(super) fn activated(passed: &mut ListenFd, index: usize) -> io::Result<Socket> {
    if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
        tcp.set_nonblocking(true)?;
        return Ok(Socket::Tcp(TcpListener::from_std(tcp)?));
    }
    let unix = passed.take_unix_listener(index)?.ok_or(io::ErrorKind::NotFound)?;
    unix.set_nonblocking(true)?;
    Ok(Socket::Unix(UnixListener::from_std(unix)?))
}
