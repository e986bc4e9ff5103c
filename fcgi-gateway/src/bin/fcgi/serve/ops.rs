//! What operators see: metrics, the access log, the developer's page.

use core::num::NonZeroUsize;
use core::str::FromStr;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;

use fcgi_gateway::observe::{AccessLog, LogFile, LogFormat, Metrics};
use fcgi_gateway::operations::Operations;
use fcgi_gateway::server::{Config, Server, Workers};
use fcgi_gateway::sites::Table;
use fcgi_gateway::{Builder, Gateway};
use rustix::fs::Access;
use serde::{Deserialize, Deserializer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::account::Account;
use super::dev::DevPage;
use super::endpoint::HostPort;
use super::error::ServeError;
use super::value::{self, Amount};

/// Settings of running it: `[ops]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Operations")]
pub(crate) struct OpsArgs {
    /// Threads of the server itself, at most 256; PHP has its own processes [default: one per core]
    #[arg(long, value_name = "THREADS")]
    pub(crate) workers: Option<Threads>,

    /// Once the ports are open, give up root for the rights of this user, USER or USER:GROUP, which PHP gets too
    #[arg(long, value_name = "USER")]
    #[serde(deserialize_with = "value::text")]
    pub(crate) user: Option<Account>,

    /// Answer /healthz, /readyz and /metrics (Prometheus) here, for the operator's network alone
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(deserialize_with = "value::text")]
    pub(crate) ops_listen: Option<HostPort>,

    /// Write a line for every request to this file, - for standard output; SIGUSR1 and SIGHUP open it again
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,

    /// How these lines look: common, combined or json [default: combined]
    #[arg(long, value_name = "FORMAT", hide_short_help = true)]
    #[serde(deserialize_with = "value::text")]
    pub(crate) access_log_format: Option<LogFormat>,

    /// Whether requests get an id, for PHP (HTTP_X_REQUEST_ID), logs, and the answer (X-Request-Id) [default: true]
    #[arg(long, value_name = "BOOL", hide_possible_values = true, hide_short_help = true)]
    pub(crate) request_ids: Option<bool>,

    /// Whether to begin a trace (W3C traceparent) for requests that have none [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[arg(hide_possible_values = true, hide_short_help = true)]
    pub(crate) begin_traces: Option<bool>,

    /// Show requests live on a page of its own, and causes, PHP's error output and remedies on error pages: for
    /// development, never in public [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub(crate) dev: Option<bool>,

    /// Where --dev shows its page [default: 127.0.0.1:8079, or a free port if that is taken]
    #[arg(long, value_name = "HOST:PORT", hide_short_help = true)]
    #[serde(deserialize_with = "value::text")]
    pub(crate) dev_listen: Option<HostPort>,
}

impl OpsArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(
            self, fallback: workers, user, ops_listen, access_log, access_log_format, request_ids, begin_traces, dev, dev_listen,
        )
    }

    /// Paths start from this folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        if let Some(path) = self.access_log.as_mut().filter(|path| path.as_os_str() != "-") {
            *path = folder.join(&path);
        }
    }

    /// Finds what would keep it from starting, without a port or a file.
    pub(super) fn check(&self) -> Result<(), ServeError> {
        self.user.as_ref().map(Account::look_up).transpose()?;
        match &self.access_log {
            Some(path) if path.as_os_str() != "-" => {
                check_log(path).map_err(|error| log_error(path, &error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn apply(&self, gateway: Builder) -> Builder {
        gateway
            .request_ids(self.request_ids.unwrap_or(true))
            .begin_traces(self.begin_traces.unwrap_or(false))
            .development(self.dev.unwrap_or(false))
    }

    /// What differs and is only read at the start.
    pub(super) fn needs_restart(&self, new: &Self) -> Vec<String> {
        value::changed!(
            self, new: workers, user, ops_listen, access_log, access_log_format, dev, dev_listen,
        )
    }

    /// The threads that serve, if it is not the one that accepts.
    pub(crate) fn start_workers(&self) -> io::Result<Option<Workers>> {
        let threads = match self.workers {
            Some(Threads(threads)) => threads,
            None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        (threads.get() > 1).then(|| Workers::start(threads)).transpose()
    }
}

/// What watches over all sites, from the start to the end.
#[derive(Debug, Default)]
pub(super) struct Ops {
    log: Option<(LogFormat, LogFile)>,
    port: Option<Port>,
    dev: Option<DevPage>,
}

#[derive(Debug)]
struct Port {
    metrics: Metrics,
    operations: Operations,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Ops {
    /// Opens the log and the ports. `site` says what is served.
    pub(super) async fn start(args: &OpsArgs, site: String) -> Result<Self, ServeError> {
        let mut ops = Self::default();
        if let Some(path) = &args.access_log {
            let file =
                if path.as_os_str() == "-" { LogFile::stdout() } else { LogFile::open(path) };
            let file = file.map_err(|error| log_error(path, &error))?;
            tokio::spawn(reopen(file.clone()));
            ops.log = Some((args.access_log_format.unwrap_or_default(), file));
        }
        if let Some(address) = &args.ops_listen {
            ops.port = Some(Port::open(address).await?);
        }
        if args.dev.unwrap_or(false) {
            ops.dev = Some(DevPage::open(args.dev_listen.as_ref(), site).await?);
        }
        Ok(ops)
    }

    /// Watches a site.
    pub(super) fn apply(&self, mut gateway: Builder) -> Builder {
        if let Some((format, file)) = &self.log {
            gateway = gateway.observe(AccessLog::new(*format, file.clone()));
        }
        if let Some(port) = &self.port {
            gateway = gateway.observe(port.metrics.clone());
        }
        match &self.dev {
            Some(page) => page.apply(gateway),
            None => gateway,
        }
    }

    /// Watches what no site answers.
    pub(super) fn apply_to_table(&self, mut table: Table) -> Table {
        if let Some((format, file)) = &self.log {
            table = table.observe(AccessLog::new(*format, file.clone()));
        }
        if let Some(port) = &self.port {
            table = table.observe(port.metrics.clone());
        }
        table
    }

    /// Watches what the server answers itself.
    pub(super) fn apply_to_server(&self, mut server: Server) -> Server {
        if let Some((format, file)) = &self.log {
            server = server.observe(AccessLog::new(*format, file.clone()));
        }
        if let Some(port) = &self.port {
            server = server.observe(port.metrics.clone());
        }
        server
    }

    /// These are the sites now.
    pub(super) fn set_gateways(&self, gateways: impl IntoIterator<Item = Gateway>) {
        let gateways = Vec::from_iter(gateways);
        if let Some(port) = &self.port {
            port.operations.set_gateways(gateways.clone());
        }
        if let Some(page) = &self.dev {
            page.set_gateways(gateways);
        }
    }

    /// Where the developer's page is.
    pub(super) fn dev_page(&self) -> Option<SocketAddr> {
        self.dev.as_ref().map(DevPage::address)
    }

    /// Says that no more requests are welcome.
    pub(super) fn drain(&self) {
        if let Some(port) = &self.port {
            port.operations.drain();
        }
    }

    /// Once nothing is served any more.
    pub(super) async fn stop(self) {
        if let Some((_, file)) = self.log {
            // The thread that writes may be behind.
            let _ = tokio::task::spawn_blocking(move || file.flush()).await;
        }
        if let Some(port) = self.port {
            let _ = port.stop.send(());
            let _ = port.serving.await;
        }
    }
}

impl Port {
    async fn open(address: &HostPort) -> Result<Self, ServeError> {
        let listen_error = |source| ServeError::OpsListen { address: address.to_string(), source };
        let server = Server::bind(address.as_str()).await.map_err(listen_error)?;
        let local = server.local_addr().map_err(ServeError::Runtime)?;
        tracing::info!("health and metrics at http://{local}/readyz and http://{local}/metrics");
        let metrics = Metrics::new();
        let operations = Operations::new(metrics.clone(), []);
        let (stop, stopped) = oneshot::channel();
        let config = Config::default().drain_time(core::time::Duration::from_secs(1));
        let server = server.config(config);
        let serving = server.run(operations.clone(), async { drop(stopped.await) });
        Ok(Self { metrics, operations, stop, serving: tokio::spawn(serving) })
    }
}

fn log_error(path: &Path, error: &io::Error) -> ServeError {
    ServeError::Config(format!("cannot write the access log {}: {error}", path.display()))
}

/// Whether a log could be written, without making one.
fn check_log(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            rustix::fs::access(
                folder.unwrap_or(Path::new(".")),
                Access::WRITE_OK | Access::EXEC_OK,
            )?;
            Ok(())
        }
        opened => opened.map(drop),
    }
}

/// Opens the log again whenever a signal says so.
async fn reopen(file: LogFile) {
    let signals = (signal(SignalKind::user_defined1()), signal(SignalKind::hangup()));
    let (Ok(mut user), Ok(mut hangup)) = signals else { return };
    loop {
        let more = tokio::select! {
            more = user.recv() => more,
            more = hangup.recv() => more,
        };
        if more.is_none() {
            return;
        }
        file.reopen();
    }
}

/// A number of threads that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads(NonZeroUsize);

impl Threads {
    /// More than any machine has use for: the work of a gateway is small, and each thread takes memory.
    const MOST: usize = 256;
}

impl Amount for Threads {
    const EXPECTED: &str = "a number of threads from 1 to 256";
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let threads = text.parse::<NonZeroUsize>().ok();
        let threads = threads.filter(|threads| threads.get() <= Self::MOST);
        threads.map(Self).ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        value::amount(deserializer)
    }
}
