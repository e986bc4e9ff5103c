//! `fcgi serve`: a folder with a PHP site, over HTTP.

use core::fmt;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fcgi_gateway::Gateway;
use fcgi_gateway::server::Server;
use fcgi_gateway::supervisor::{StartError, Supervisor};
use fcgi_tokio::Address;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Serve a PHP site: static files, scripts, and pretty addresses, over HTTP
///
/// Everything below ROOT is public, except dotfiles, the source of scripts, and backup copies. Addresses that lead
/// to no file go to ROOT/index.php, as WordPress, Laravel and Symfony expect it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    fcgi serve /usr/share/wordpress\n  \
    fcgi serve public --listen 0.0.0.0:8080 --fpm unix:/run/php/php-fpm.sock\n\n\
    Stop it with Ctrl-C or SIGTERM: answers under way may end first; a second one stops at once.\n\
    Set RUST_LOG=debug to see more.")]
pub(crate) struct ServeArgs {
    /// Folder of the site, usually the one with index.php
    root: PathBuf,

    /// Where to listen for HTTP; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,

    /// PHP-FPM that is running already: HOST:PORT or unix:/PATH
    ///
    /// Without it, the php-fpm or php-cgi that is installed on this machine is started just for this site, and stopped
    /// with it.
    #[arg(long, value_name = "ADDR")]
    fpm: Option<Address>,

    /// Answer 504 when PHP makes no progress for so long; 0 waits for ever
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    timeout: Duration,

    /// Threads of the server itself; PHP has its own processes [default: one per core]
    #[arg(long, value_name = "THREADS")]
    workers: Option<NonZeroUsize>,
}

impl ServeArgs {
    /// The runtime that `--workers` asks for.
    pub(crate) fn runtime(&self) -> io::Result<Runtime> {
        match self.workers.map(NonZeroUsize::get) {
            // One thread needs no scheduler that moves tasks between threads.
            Some(1) => Builder::new_current_thread().enable_all().build(),
            Some(threads) => {
                Builder::new_multi_thread().worker_threads(threads).enable_all().build()
            }
            None => Builder::new_multi_thread().enable_all().build(),
        }
    }
}

/// Runs until a signal arrives.
pub(crate) async fn run(args: ServeArgs) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Runtime)?;
    let ServeArgs { root, listen, fpm, timeout, workers: _ } = args;
    check_root(&root)?;
    // Before PHP is started: a port in use is found at once.
    let server = Server::bind(&listen)
        .await
        .map_err(|source| ServeError::Listen { address: listen, source })?;
    let php = match &fpm {
        Some(_) => None,
        None => Some(start_php(&root, &mut signals).await?),
    };
    let Some(address) = fpm.or_else(|| php.as_ref().map(|php| php.address().clone())) else {
        return Ok(()); // not reached: one of the two is there
    };
    let result = serve(&root, server, address, timeout, &mut signals).await;
    if let Some(php) = php {
        php.stop().await;
    }
    result
}

async fn serve(
    root: &Path,
    server: Server,
    address: Address,
    timeout: Duration,
    signals: &mut Signals,
) -> Result<(), ServeError> {
    let gateway = Gateway::builder(root)
        .fpm(address)
        .timeout(timeout)
        .build()
        .map_err(|error| ServeError::Site(error.to_string()))?;
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "running as root: files of the site that only root may read are served as well; better run it as the site's user"
        );
    }
    let local = server.local_addr().map_err(ServeError::Runtime)?;
    // Whoever started us may have closed our output; that is no reason not to serve.
    let _ = writeln!(io::stdout(), "serving {} at http://{local}", root.display());
    let _ = io::stdout().flush();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = server.run(gateway, async { drop(stopped.await) });
    let twice = async {
        signals.next().await;
        tracing::info!("stopping as soon as the answers under way have ended");
        let _ = stop.send(());
        signals.next().await;
        tracing::info!("stopping at once");
    };
    tokio::select! {
        () = running => {}
        () = twice => {}
    }
    Ok(())
}

/// A signal while PHP starts ends the start.
async fn start_php(root: &Path, signals: &mut Signals) -> Result<Supervisor, ServeError> {
    tokio::select! {
        php = Supervisor::start(root) => php.map_err(ServeError::Php),
        () = signals.next() => Err(ServeError::Interrupted),
    }
}

fn check_root(root: &Path) -> Result<(), ServeError> {
    match root.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(ServeError::Site(format!(
            "{} is not a folder; ROOT is the folder of the site",
            root.display()
        ))),
        Err(error) => Err(ServeError::Site(format!(
            "cannot open the site's folder {}: {error}",
            root.display()
        ))),
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whole or fractional seconds.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "expected a number of seconds that is not negative".to_owned())
}

/// Why `fcgi serve` did not start.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// The folder of the site.
    Site(String),
    /// The address to listen on.
    Listen { address: String, source: io::Error },
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
            Self::Site(message) => f.write_str(message),
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str("; another program listens there, choose another port with --listen (0 for a free one)")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str("; ports below 1024 need more rights, try --listen 127.0.0.1:8080"),
                    io::ErrorKind::InvalidInput => f.write_str("; expected HOST:PORT, such as 127.0.0.1:8080"),
                    _ => Ok(()),
                }
            }
            Self::Php(error) => error.fmt(f),
            Self::Interrupted => f.write_str("stopped before PHP was ready"),
            Self::Runtime(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {}
