use core::task::{Context, Poll, ready};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use async_io::Async;
use fcgi_proto::Address;
use fcgi_proto::server::WebServers;
use listenfd::ListenFd;

use super::unix_socket::{self, SocketFile};
use crate::socket::{Stream, resolve};

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
    Tcp(Async<TcpListener>),
    Unix(Async<UnixListener>),
}

impl Source {
    pub(super) fn local_address(&self) -> io::Result<Address> {
        match &self.socket {
            Socket::Tcp(listener) => Ok(listener.get_ref().local_addr()?.into()),
            Socket::Unix(listener) => {
                let address = listener.get_ref().local_addr()?;
                let path = address.as_pathname().and_then(Path::to_str);
                path.map(Address::unix).ok_or_else(|| io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// The next connection of a web server that is admitted.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            match self.accept_now() {
                Ok(Some(stream)) => return Poll::Ready(Ok(stream)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// `None` after a web server that is not admitted.
    fn accept_now(&self) -> io::Result<Option<Stream>> {
        match &self.socket {
            Socket::Unix(listener) => {
                Ok(Some(Stream::Unix(Async::new(listener.get_ref().accept()?.0)?)))
            }
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.get_ref().accept()?;
                if !self.web_servers.admits(peer.ip()) {
                    return Ok(None);
                }
                // The last bytes of an answer would wait for the web server's acknowledgement of those before.
                stream.set_nodelay(true)?;
                Ok(Some(Stream::Tcp(Async::new(stream)?)))
            }
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Tcp(listener) => listener.poll_readable(cx),
            Socket::Unix(listener) => listener.poll_readable(cx),
        }
    }
}

pub(super) async fn bind(address: &Address) -> io::Result<(Socket, Option<SocketFile>)> {
    match address {
        Address::Tcp { host, port } => Ok((Socket::Tcp(bind_tcp(host, *port).await?), None)),
        Address::Unix(path) => {
            let (listener, file) = unix_socket::bind(Path::new(path)).await?;
            Ok((Socket::Unix(listener), Some(file)))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn bind_tcp(host: &str, port: u16) -> io::Result<Async<TcpListener>> {
    let addresses = resolve(host, port).await?;
    Async::new(TcpListener::bind(&addresses[..])?)
}

/// Which family it is shows in the address that it has.
pub(super) fn inherited(descriptor: OwnedFd) -> io::Result<Socket> {
    let tcp = TcpListener::from(descriptor.try_clone()?);
    if tcp.local_addr().is_ok() {
        return Ok(Socket::Tcp(Async::new(tcp)?));
    }
    let unix = UnixListener::from(descriptor);
    unix.local_addr().map_err(|error| {
        let message = "descriptor 0 is no socket; start this through a web server or spawn-fcgi";
        io::Error::new(error.kind(), message)
    })?;
    Ok(Socket::Unix(Async::new(unix)?))
}

/// One of the sockets that systemd has passed.
pub(super) fn activated(passed: &mut ListenFd, index: usize) -> io::Result<Socket> {
    if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
        return Ok(Socket::Tcp(Async::new(tcp)?));
    }
    let unix = passed.take_unix_listener(index)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(Socket::Unix(Async::new(unix)?))
}
