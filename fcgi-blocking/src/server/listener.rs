use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use fcgi_proto::Address;
use fcgi_proto::server::{SocketNames, WebServers};
use listenfd::ListenFd;

use super::source::{Kind, Source, activated, bind, inherited};
use crate::socket::Socket;

/// Where an application is connected to: TCP ports, Unix sockets, or several of either.
///
/// When the environment variable `FCGI_WEB_SERVER_ADDRS` is set, [`bind`](Self::bind), [`from_fd0`](Self::from_fd0) and
/// [`from_systemd`](Self::from_systemd) admit only the web servers that it lists (section 3.2). FastCGI has no other
/// protection: whoever can connect can send requests with any parameters, so a TCP port belongs on the loopback device or
/// a private network.
///
/// One server may listen on several sockets: [`and`](Self::and) puts listeners together, and so does collecting them from
/// an iterator. Connections are taken from all of them in turn.
#[derive(Debug)]
pub struct Listener {
    sources: Vec<Source>,
    /// Whose turn it is.
    next: usize,
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
        Ok(Source { socket, web_servers, _file: file }.into())
    }

    /// The listening socket on descriptor 0, as spawn-fcgi, lighttpd and mod_fcgid start applications with
    /// (`FCGI_LISTENSOCK_FILENO`, section 2.2).
    ///
    /// # Errors
    /// Descriptor 0 is no socket: the program was started by hand.
    pub fn from_fd0() -> io::Result<Self> {
        let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
        let source = Source {
            socket: inherited(descriptor)?,
            web_servers: WebServers::from_env()?,
            _file: None,
        };
        Ok(source.into())
    }

    /// The sockets that systemd has opened for this service (socket activation), all in one listener.
    ///
    /// Takes effect once, as [`systemd_sockets`](Self::systemd_sockets) does.
    ///
    /// ```ini
    /// # hello.socket, beside a hello.service that runs the program
    /// [Socket]
    /// ListenStream=/run/hello.sock
    /// ListenStream=127.0.0.1:9000
    /// ```
    ///
    /// # Errors
    /// `NotFound`: none was passed. Others as [`systemd_sockets`](Self::systemd_sockets).
    pub fn from_systemd() -> io::Result<Self> {
        let sockets = Self::systemd_sockets()?;
        if sockets.is_empty() {
            let message = "systemd has passed no socket (LISTEN_FDS); start this service through its .socket unit";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(sockets.into_iter().map(|(_, listener)| listener).collect())
    }

    /// The sockets that systemd has opened for this service, each with its name: that of the socket unit or its
    /// `FileDescriptorName=`, `unknown` without one. Empty when none was passed, or they were for another process.
    ///
    /// To be called once, before there are other threads: it takes `LISTEN_FDS` and `LISTEN_PID` out of the environment,
    /// so that no child process takes the descriptors for its own. A later call finds none.
    ///
    /// # Errors
    /// `InvalidInput`: a descriptor is no listening stream socket of TCP or Unix, or `FCGI_WEB_SERVER_ADDRS` cannot be
    /// read.
    pub fn systemd_sockets() -> io::Result<Vec<(String, Self)>> {
        let names = SocketNames::from_env();
        let web_servers = WebServers::from_env()?;
        let mut passed = ListenFd::from_env();
        (0..passed.len())
            .map(|index| {
                let socket = activated(&mut passed, index)?;
                let source = Source { socket, web_servers: web_servers.clone(), _file: None };
                Ok((names.get(index).to_owned(), Self::from(source)))
            })
            .collect()
    }

    /// Listens on the sockets of `other` as well.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self
    }

    /// Admits only TCP connections from these addresses, instead of those in `FCGI_WEB_SERVER_ADDRS`. Others are closed at
    /// once.
    #[must_use]
    pub fn web_servers(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let web_servers = WebServers::new(addresses);
        for source in &mut self.sources {
            source.web_servers.clone_from(&web_servers);
        }
        self
    }

    /// Where it listens, with the port that was taken for port 0; the first place of several.
    ///
    /// # Errors
    /// The system's. `Unsupported`: a Unix socket without a name, or with one that is not UTF-8. `NotFound`: it listens
    /// nowhere, being collected from nothing.
    pub fn local_address(&self) -> io::Result<Address> {
        let first = self.sources.first().ok_or(io::ErrorKind::NotFound)?;
        first.local_address()
    }

    /// All places where it listens.
    ///
    /// # Errors
    /// As [`local_address`](Self::local_address).
    pub fn local_addresses(&self) -> io::Result<Vec<Address>> {
        self.sources.iter().map(Source::local_address).collect()
    }

    /// Makes [`accept`](Self::accept) return when nobody is there.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.sources.iter().try_for_each(Source::set_nonblocking)
    }

    /// What to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(AsFd::as_fd)
    }

    /// The next connection of a web server that is admitted; `WouldBlock` when there is none.
    pub(super) fn accept(&mut self) -> io::Result<Socket> {
        // In turn, so that no socket keeps the others waiting.
        for _ in 0..self.sources.len() {
            self.next = (self.next + 1) % self.sources.len();
            let Some(source) = self.sources.get(self.next) else { break };
            match source.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl From<Source> for Listener {
    fn from(source: Source) -> Self {
        Self { sources: vec![source], next: 0 }
    }
}

impl FromIterator<Self> for Listener {
    /// Listens on the sockets of all; for ever in vain when there are none.
    fn from_iter<I: IntoIterator<Item = Self>>(listeners: I) -> Self {
        let sources = listeners.into_iter().flat_map(|listener| listener.sources).collect();
        Self { sources, next: 0 }
    }
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
        Source { socket, web_servers: WebServers::default(), _file: None }.into()
    }
}
