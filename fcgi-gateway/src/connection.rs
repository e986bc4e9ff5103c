//! What only the HTTP server knows about a request.

use std::net::SocketAddr;

/// Where a request came from, as the socket says, and not the client.
///
/// A server puts it into the request's extensions; [`Server`](crate::server::Server) does. The gateway
/// fills REMOTE_ADDR, REMOTE_PORT, SERVER_ADDR, SERVER_PORT and HTTPS from it. Without it, those that
/// describe the client are not sent at all, as a made-up address may open doors that are meant for
/// neighbours only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    addresses: Option<(SocketAddr, SocketAddr)>,
    https: bool,
    is_trusted: bool,
}

impl Connection {
    /// A plain connection from `remote` to `local`.
    #[must_use]
    pub const fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        Self { addresses: Some((remote, local)), https: false, is_trusted: false }
    }

    /// A plain connection over a Unix socket, from somebody on this machine, with no address.
    #[must_use]
    pub const fn local_peer() -> Self {
        Self { addresses: None, https: false, is_trusted: false }
    }

    /// Whether it is encrypted. Default: no.
    #[must_use]
    pub const fn https(mut self, https: bool) -> Self {
        self.https = https;
        self
    }

    /// Whether a proxy of ours is on the other side, which is believed what it says of the request: its id, for instance.
    /// Default: no.
    #[must_use]
    pub const fn trusted(mut self, is_trusted: bool) -> Self {
        self.is_trusted = is_trusted;
        self
    }

    /// Whether a proxy of ours is on the other side.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The client's address; `None` over a Unix socket.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.addresses.map(|(remote, _)| remote)
    }

    /// The address that the client connected to; `None` over a Unix socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.addresses.map(|(_, local)| local)
    }

    /// Whether it is encrypted.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }
}
