//! Certificates.

use core::fmt;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

/// TLS with a certificate, for a [`Listener`](super::Listener). Clients choose between HTTP/2 and HTTP/1.1 (ALPN).
///
/// TLS 1.2 and 1.3 are spoken, as rustls does by default. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    certificate: Arc<Certificate>,
}

impl Tls {
    /// A certificate with its chain, and its private key, as PEM files such as `fullchain.pem` and `privkey.pem`.
    ///
    /// They are read now, and again when they have changed (looked after every ten seconds, as clients come), so that
    /// a renewed certificate needs no restart. If the new files cannot be used, the old certificate stays in use, and
    /// the log says so.
    ///
    /// # Errors
    ///
    /// [`TlsError::Files`], [`TlsError::Mismatch`].
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.into(), key: key.into() };
        let changed = files.changed();
        let loaded = Loaded { key: files.load()?, changed, looked: Instant::now() };
        Ok(Self::new(Some(files), loaded))
    }

    /// A certificate made on the spot for these names, and for `localhost`, `127.0.0.1` and `::1`. Browsers warn of it: it
    /// is for development.
    ///
    /// # Errors
    ///
    /// [`TlsError::SelfSigned`]: one of the names cannot be in a certificate.
    pub fn self_signed<S: Into<String>>(
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, TlsError> {
        let mut all = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        all.extend(names.into_iter().map(Into::into));
        let made = rcgen::generate_simple_self_signed(all)
            .map_err(|error| TlsError::SelfSigned(error.to_string()))?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| TlsError::SelfSigned(error.to_owned()))?;
        let key =
            CertifiedKey::from_der(vec![made.cert.der().clone()], key, &ring::default_provider())
                .map_err(|error| TlsError::SelfSigned(error.to_string()))?;
        let loaded = Loaded { key: Arc::new(key), changed: None, looked: Instant::now() };
        Ok(Self::new(None, loaded))
    }

    fn new(files: Option<Files>, loaded: Loaded) -> Self {
        Self { certificate: Arc::new(Certificate { files, loaded: Mutex::new(loaded) }) }
    }

    /// Reads the files again, now. A self-signed certificate stays as it is.
    ///
    /// # Errors
    ///
    /// As [`from_files`](Self::from_files); the old certificate then stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(files) = &self.certificate.files else { return Ok(()) };
        let changed = files.changed();
        let key = files.load()?;
        *self.certificate.loaded() = Loaded { key, changed, looked: Instant::now() };
        Ok(())
    }

    pub(super) fn acceptor(&self, http2: bool) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has all default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.certificate) as Arc<dyn ResolvesServerCert>);
        if http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        TlsAcceptor::from(Arc::new(config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.certificate.files).finish_non_exhaustive()
    }
}

/// The certificate in use.
struct Certificate {
    files: Option<Files>,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    key: Arc<CertifiedKey>,
    changed: Option<(SystemTime, SystemTime)>,
    looked: Instant,
}

/// How often the files are looked after.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Certificate {
    fn loaded(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate as it is on disk now.
    fn current(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut loaded = self.loaded();
        if let Some(files) = &self.files {
            if now.saturating_duration_since(loaded.looked) >= LOOK_AGAIN {
                loaded.looked = now;
                let changed = files.changed();
                if changed != loaded.changed {
                    // Also after a failure, or the log would repeat it.
                    loaded.changed = changed;
                    match files.load() {
                        Ok(key) => {
                            loaded.key = key;
                            tracing::info!(file = %files.certificate.display(), "certificate renewed");
                        }
                        Err(error) => tracing::error!("{error}; the old certificate stays in use"),
                    }
                }
            }
        }
        Arc::clone(&loaded.key)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(Instant::now()))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn changed(&self) -> Option<(SystemTime, SystemTime)> {
        let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
        Some((changed(&self.certificate)?, changed(&self.key)?))
    }

    fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let provider: CryptoProvider = ring::default_provider();
        let pem = read(&self.certificate)?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain =
            chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| TlsError::Files {
                path: self.certificate.clone(),
                problem: "holds no certificate in PEM form".into(),
            })?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|_| TlsError::Files {
                path: self.key.clone(),
                problem:
                    "holds no private key in PEM form (keys with a passphrase are not supported)"
                        .into(),
            })?;
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(key) => Ok(Arc::new(key)),
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            }),
            Err(error) => Err(TlsError::Files {
                path: self.certificate.clone(),
                problem: format!("cannot be used: {error}"),
            }),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error: io::Error| TlsError::Files {
        path: path.to_owned(),
        problem: format!("cannot be read: {error}"),
    })
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or used.
    Files {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key is not the certificate's.
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A certificate for these names cannot be made.
    SelfSigned(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { path, problem } => write!(f, "the TLS file {} {problem}", path.display()),
            Self::Mismatch { certificate, key } => write!(
                f,
                "the private key in {} is not that of the certificate in {}",
                key.display(),
                certificate.display()
            ),
            Self::SelfSigned(problem) => write!(f, "cannot make a certificate: {problem}"),
        }
    }
}

impl core::error::Error for TlsError {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pems {
        folder: tempfile::TempDir,
    }

    impl Pems {
        fn new() -> Self {
            let pems = Self { folder: tempfile::tempdir().unwrap() };
            pems.write();
            pems
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self) {
            let made = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap();
            std::fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
            std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        }

        fn tls(&self) -> Result<Tls, TlsError> {
            Tls::from_files(self.path("cert.pem"), self.path("key.pem"))
        }
    }

    #[test]
    fn what_is_wrong_with_files() {
        let pems = Pems::new();
        assert!(pems.tls().is_ok());
        let certificate = std::fs::read(pems.path("cert.pem")).unwrap();
        pems.write();
        std::fs::write(pems.path("cert.pem"), certificate).unwrap();
        assert!(matches!(pems.tls(), Err(TlsError::Mismatch { .. })));
        std::fs::write(pems.path("cert.pem"), "no PEM").unwrap();
        let error = pems.tls().unwrap_err().to_string();
        assert!(error.contains("cert.pem holds no certificate"), "{error}");
        std::fs::remove_file(pems.path("key.pem")).unwrap();
        pems.write();
        std::fs::write(pems.path("key.pem"), "no PEM").unwrap();
        let error = pems.tls().unwrap_err().to_string();
        assert!(error.contains("key.pem holds no private key"), "{error}");
        std::fs::remove_file(pems.path("key.pem")).unwrap();
        let error = pems.tls().unwrap_err().to_string();
        assert!(error.contains("key.pem cannot be read: No such file"), "{error}");
    }

    #[test]
    fn changed_files_are_read_again() {
        let pems = Pems::new();
        let tls = pems.tls().unwrap();
        let first = tls.certificate.current(Instant::now());
        pems.write();
        let later = Instant::now() + LOOK_AGAIN;
        // A file system's clock may be coarse.
        let file = std::fs::File::options().write(true).open(pems.path("key.pem")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
        assert!(Arc::ptr_eq(&first, &tls.certificate.current(Instant::now())), "not looked yet");
        let second = tls.certificate.current(later);
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(pems.path("cert.pem"), "broken").unwrap();
        assert!(tls.reload().is_err());
        assert!(Arc::ptr_eq(&second, &tls.certificate.current(later)), "the old one stays");
    }

    #[test]
    fn names() {
        assert!(Tls::self_signed(["site.example", "10.0.0.1"]).is_ok());
        assert!(matches!(Tls::self_signed(["no\u{fc}n-ascii"]), Err(TlsError::SelfSigned(_))));
    }
}
