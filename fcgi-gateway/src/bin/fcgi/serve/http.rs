//! The side of the clients: listeners, TLS, and limits.

use fcgi_gateway::Builder;
use fcgi_gateway::server::Server;
use serde::Deserialize;

use super::error::ServeError;
use super::port;
use super::value;

/// Settings of the HTTP server: `[http]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", env = "FCGI_LISTEN", hide_env_values = true)]
    pub(crate) listen: Option<String>,
}

impl HttpArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(self, fallback: listen)
    }

    /// Listens. Without an address it is 8080 of this machine, or when that is taken the next port that is free.
    pub(crate) async fn bind(&self) -> Result<Server, ServeError> {
        let listening = match &self.listen {
            Some(address) => Server::bind(address).await,
            None => {
                port::first_free(port::USUAL, async |address| Server::bind(address).await).await
            }
        };
        let address = self.listen.as_deref().unwrap_or("127.0.0.1:8080").to_owned();
        let server = listening.map_err(|source| ServeError::Listen { address, source })?;
        Ok(self.apply(server))
    }

    fn apply(&self, server: Server) -> Server {
        server
    }

    /// The limits that are the gateway's, such as those on bodies.
    pub(crate) fn apply_to_gateway(&self, gateway: Builder) -> Builder {
        gateway
    }
}
