//! How a gateway is set up.

use core::fmt;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcgi_proto::AddressError;
use fcgi_proto::cgi::PhpSettings;
use fcgi_tokio::{Address, Client, Timeouts};

use crate::Gateway;
use crate::folder::Folder;
use crate::gateway::{Inner, Target};
use crate::proxy::Variables;
use crate::routing::Rules;

/// Settings of a [`Gateway`] to come; see [`Gateway::builder`] and [`Gateway::to_application`].
#[derive(Debug)]
#[must_use = "nothing is served until `build`"]
pub struct Builder {
    root: Option<PathBuf>,
    application: Result<Option<Address>, AddressError>,
    rules: Rules,
    follow_root: bool,
    variables: Variables,
    timeout: Option<Duration>,
    spool_memory: usize,
    spool_limit: u64,
    body_timeout: Option<Duration>,
    server_software: String,
}

impl Builder {
    pub(crate) fn new(root: Option<&Path>) -> Self {
        Self {
            root: root.map(Path::to_owned),
            application: Ok(None),
            rules: Rules::default(),
            follow_root: false,
            variables: Variables::default(),
            timeout: Some(Duration::from_secs(60)),
            spool_memory: 256 * 1024,
            spool_limit: 128 * 1024 * 1024,
            body_timeout: Some(Duration::from_secs(30)),
            server_software: SERVER_SOFTWARE.to_owned(),
        }
    }

    /// Where the application listens: PHP-FPM, or another FastCGI application. Takes an [`Address`], or text such as
    /// `127.0.0.1:9000` and `unix:/run/php/php-fpm.sock`.
    pub fn fpm<A>(mut self, address: A) -> Self
    where
        A: TryInto<Address>,
        A::Error: Into<AddressError>,
    {
        self.application = address.try_into().map(Some).map_err(Into::into);
        self
    }

    /// The only name that is tried in a folder; when it is a script that lies in the document root, it is also the front
    /// controller. Default: `index.php`, then `index.html`. See [`Rules::index`] for several names.
    pub fn index(self, name: impl Into<String>) -> Self {
        self.rules(Rules::default().index([name.into()]))
    }

    /// All settings of the routing.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Where the application sees the document root, when that is another path than ours: in a container, on another
    /// machine, in a chroot. DOCUMENT_ROOT and SCRIPT_FILENAME are made of it. Default: the document root, links resolved.
    ///
    /// Scripts are still looked for in the document root, so both must hold the same files.
    pub fn application_root(mut self, path: impl Into<PathBuf>) -> Self {
        self.variables.root = Some(path.into());
        self
    }

    /// Resolves the links in the path of the document root with every request, not once at the start. Default: no.
    ///
    /// For deployments that swap a link to a new release: each request sees one release from its first file to its last,
    /// and PHP, which remembers scripts by their real path, the new one from its first request on. Costs a few
    /// microseconds each.
    pub fn follow_root(mut self, follow: bool) -> Self {
        self.follow_root = follow;
        self
    }

    /// Sets a variable that the application gets with every request, in place of what it would be.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.changes.push((name.into(), Some(value.into())));
        self
    }

    /// Leaves out a variable that the application would get, such as `HTTP_ACCEPT_ENCODING`.
    pub fn unset_param(mut self, name: impl Into<String>) -> Self {
        self.variables.changes.push((name.into(), None));
        self
    }

    /// Settings of php.ini that are sent with every request. Read at [`PhpSettings`] what PHP-FPM does with them
    /// afterwards: it keeps them for whatever its process serves next.
    pub fn php_settings(mut self, settings: PhpSettings) -> Self {
        self.variables.php_settings = settings;
        self
    }

    /// How long the application may make no progress: accept a connection, take more of the body, begin its answer, or
    /// send more of it. Before the head of the answer the client then gets a 504, later a visibly cut response.
    /// Default: 60 s. `None` or zero waits for ever.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How much of a request body of unknown length is kept in memory before a temporary file is used, in bytes.
    /// Default: 256 KiB. Each such request may take that much.
    pub fn spool_memory(mut self, bytes: usize) -> Self {
        self.spool_memory = bytes;
        self
    }

    /// How long a request body of unknown length may be, in bytes; more is answered with 413. Default: 128 MiB.
    ///
    /// Bodies that announce their length are streamed and need no space here; how long they may be is for the
    /// application to say (`post_max_size` of PHP).
    pub fn spool_limit(mut self, bytes: u64) -> Self {
        self.spool_limit = bytes;
        self
    }

    /// How long a client may send nothing in the middle of a request body, before it gets a 408. Default: 30 s; nginx's
    /// `client_body_timeout` is 60 s. `None` or zero waits for ever.
    ///
    /// Shorter than [`timeout`](Self::timeout), or a client that stalls is taken for an application that does.
    pub fn body_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.body_timeout = timeout.into().filter(|timeout| !timeout.is_zero());
        self
    }

    /// What scripts see as SERVER_SOFTWARE. Default: `fcgi-gateway/0.1.0 (like nginx)`.
    ///
    /// WordPress offers permalinks without `index.php` only to servers it knows, by a part of this name.
    pub fn server_software(mut self, name: impl Into<String>) -> Self {
        self.server_software = name.into();
        self
    }

    /// The gateway. The document root is resolved now, once, unless [`follow_root`](Self::follow_root) says otherwise.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]. Whether the application is there shows with the first request.
    pub fn build(self) -> Result<Gateway, BuildError> {
        let address =
            self.application.map_err(BuildError::Address)?.ok_or(BuildError::NoApplication)?;
        let target = match self.root {
            None => Target::Application,
            Some(path) => {
                let folder = Folder::open(&path, self.follow_root)
                    .map_err(|source| BuildError::Root { path, source })?;
                Target::Site { folder, rules: self.rules }
            }
        };
        let timeouts = Timeouts::NONE
            .with_connect(self.timeout)
            .with_first_byte(self.timeout)
            .with_idle(self.timeout);
        Ok(Gateway::new(Arc::new(Inner {
            target,
            variables: self.variables,
            client: Client::new(address).timeouts(timeouts),
            spool_memory: self.spool_memory,
            spool_limit: self.spool_limit,
            body_timeout: self.body_timeout,
            server_software: self.server_software,
        })))
    }
}

const SERVER_SOFTWARE: &str = concat!("fcgi-gateway/", env!("CARGO_PKG_VERSION"), " (like nginx)");

/// Why there is no gateway.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The document root is not there, is not a folder, or may not be entered.
    Root {
        /// The document root as given.
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
