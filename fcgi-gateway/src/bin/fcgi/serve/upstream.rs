//! The side of the application: PHP-FPM and the connections to it.

use core::time::Duration;

use fcgi_gateway::Builder;
use fcgi_tokio::Address;
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
    #[arg(long, value_name = "ADDR", env = "FCGI_ADDR", hide_env_values = true)]
    #[serde(deserialize_with = "value::text")]
    pub(crate) fpm: Option<Address>,

    /// Which PHP to use without --fpm: any, own (started though another one runs), or the path of a php-fpm or php-cgi
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
}

impl UpstreamArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(self, fallback: fpm, php, probe, timeout)
    }

    /// Everything but the address, which may be that of a PHP of our own.
    pub(crate) fn apply(&self, gateway: Builder) -> Builder {
        let time = self.timeout.map_or(Duration::from_secs(60), |Seconds(time)| time);
        gateway.timeout(time)
    }
}
