//! `fcgi serve`: a folder with a PHP site, over HTTP.
//!
//! The settings come in groups, one file each. A field of a group is a flag of the command line and a key of the file
//! `fcgi.toml` at once; its default is applied where the group is, in `apply`.
//!
//! From there: [`config`] puts flags and file together, [`plan`] guesses what they leave open, [`running`] has the PHP
//! that the sites need, and this file keeps it all going until a signal comes.

mod account;
mod check;
mod config;
mod dev;
mod endpoint;
mod error;
mod guess;
mod http;
mod open_files;
mod ops;
mod php;
mod plan;
mod port;
mod probe;
mod running;
mod signals;
mod site;
mod size;
mod trusted;
mod upstream;
mod value;

use core::pin::pin;
use std::io::{self, Write};
use std::path::PathBuf;

use fcgi_gateway::server::{Server, Tls, Workers};
use fcgi_gateway::sites::Sites;
use tokio::runtime;

use self::account::Account;
use self::config::Config;
pub(crate) use self::error::ServeError;
use self::http::HttpArgs;
use self::ops::{Ops, OpsArgs};
use self::plan::Site;
use self::running::Running;
use self::signals::{News, Signals};
use self::site::SiteArgs;
use self::upstream::UpstreamArgs;

/// Serve a PHP site: static files, scripts, and pretty addresses, over HTTP
///
/// The public folder of the project is served (public, web, ... or FOLDER itself), except dotfiles, the source of scripts,
/// and backup copies. Addresses that lead to no file go to its index.php, as WordPress, Laravel and Symfony expect it.
/// PHP is started if none runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    fcgi serve                          the project in this folder\n  \
    fcgi serve /usr/share/wordpress\n  \
    fcgi serve --fpm php:9000 --fpm-root /var/www/html --listen 0.0.0.0:8080\n  \
    fcgi serve --config /etc/fcgi.toml --check-config\n\n\
    Ctrl-C or SIGTERM stops it: answers under way may end first; a second one stops at once.\n\
    SIGHUP reads the settings and the certificate again, and says what of them takes a restart. RUST_LOG=debug logs more. --help lists all options, -h the usual ones.")]
pub(crate) struct ServeArgs {
    /// Folder of the project [default: the current one]
    folder: Option<PathBuf>,

    /// File with settings [default: fcgi.toml in the folder, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Read the settings, print what would be served, and end
    #[arg(long)]
    check_config: bool,

    #[command(flatten)]
    settings: Settings,
}

/// All settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    upstream: UpstreamArgs,
    #[command(flatten)]
    ops: OpsArgs,
}

impl Settings {
    /// What is not set here is taken from `fallback`.
    fn or(self, fallback: Self) -> Self {
        Self {
            site: self.site.or(fallback.site),
            http: self.http.or(fallback.http),
            upstream: self.upstream.or(fallback.upstream),
            ops: self.ops.or(fallback.ops),
        }
    }

    /// Says what differs and cannot be changed while it runs.
    fn warn_of_restart(&self, new: &Self) {
        let mut changed = self.http.needs_restart(&new.http);
        changed.append(&mut self.ops.needs_restart(&new.ops));
        if !changed.is_empty() {
            tracing::warn!("changed, but only a restart brings it: {}", changed.join(", "));
        }
    }
}

impl ServeArgs {
    fn load(&self) -> Result<(Config, Vec<Site>), ServeError> {
        let folder = self.folder.as_deref();
        let config = Config::load(self.settings.clone(), self.config.as_deref(), folder)?;
        let sites = plan::sites(&config, folder)?;
        Ok((config, sites))
    }
}

/// Runs until a signal arrives.
pub(crate) fn main(args: &ServeArgs) -> Result<(), ServeError> {
    let (config, sites) = args.load()?;
    if args.check_config {
        return check::check(&config, &sites);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    let workers = config.settings.ops.start_workers().map_err(ServeError::Runtime)?;
    runtime.block_on(run(args, &config, &sites, workers.as_ref()))
}

async fn run(
    args: &ServeArgs,
    config: &Config,
    sites: &[Site],
    workers: Option<&Workers>,
) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Runtime)?;
    let proxies = config.settings.http.proxies().map_err(ServeError::Config)?;
    let account = config.settings.ops.user.as_ref().map(Account::look_up).transpose()?;
    // Before PHP is started: a port in use is found at once.
    let (server, tls) = config.settings.http.bind().await?;
    let roots = Vec::from_iter(sites.iter().map(|site| site.root.display().to_string()));
    let mut running = Running::new(Ops::start(&config.settings.ops, roots.join(", ")).await?);
    if let Some(account) = account {
        account.take().map_err(ServeError::Rights)?;
    }
    tokio::select! {
        started = running.start(sites) => started?,
        () = signals.stop() => return Err(ServeError::Interrupted),
    }
    let server = workers.into_iter().fold(running.watch(server), Server::workers);
    let result = match running.table(sites, proxies) {
        Ok(table) => {
            greet(&server, sites, &running);
            let served = Sites::new(table);
            serve(args, config, server, tls.as_ref(), served, &mut running, &mut signals).await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    running.stop().await;
    result
}

async fn serve(
    args: &ServeArgs,
    started_with: &Config,
    server: Server,
    tls: Option<&Tls>,
    served: Sites,
    running: &mut Running,
    signals: &mut Signals,
) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut server = pin!(server.run(served.clone(), async { drop(stopped.await) }));
    loop {
        let news = tokio::select! {
            () = &mut server => return,
            news = signals.next() => news,
        };
        match news {
            News::Stop => break,
            News::Reload => {
                if let Some(Err(error)) = tls.map(Tls::reload) {
                    tracing::error!("{error}; the old certificate stays in use");
                }
                let changed = async {
                    let (config, sites) = args.load()?;
                    started_with.settings.warn_of_restart(&config.settings);
                    warn_of_doubts(&sites);
                    // Proxies that cannot be read would else be forgotten, and every client be the proxy.
                    config.settings.http.check_together()?;
                    let proxies = config.settings.http.proxies().map_err(ServeError::Config)?;
                    running.change(&sites, proxies, &served).await
                };
                let changed = tokio::select! {
                    () = &mut server => return,
                    changed = changed => changed,
                };
                match changed {
                    Ok(()) => tracing::info!("the settings were read again"),
                    Err(error) => tracing::error!("everything stays as it was: {error}"),
                }
            }
        }
    }
    running.drain();
    tracing::info!("stopping as soon as the answers under way have ended");
    let _ = stop.send(());
    tokio::select! {
        () = &mut server => {}
        () = signals.stop() => tracing::info!("stopping at once"),
    }
}

/// Says what is served and where. Whoever started us may have closed our output; that is no reason not to serve.
fn greet(server: &Server, sites: &[Site], running: &Running) {
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "running as root; better give up its rights with --user, or run it as the user of the site"
        );
    }
    warn_of_doubts(sites);
    let addresses = server.listeners().iter().map(ToString::to_string).collect::<Vec<_>>();
    let _ = print_greeting(&addresses.join(" and "), sites, running);
}

fn warn_of_doubts(sites: &[Site]) {
    for doubt in sites.iter().flat_map(Site::doubts) {
        tracing::warn!("{doubt}");
    }
}

fn print_greeting(addresses: &str, sites: &[Site], running: &Running) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match sites {
        [site] => writeln!(out, "serving {} at {addresses}", site.root.display())?,
        sites => writeln!(out, "serving {} sites at {addresses}", sites.len())?,
    }
    for site in sites {
        if !site.names.is_empty() {
            writeln!(out, "  host  {}", site.names.join(", "))?;
        }
        writeln!(out, "  root  {site}")?;
        if let Some(php) = running.php(site) {
            writeln!(out, "  PHP   {php}")?;
        }
    }
    if let Some(page) = running.dev_page() {
        writeln!(
            out,
            "  dev   http://{page}/ shows requests, their times, and PHP's messages live"
        )?;
    }
    writeln!(
        out,
        "  log   on standard error, PHP's messages too; RUST_LOG=debug says more. Ctrl-C stops"
    )?;
    out.flush()
}
