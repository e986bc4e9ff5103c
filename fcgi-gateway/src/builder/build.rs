//! From settings to a gateway.

use core::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fcgi_proto::AddressError;
use fcgi_tokio::Timeouts;

use super::Builder;
use crate::Gateway;
use crate::folder::Folder;
use crate::gateway::{Inner, Target};
use crate::handoff::Handoff;
use crate::upstream::{Settings, Upstreams};

impl Builder {
    /// The gateway. The document root is resolved now, once, unless [`follow_root`](Self::follow_root) says otherwise.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]. Whether the application is there shows with the first request.
    pub fn build(self) -> Result<Gateway, BuildError> {
        if let Some(error) = self.bad_address {
            return Err(BuildError::Address(error));
        }
        if self.addresses.is_empty() {
            return Err(BuildError::NoApplication);
        }
        let mut handoff = Handoff::new(self.symlinks);
        for (prefix, path) in self.accel {
            handoff
                .add_accel(&prefix, &path)
                .map_err(|source| BuildError::Root { path, source })?;
        }
        for path in self.sendfile {
            handoff.add_sendfile(&path).map_err(|source| BuildError::Root { path, source })?;
        }
        let target = match self.root {
            None => Target::Application,
            Some(path) => {
                let folder = Folder::open(&path, self.follow_root, self.symlinks)
                    .map_err(|source| BuildError::Root { path, source })?;
                Target::Site { folder, rules: self.rules }
            }
        };
        let timeouts = Timeouts::NONE
            .with_connect(self.timeout)
            .with_first_byte(self.timeout)
            .with_idle(self.timeout);
        let settings = Settings {
            addresses: self.addresses,
            resolver: self.resolver,
            resolve_interval: self.resolve_interval,
            health: self.health,
        };
        Ok(Gateway::new(Arc::new(Inner {
            target,
            variables: self.variables,
            upstreams: Arc::new(Upstreams::new(settings, self.pool, timeouts)),
            handoff,
            observers: self.observers.into_iter().collect(),
            identify: self.identify,
            trace: self.trace,
            is_development: self.is_development,
            inbound: self.inbound,
            read_ahead: self.read_ahead,
            compresses: self.compresses,
            trusted_proxies: self.trusted_proxies,
            server_software: self.server_software,
        })))
    }
}

/// Why there is no gateway.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The document root, or a folder that scripts may have files of, is not there, is no folder, or may not be entered.
    Root {
        /// The folder as given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// [`Builder::fpm`] was not called.
    NoApplication,
    /// The text given to [`Builder::fpm`] is no address.
    Address(AddressError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root { path, source } => {
                write!(f, "cannot serve the folder {}: {source}", path.display())
            }
            Self::NoApplication => f.write_str("no address of an application was given"),
            Self::Address(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Root { source, .. } => Some(source),
            Self::NoApplication => None,
            Self::Address(error) => Some(error),
        }
    }
}
