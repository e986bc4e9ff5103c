//! Why `fcgi serve` ends other than by a signal.

use core::fmt;
use std::io;

use fcgi_gateway::supervisor::StartError;

/// Why `fcgi serve` did not start.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// The file with settings.
    Config(String),
    /// The folder of the site.
    Site(String),
    /// The address to listen on.
    Listen { address: String, source: io::Error },
    /// The address for operators.
    OpsListen { address: String, source: io::Error },
    /// The address of the developer's page.
    DevListen { address: String, source: io::Error },
    /// The rights of another user.
    Rights(io::Error),
    /// PHP.
    Php(StartError),
    /// A signal came before everything was ready.
    Interrupted,
    /// The system refused something basic.
    Runtime(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message) | Self::Site(message) => f.write_str(message),
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str("; another program listens there, choose another port with --listen (0 for a free one)")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str("; ports below 1024 need more rights, try --listen 127.0.0.1:8080"),
                    io::ErrorKind::AddrNotAvailable => f.write_str("; no interface of this machine has that address, 0.0.0.0 stands for all"),
                    _ => Ok(()),
                }
            }
            Self::OpsListen { address, source } => {
                write!(
                    f,
                    "cannot show health and metrics on {address}: {source}; --ops-listen chooses another HOST:PORT (127.0.0.1:0 a free port)"
                )
            }
            Self::DevListen { address, source } => {
                write!(
                    f,
                    "cannot show the developer's page on {address}: {source}; --dev-listen chooses another HOST:PORT (127.0.0.1:0 a free port)"
                )
            }
            Self::Rights(error) => {
                write!(
                    f,
                    "cannot give up root for the user that was named: {error}; a container or a sandbox may forbid it \
                     (CAP_SETUID and CAP_SETGID)"
                )
            }
            Self::Php(error) => error.fmt(f),
            Self::Interrupted => f.write_str("stopped before PHP was ready"),
            Self::Runtime(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {}
