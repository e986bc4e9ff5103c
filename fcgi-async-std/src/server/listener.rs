use core::net::IpAddr;
use core::task::{Context, Poll, ready};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use async_io::Async;
use fcgi_proto::Address;
use fcgi_proto::server::WebServers;

use super::unix_socket::{self, SocketFile};
use crate::socket::{Stream, resolve};

/// Where an application is connected to: a TCP port or a Unix socket.
///
/// When the environment variable `FCGI_WEB_SERVER_ADDRS` is set, [`bind`](Self::bind) and [`from_fd0`](Self::from_fd0) admit
/// only the web servers that it lists (section 3.2). FastCGI has no other protection: whoever can connect can send
/// requests with any parameters, so a TCP port belongs on the loopback device or a private network.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    web_servers: WebServers,
    /// Removed when the listener is dropped.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(Async<TcpListener>),
    Unix(Async<UnixListener>),
}

impl Listener {
    /// Listens on an address such as `127.0.0.1:9000`, `[::1]:9000` or `unix:/run/app.sock`; port 0 takes a free one.
    ///
    /// A socket file on which nobody listens any more is replaced. Its own is removed when the listener is dropped. The
    /// web server's user needs the right to write to it: the process's umask decides, or `std::fs::set_permissions`
    /// afterwards.
    ///
    /// # Errors
    /// `InvalidInput`: the address cannot be read. `AddrInUse`: somebody listens there, or the path is a file of another
    /// kind. Others as the system says; each names the address.
    pub async fn bind<A>(address: A) -> io::Result<Self>
    where
        A: TryInto<Address>,
        A::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    {
        let invalid = |error: A::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let address = address.try_into().map_err(invalid)?;
        let web_servers = WebServers::from_env()?;
        let (socket, file) = bind(&address).await.map_err(|error| {
            let message = format!("cannot listen on {address}: {error}");
            io::Error::new(error.kind(), message)
        })?;
        Ok(Self { socket, web_servers, _file: file })
    }

    /// The listening socket on descriptor 0, as spawn-fcgi, lighttpd and mod_fcgid start applications with
    /// (`FCGI_LISTENSOCK_FILENO`, section 2.2).
    ///
    /// # Errors
    /// Descriptor 0 is no socket: the program was started by hand.
    pub fn from_fd0() -> io::Result<Self> {
        let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self {
            socket: inherited(descriptor)?,
            web_servers: WebServers::from_env()?,
            _file: None,
        })
    }

    /// Admits only TCP connections from these addresses, instead of those in `FCGI_WEB_SERVER_ADDRS`. Others are closed at
    /// once.
    #[must_use]
    pub fn web_servers(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.web_servers = WebServers::new(addresses);
        self
    }

    /// Where it listens, with the port that was taken for port 0.
    ///
    /// # Errors
    /// The system's. `Unsupported`: a Unix socket without a name, or with one that is not UTF-8.
    pub fn local_address(&self) -> io::Result<Address> {
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

async fn bind(address: &Address) -> io::Result<(Socket, Option<SocketFile>)> {
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
fn inherited(descriptor: OwnedFd) -> io::Result<Socket> {
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

impl From<Async<TcpListener>> for Listener {
    /// Admits everybody.
    fn from(listener: Async<TcpListener>) -> Self {
        Self::new(Socket::Tcp(listener))
    }
}

impl From<Async<UnixListener>> for Listener {
    /// The socket file stays when it is dropped.
    fn from(listener: Async<UnixListener>) -> Self {
        Self::new(Socket::Unix(listener))
    }
}

impl Listener {
    fn new(socket: Socket) -> Self {
        Self { socket, web_servers: WebServers::default(), _file: None }
    }
}
