//! The side of the clients: listeners, TLS, and limits.

use fcgi_gateway::Builder;
use fcgi_gateway::server::Server;
use serde::Deserialize;

use super::error::ServeError;
use super::value;

/// Settings of the HTTP server: `[http]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", env = "FCGI_LISTEN")]
    pub(crate) listen: Option<String>,
}

impl HttpArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(self, fallback: listen)
    }

    /// Listens.
    pub(crate) async fn bind(&self) -> Result<Server, ServeError> {
        let address = self.listen.as_deref().unwrap_or("127.0.0.1:8080");
        let listening = Server::bind(address).await;
        let server = listening
            .map_err(|source| ServeError::Listen { address: address.to_owned(), source })?;
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
