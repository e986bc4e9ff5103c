//! Servers with a certificate, and clients who trust it.

use std::sync::Arc;

use fcgi_gateway::server::{Config, Listener, Server, Tls};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::support::Running;

/// A certificate in files, as an operator has one.
pub(crate) struct Certificate {
    pub(crate) folder: tempfile::TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, der: made.cert.der().clone() }
    }

    pub(crate) fn tls(&self) -> Tls {
        let path = self.folder.path();
        Tls::from_files(path.join("cert.pem"), path.join("key.pem")).unwrap()
    }

    pub(crate) async fn server(&self, config: Config) -> Running {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(self.tls());
        Running::run(Server::new(listener).config(config))
    }

    /// A client that trusts it.
    pub(crate) async fn connect(
        &self,
        server: &Running,
        alpn: &[&str],
    ) -> TlsStream<tokio::net::TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect("localhost".try_into().unwrap(), server.connect().await).await.unwrap()
    }
}
