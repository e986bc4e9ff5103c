//! The side of the clients: listeners, TLS, and limits.

use core::num::NonZeroUsize;
use std::io;
use std::path::PathBuf;

use fcgi_gateway::Builder;
use fcgi_gateway::server::{Config, Listener, Server, Tls};
use fcgi_proto::cgi::TrustedProxies;
use serde::Deserialize;

use super::endpoint::{Endpoint, HostPort};
use super::error::ServeError;
use super::open_files;
use super::port;
use super::size::Size;
use super::trusted::{self, ProxyHeader};
use super::value::{self, Seconds};

/// Settings of the HTTP server: `[http]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    /// Where to listen: HOST:PORT, or unix:/PATH for a web server on this machine; may be given several times [default:
    /// 127.0.0.1:8080, or the next free port]
    ///
    /// Port 0 takes a free one. Sockets that systemd passes on come before the default.
    #[arg(long, value_name = "ADDR", env = "FCGI_LISTEN", hide_env_values = true)]
    #[serde(deserialize_with = "value::some_texts")]
    pub(crate) listen: Option<Vec<Endpoint>>,

    /// Speak HTTPS with this certificate and its chain, a PEM file; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Speak HTTPS with a certificate made on the spot, of which browsers warn: for development
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, conflicts_with = "tls_cert")]
    pub(crate) tls_self_signed: Option<bool>,

    /// With HTTPS: listen here as well, and redirect everybody to the HTTPS address
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "value::text")]
    pub(crate) redirect_from: Option<HostPort>,

    /// Believe what proxies in this network say about the client (192.0.2.0/24, an address, or `unix`); may be given
    /// several times
    #[arg(long, value_name = "NETWORK")]
    #[serde(deserialize_with = "value::texts")]
    pub(crate) trusted_proxy: Option<Vec<String>>,

    /// Which header they set: x-forwarded-for, forwarded or x-real-ip [default: x-forwarded-for]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    #[serde(deserialize_with = "value::text")]
    pub(crate) proxy_header: Option<ProxyHeader>,

    /// Take the client's address from the PROXY protocol, version 1 or 2, which --trusted-proxy must then speak; it comes
    /// before HTTP and TLS [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, hide_short_help = true)]
    pub(crate) proxy_protocol: Option<bool>,

    /// Whether to speak HTTP/2 as well [default: true]
    #[arg(long, value_name = "BOOL", hide_possible_values = true, hide_short_help = true)]
    pub(crate) http2: Option<bool>,

    /// Most requests that a connection of HTTP/2 may have open at once [default: 100]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_streams: Option<u32>,

    /// Close a connection of HTTP/2 that takes back so many more requests than it lets be answered [default: 200]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_resets: Option<u32>,

    /// Longest request body; longer ones get 413 [default: 128M when its length is not announced, else what PHP accepts]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_body: Option<Size>,

    /// Slowest request body, in bytes per second over 30 s; slower ones get 408, and 0 allows all [default: 500]
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) min_body_rate: Option<u32>,

    /// Answer 408 when nothing of a request body comes for so long; 0 waits for ever [default: 30]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) body_timeout: Option<Seconds>,

    /// Memory for request bodies of a site that are received before PHP is asked: those of up to 64K, and the beginnings of
    /// those of unknown length; where it is full, the former are passed on as they come, and the latter go on in
    /// temporary files [default: 2M]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) body_memory: Option<Size>,

    /// Keep so much of an answer in memory for a client that is slow to take it, so that PHP is free for others; the rest goes
    /// to a temporary file, and 0 reads no more than the client takes [default: 1M]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) response_buffer: Option<Size>,

    /// Memory for what is read ahead of slow clients, for all answers of a site together [default: 32M]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) response_memory: Option<Size>,

    /// Temporary files, in TMPDIR or else /tmp, for what finds no room there, for all answers of a site together
    /// [default: 1G]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) response_disk: Option<Size>,

    /// Most request bodies of unknown length at once; more get 503 [default: 256]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_spools: Option<usize>,

    /// Receive request bodies in full before PHP is asked, also those of known length [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, hide_short_help = true)]
    pub(crate) buffer_bodies: Option<bool>,

    /// Compress answers for clients that ask for it; read in the documentation when not to (BREACH) [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub(crate) compress: Option<bool>,

    /// Longest head of a request, all header fields together; longer ones get 431 [default: 64K]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) max_head: Option<Size>,

    /// Most header fields of a request; more get 431 [default: 100]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_headers: Option<usize>,

    /// Longest address of a request; longer ones get 414 [default: 16K]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) max_uri: Option<Size>,

    /// Most connections of clients at once; then idle ones are closed, and new ones wait
    ///
    /// Each takes two open files; their limit is raised as far as it goes. [default: 20000, or as many as there are files for]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_clients: Option<NonZeroUsize>,

    /// Close a connection when the head of a request takes longer [default: 30]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) head_timeout: Option<Seconds>,

    /// Close a connection that is idle for longer [default: 75]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) keep_alive_timeout: Option<Seconds>,

    /// Close a connection whose client takes nothing of an answer for so long; 0 waits for ever [default: 60]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) write_timeout: Option<Seconds>,

    /// When stopping, wait so long for the rest of requests [default: 5]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) grace_timeout: Option<Seconds>,

    /// When stopping, wait so long for answers under way [default: 30]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) drain_timeout: Option<Seconds>,
}

impl HttpArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(
            self, fallback: listen, tls_cert, tls_key, tls_self_signed, redirect_from, trusted_proxy, proxy_header, proxy_protocol,
            http2, max_streams, max_resets, max_body, min_body_rate, body_timeout, body_memory, response_buffer,
            response_memory, response_disk, max_spools, buffer_bodies, compress, max_head, max_headers, max_uri, max_clients,
            head_timeout, keep_alive_timeout, write_timeout, grace_timeout, drain_timeout,
        )
    }

    /// Listens. Without an address it is 8080 of this machine, or when that is taken the next port that is free.
    ///
    /// The certificate comes as well, to be read again when asked for.
    pub(crate) async fn bind(&self) -> Result<(Server, Option<Tls>), ServeError> {
        self.check_together()?;
        let tls = self.tls()?;
        let mut listeners = Vec::new();
        match &self.listen {
            Some(addresses) => {
                for address in addresses {
                    listeners.push(bind(address).await?);
                }
            }
            None => {
                let inherited = Listener::inherited();
                listeners = inherited.map_err(|source| listen_error("LISTEN_FDS", source))?;
                if listeners.is_empty() {
                    let free = port::first_free(port::USUAL, async |address| {
                        Listener::bind(address).await
                    });
                    listeners
                        .push(free.await.map_err(|source| listen_error("127.0.0.1:8080", source))?);
                }
            }
        }
        if let Some(tls) = &tls {
            listeners = listeners.into_iter().map(|listener| listener.tls(tls.clone())).collect();
        }
        if let Some(address) = &self.redirect_from {
            let to = listeners.iter().find_map(|listener| listener.local_addr().ok());
            let port = to.map_or(443, |address| address.port());
            let from = Endpoint::Port(address.clone());
            listeners.push(bind(&from).await?.redirect_to_https(port));
        }
        if let Some(proxies) = self.introducing() {
            listeners = listeners
                .into_iter()
                .map(|listener| listener.proxy_protocol(proxies.clone()))
                .collect();
        }
        let mut listeners = listeners.into_iter();
        let Some(first) = listeners.next() else {
            return Err(ServeError::Site("there is nothing to listen on".to_owned()));
        };
        let server = listeners.fold(Server::new(first), Server::listen);
        let max_clients = open_files::allow(self.max_clients, Config::MAX_CONNECTIONS);
        Ok((server.config(self.config().max_connections(max_clients)), tls))
    }

    /// Finds what would keep it from listening, without a port: what does not fit together, and certificates that cannot be
    /// used.
    pub(crate) fn check(&self) -> Result<(), ServeError> {
        self.check_together()?;
        self.tls().map(drop)
    }

    /// What clap finds in flags may also come together from flags and the file.
    pub(super) fn check_together(&self) -> Result<(), ServeError> {
        let has_tls = self.tls_cert.is_some() || self.tls_self_signed == Some(true);
        let problem = if self.tls_cert.is_some() != self.tls_key.is_some() {
            "tls-cert and tls-key belong together"
        } else if self.tls_cert.is_some() && self.tls_self_signed == Some(true) {
            "either tls-cert or tls-self-signed, not both"
        } else if self.redirect_from.is_some() && !has_tls {
            "redirect-from needs HTTPS to redirect to: add tls-cert and tls-key, or tls-self-signed"
        } else if self.proxy_protocol == Some(true) && self.trusted_proxy.is_none() {
            "proxy-protocol needs trusted-proxy: the addresses of those who speak it, as all others could lie"
        } else if let Err(problem) = self.proxies() {
            return Err(ServeError::Site(problem));
        } else {
            return Ok(());
        };
        Err(ServeError::Site(problem.to_owned()))
    }

    fn tls(&self) -> Result<Option<Tls>, ServeError> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::from_files(certificate, key),
            _ if self.tls_self_signed == Some(true) => Tls::self_signed(self.names()),
            _ => return Ok(None),
        };
        tls.map(Some).map_err(|error| ServeError::Site(error.to_string()))
    }

    /// The hosts that are listened on, for a certificate.
    fn names(&self) -> Vec<String> {
        let endpoints = self.listen.iter().flatten();
        let hosts = endpoints.filter_map(|endpoint| match endpoint {
            Endpoint::Port(address) => Some(address.host().to_owned()),
            Endpoint::Unix(_) => None,
        });
        hosts.collect()
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        macro_rules! set {
            ($($field:ident => $setter:ident($value:expr)),* $(,)?) => {
                $(if let Some(value) = self.$field { config = config.$setter($value(value)); })*
            };
        }
        set!(
            http2 => http2(core::convert::identity),
            max_streams => max_streams(core::convert::identity),
            max_resets => max_resets(core::convert::identity),
            max_head => max_head(Size::in_memory),
            max_headers => max_headers(core::convert::identity),
            max_uri => max_uri(Size::in_memory),
            head_timeout => head_time(|Seconds(time)| time),
            keep_alive_timeout => idle_time(|Seconds(time)| time),
            write_timeout => write_timeout(|Seconds(time)| time),
            grace_timeout => grace_time(|Seconds(time)| time),
            drain_timeout => drain_time(|Seconds(time)| time),
        );
        config
    }

    /// Those who are believed about clients, if there are any.
    pub(super) fn proxies(&self) -> Result<Option<TrustedProxies>, String> {
        let trusted = self.trusted_proxy.as_deref();
        trusted.map(|trusted| trusted::proxies(trusted, self.proxy_header)).transpose()
    }

    /// Those who begin with the PROXY protocol.
    fn introducing(&self) -> Option<TrustedProxies> {
        // Checked before.
        self.proxies().ok().flatten().filter(|_| self.proxy_protocol == Some(true))
    }

    /// What differs and is only read at the start.
    pub(super) fn needs_restart(&self, new: &Self) -> Vec<String> {
        let mut changed = value::changed!(
            self, new: listen, tls_cert, tls_key, tls_self_signed, redirect_from, proxy_protocol, http2, max_streams,
            max_resets, max_head, max_headers, max_uri, max_clients, head_timeout, keep_alive_timeout, write_timeout,
            grace_timeout, drain_timeout,
        );
        if self.proxy_protocol == Some(true) && self.trusted_proxy != new.trusted_proxy {
            changed.push("trusted-proxy, for the PROXY protocol".to_owned());
        }
        changed
    }

    /// The limits that are the gateway's, such as those on bodies.
    pub(crate) fn apply_to_gateway(&self, mut gateway: Builder) -> Builder {
        if let Some(Size(bytes)) = self.max_body {
            gateway = gateway.spool_limit(bytes).max_body(bytes);
        }
        if let Some(rate) = self.min_body_rate {
            gateway = gateway.min_body_rate(rate);
        }
        if let Some(Seconds(time)) = self.body_timeout {
            gateway = gateway.body_timeout(time);
        }
        if let Some(size) = self.body_memory {
            gateway = gateway.body_memory(size.in_memory());
        }
        if let Some(size) = self.response_buffer {
            gateway = gateway.response_buffer(size.in_memory());
        }
        if let Some(size) = self.response_memory {
            gateway = gateway.response_memory(size.in_memory());
        }
        if let Some(Size(bytes)) = self.response_disk {
            gateway = gateway.response_disk(bytes);
        }
        if let Some(bodies) = self.max_spools {
            gateway = gateway.max_spools(bodies);
        }
        if let Some(buffer) = self.buffer_bodies {
            gateway = gateway.stream_bodies(!buffer);
        }
        if let Some(compress) = self.compress {
            gateway = gateway.compress(compress);
        }
        // Checked before, at the start and whenever the settings are read again.
        if let Ok(Some(proxies)) = self.proxies() {
            gateway = gateway.trusted_proxies(proxies);
        }
        gateway
    }
}

async fn bind(endpoint: &Endpoint) -> Result<Listener, ServeError> {
    let listening = match endpoint {
        Endpoint::Unix(path) => Listener::bind_unix(path),
        Endpoint::Port(address) => Listener::bind(address.as_str()).await,
    };
    listening.map_err(|source| listen_error(&endpoint.to_string(), source))
}

fn listen_error(address: &str, source: io::Error) -> ServeError {
    ServeError::Listen { address: address.to_owned(), source }
}
