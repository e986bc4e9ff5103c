use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use fcgi_proto::Address;
use fcgi_proto::server::WebServers;

use super::unix_socket::{self, SocketFile};
use crate::socket::Socket;

/// Where an application is connected to: a TCP port or a Unix socket.
///
/// When the environment variable `FCGI_WEB_SERVER_ADDRS` is set, [`bind`](Self::bind) and [`from_fd0`](Self::from_fd0) admit
/// only the web servers that it lists (section 3.2). FastCGI has no other protection: whoever can connect can send
/// requests with any parameters, so a TCP port belongs on the loopback device or a private network.
#[derive(Debug)]
pub struct Listener {
    socket: Kind,
    web_servers: WebServers,
    /// Removed when the listener is dropped.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
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
    pub fn bind<A>(address: A) -> io::Result<Self>
    where
        A: TryInto<Address>,
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let invalid = |error: A::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let address = address.try_into().map_err(invalid)?;
        let web_servers = WebServers::from_env()?;
        let (socket, file) = bind(&address).map_err(|error| {
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

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Tcp(listener) => listener.as_fd(),
            Kind::Unix(listener) => listener.as_fd(),
        }
    }
}

fn bind(address: &Address) -> io::Result<(Kind, Option<SocketFile>)> {
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
fn inherited(descriptor: OwnedFd) -> io::Result<Kind> {
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

impl From<TcpListener> for Listener {
    /// Admits everybody.
    fn from(listener: TcpListener) -> Self {
        Self::new(Kind::Tcp(listener))
    }
}

impl From<UnixListener> for Listener {
    /// The socket file stays when it is dropped.
    fn from(listener: UnixListener) -> Self {
        Self::new(Kind::Unix(listener))
    }
}

impl Listener {
    fn new(socket: Kind) -> Self {
        Self { socket, web_servers: WebServers::default(), _file: None }
    }
}
