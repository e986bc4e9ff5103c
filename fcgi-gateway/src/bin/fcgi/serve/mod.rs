//! `fcgi serve`: a folder with a PHP site, over HTTP.
//!
//! The settings come in groups, one file each. A field of a group is a flag of the command line and a key of the file
//! `fcgi.toml` at once; its default is applied where the group is, in `apply`.

mod config;
mod error;
mod http;
mod ops;
mod signals;
mod site;
mod upstream;
mod value;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fcgi_gateway::Gateway;
use fcgi_gateway::server::Server;
use fcgi_gateway::supervisor::Supervisor;
use fcgi_tokio::Address;

pub(crate) use self::error::ServeError;
use self::http::HttpArgs;
use self::ops::OpsArgs;
use self::signals::Signals;
use self::site::SiteArgs;
use self::upstream::UpstreamArgs;

/// Serve a PHP site: static files, scripts, and pretty addresses, over HTTP
///
/// Everything below FOLDER is public, except dotfiles, the source of scripts, and backup copies. Addresses that lead
/// to no file go to its index.php, as WordPress, Laravel and Symfony expect it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    fcgi serve /usr/share/wordpress\n  \
    fcgi serve public --listen 0.0.0.0:8080 --fpm unix:/run/php/php-fpm.sock\n\n\
    Stop it with Ctrl-C or SIGTERM: answers under way may end first; a second one stops at once.\n\
    Set RUST_LOG=debug to see more.")]
pub(crate) struct ServeArgs {
    /// Folder of the site, usually the one with index.php
    folder: PathBuf,

    /// File with settings [default: fcgi.toml in the folder, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

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

/// Runs until a signal arrives.
pub(crate) fn main(args: ServeArgs) -> Result<(), ServeError> {
    let ServeArgs { folder, config, settings } = args;
    let file = config::File::load(config.as_deref(), &folder)?;
    let settings = settings.or(file.into_settings());
    let runtime = settings.ops.runtime().map_err(ServeError::Runtime)?;
    runtime.block_on(run(folder, settings))
}

async fn run(folder: PathBuf, settings: Settings) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Runtime)?;
    let root = settings.site.root.clone().unwrap_or(folder);
    check_root(&root)?;
    // Before PHP is started: a port in use is found at once.
    let server = settings.http.bind().await?;
    let fpm = settings.upstream.fpm.clone();
    let php = match &fpm {
        Some(_) => None,
        None => Some(start_php(&root, &mut signals).await?),
    };
    let Some(address) = fpm.or_else(|| php.as_ref().map(|php| php.address().clone())) else {
        return Ok(()); // not reached: one of the two is there
    };
    let result = serve(&root, server, address, &settings, &mut signals).await;
    if let Some(php) = php {
        php.stop().await;
    }
    result
}

async fn serve(
    root: &Path,
    server: Server,
    address: Address,
    settings: &Settings,
    signals: &mut Signals,
) -> Result<(), ServeError> {
    let gateway = settings.apply(Gateway::builder(root).fpm(address));
    let gateway = gateway.build().map_err(|error| ServeError::Site(error.to_string()))?;
    if rustix::process::geteuid().is_root() {
        tracing::warn!("running as root; better run it as the user of the site");
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

    fn apply(&self, gateway: fcgi_gateway::Builder) -> fcgi_gateway::Builder {
        let gateway = self.site.apply(gateway);
        let gateway = self.http.apply_to_gateway(gateway);
        let gateway = self.upstream.apply(gateway);
        self.ops.apply(gateway)
    }
}
