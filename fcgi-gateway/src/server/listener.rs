//! Where clients connect.

use core::fmt;
use core::task::{Context, Poll, ready};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcgi_proto::cgi::TrustedProxies;
use tokio::net::{TcpListener, ToSocketAddrs, UnixListener};

use super::redirect::Redirect;
use super::stream::Stream;
use super::tls::Tls;
use crate::Connection;

/// A listening socket, and what is spoken on it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    pub(super) tls: Option<Tls>,
    pub(super) redirect: Option<Redirect>,
    /// Those who begin with a header of the PROXY protocol.
    pub(super) proxies: Option<Arc<TrustedProxies>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// With the file to remove at the end, if it was made here.
    Unix(UnixListener, Option<PathBuf>),
}

impl Listener {
    const fn new(socket: Socket) -> Self {
        Self { socket, tls: None, redirect: None, proxies: None }
    }

    /// Listens on an address such as `127.0.0.1:8080`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The system's: the port is in use, needs more rights, or the address is not this machine's.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(TcpListener::bind(address).await?.into())
    }

    /// Listens on a Unix socket, for a web server or load balancer on the same machine. A socket that is left there by
    /// somebody who has ended is replaced, and the file is removed when the listener is dropped.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::AddrInUse`] if somebody listens there.
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let is_socket =
            path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        Ok(Self::new(Socket::Unix(listener, Some(path.to_owned()))))
    }

    /// The sockets that systemd, or whoever speaks its `LISTEN_FDS`, opened for this process, TCP or Unix; none if it did
    /// not. A second call finds none.
    ///
    /// They stay open while the process is replaced by another, so no client is refused.
    ///
    /// # Errors
    ///
    /// A descriptor is no listening socket.
    pub fn inherited() -> io::Result<Vec<Self>> {
        let mut given = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..given.len() {
            let listener = match given.take_tcp_listener(index) {
                Ok(Some(listener)) => {
                    listener.set_nonblocking(true)?;
                    TcpListener::from_std(listener)?.into()
                }
                Ok(None) => continue,
                Err(_) => match given.take_unix_listener(index)? {
                    Some(listener) => {
                        listener.set_nonblocking(true)?;
                        UnixListener::from_std(listener)?.into()
                    }
                    None => continue,
                },
            };
            listeners.push(listener);
        }
        Ok(listeners)
    }

    /// Speaks TLS on it. Who begins with plain HTTP is redirected to `https:` with the same port (307), or refused if the
    /// request is to send something (400).
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Answers every request with a redirect to the same address with `https:` and this port (308), except those below
    /// `/.well-known/acme-challenge/`, which certificate authorities ask for.
    #[must_use]
    pub const fn redirect_to_https(mut self, port: u16) -> Self {
        self.redirect = Some(Redirect::ToPort(port));
        self
    }

    /// Takes the client's address from the PROXY protocol, version 1 or 2, which these peers speak: load balancers that pass
    /// bytes on, such as HAProxy's `send-proxy-v2` or those of AWS. It comes before TLS, where there is TLS.
    ///
    /// Each of their connections must begin with its header, within the [head time](super::Config::head_time), or it is
    /// closed. What it says counts as if the client had connected itself, so that `X-Forwarded-For` and the like are
    /// believed only of clients that are trusted too. Others may not speak it, and are taken for clients; which header of
    /// HTTP the proxies set is of no matter here.
    #[must_use]
    pub fn proxy_protocol(mut self, from: TrustedProxies) -> Self {
        self.proxies = Some(Arc::new(from));
        self
    }

    /// The address, with the real port.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] for a Unix socket; otherwise the system's, practically never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr(),
            Socket::Unix(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next client.
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Stream, Connection)>> {
        let (stream, connection) = match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, remote) = ready!(listener.poll_accept(cx))?;
                // Heads and bodies are separate writes; Nagle's algorithm would hold the second one back.
                stream.set_nodelay(true)?;
                let connection = Connection::new(remote, stream.local_addr()?);
                (stream.into(), connection)
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                (stream.into(), Connection::local_peer())
            }
        };
        Poll::Ready(Ok((stream, connection.https(self.tls.is_some()))))
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::new(Socket::Tcp(listener))
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::new(Socket::Unix(listener, None))
    }
}

/// As a URL a person can use, where there is one.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match &self.socket {
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{scheme}://{address}"),
                Err(error) => error.fmt(f),
            },
            Socket::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                write!(f, "{scheme}+unix:{}", path.unwrap_or(Path::new("@")).display())
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, Some(path)) = self {
            // Nothing depends on it: the next one to listen replaces it.
            let _ = std::fs::remove_file(path);
        }
    }
}
