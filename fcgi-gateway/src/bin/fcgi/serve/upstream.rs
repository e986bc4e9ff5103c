//! The side of the application: PHP-FPM and the connections to it.

use core::num::{NonZeroU16, NonZeroUsize};
use core::str::FromStr;
use core::time::Duration;
use std::path::{Path, PathBuf};

use fcgi_gateway::Builder;
use fcgi_gateway::upstream::HealthCheck;
use fcgi_tokio::{Address, PoolConfig};
use serde::Deserialize;

use super::php::Choice;
use super::value::{self, Seconds};

/// Settings of the application: `[upstream]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "PHP")]
pub(crate) struct UpstreamArgs {
    /// PHP-FPM that runs already: HOST:PORT or unix:/PATH [default: one found below /run, else one of our own]
    ///
    /// One that is found must see the site's files. Else the php-fpm or php-cgi that is installed on this machine is
    /// started just for this site, and stopped with it. It gets the whole environment of this command, secrets too.
    ///
    /// May be given several times: requests are spread over all addresses, and go around one that is down. A name is looked
    /// up again and again, and stands for every address found, as with a headless service of Kubernetes.
    #[arg(
        long,
        value_name = "ADDR",
        env = "FCGI_ADDR",
        hide_env_values = true,
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "value::some_texts")]
    pub(crate) fpm: Option<Vec<Address>>,

    /// Which PHP to use without --fpm: any, own (started though another one runs), or a program: php-fpm8.2, /opt/php/sbin/php-fpm, php-cgi
    #[arg(long, value_name = "WHICH")]
    #[serde(deserialize_with = "value::text")]
    pub(crate) php: Option<Choice>,

    /// Whether to ask the PHP at --fpm at the start if it sees the document root; no script is run [default: true]
    #[arg(long, value_name = "BOOL", env = "FCGI_PROBE", hide_env_values = true)]
    #[arg(hide_possible_values = true, hide_short_help = true)]
    pub(crate) probe: Option<bool>,

    /// Answer 504 when PHP makes no progress for so long; 0 waits for ever [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<Seconds>,

    /// Most connections to each address of PHP; more requests wait [default: 128]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// Connections to keep at each address while idle, each of which holds a worker of PHP, where more are kept for 20 ms;
    /// 0 keeps none [default: 4]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_idle: Option<usize>,

    /// Requests that share a connection, for applications that are known to serve several at once; PHP is not [default: 1]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) multiplex: Option<NonZeroU16>,

    /// How long to keep an idle connection to PHP [default: 2]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) idle_timeout: Option<Seconds>,

    /// Answer 503 when no connection to PHP gets free for so long [default: 5]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) queue_timeout: Option<Seconds>,

    /// Answer 503 at once when so many requests wait for a connection [default: 1024]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    #[serde(deserialize_with = "value::count")]
    pub(crate) max_waiting: Option<usize>,

    /// Ask each address for this path every 5 s, such as ping.path of php-fpm, and leave out those that fail 3 times
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub(crate) ping: Option<String>,

    /// How often to look the names among the addresses up again [default: 5]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) resolve_interval: Option<Seconds>,

    /// Let scripts send files of FOLDER by `X-Accel-Redirect: /PREFIX/...`; may be given several times
    #[arg(long, value_name = "/PREFIX=FOLDER", hide_short_help = true)]
    #[serde(deserialize_with = "value::texts")]
    pub(crate) accel_redirect: Option<Vec<Mapping>>,

    /// Let scripts send files of this folder by `X-Sendfile: /FOLDER/...`; may be given several times
    #[arg(long, value_name = "FOLDER", hide_short_help = true)]
    #[serde(deserialize_with = "value::texts")]
    pub(crate) sendfile: Option<Vec<PathBuf>>,
}

impl UpstreamArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(
            self, fallback: fpm, php, probe, timeout, max_connections, max_idle, multiplex, idle_timeout, queue_timeout,
            max_waiting, ping, resolve_interval, accel_redirect, sendfile,
        )
    }

    /// Paths start from this folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        for Mapping { folder: to, .. } in self.accel_redirect.iter_mut().flatten() {
            *to = folder.join(&to);
        }
        for from in self.sendfile.iter_mut().flatten() {
            *from = folder.join(&from);
        }
    }

    /// Everything but the address, which may be that of a PHP of our own.
    pub(crate) fn apply(&self, gateway: Builder) -> Builder {
        let time = self.timeout.map_or(Duration::from_secs(60), |Seconds(time)| time);
        let mut gateway = gateway.timeout(time).pool(self.pool());
        if let Some(path) = &self.ping {
            gateway = gateway.health_check(HealthCheck::new(path));
        }
        if let Some(Seconds(interval)) = self.resolve_interval {
            gateway = gateway.resolve_interval(interval);
        }
        for Mapping { prefix, folder } in self.accel_redirect.iter().flatten() {
            gateway = gateway.accel_redirect(prefix, folder);
        }
        self.sendfile.iter().flatten().fold(gateway, Builder::sendfile)
    }

    /// What can hardly be meant.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let (Some(idle), Some(most)) = (self.max_idle, self.max_connections) {
            if idle > most.get() {
                doubts.push(format!(
                    "max-idle is {idle}, and there are only {most} connections (max-connections)"
                ));
            }
        }
        doubts
    }

    fn pool(&self) -> PoolConfig {
        let mut pool = fcgi_gateway::default_pool();
        if let Some(count) = self.max_connections {
            pool = pool.max_connections(count.get());
        }
        if let Some(count) = self.max_idle {
            pool = pool.max_idle(count);
        }
        if let Some(requests) = self.multiplex {
            pool = pool.multiplex(requests);
        }
        if let Some(Seconds(limit)) = self.idle_timeout {
            pool = pool.idle_timeout(limit);
        }
        if let Some(Seconds(limit)) = self.queue_timeout {
            pool = pool.queue_timeout(limit);
        }
        if let Some(count) = self.max_waiting {
            pool = pool.max_waiting(count);
        }
        pool
    }
}

/// A prefix of paths and the folder it leads into: `/protected=/srv/files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    prefix: String,
    folder: PathBuf,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((prefix, folder)) if prefix.starts_with('/') && !folder.is_empty() => {
                Ok(Self { prefix: prefix.to_owned(), folder: folder.into() })
            }
            _ => Err("expected /PREFIX=FOLDER, such as /protected=/srv/files".to_owned()),
        }
    }
}
