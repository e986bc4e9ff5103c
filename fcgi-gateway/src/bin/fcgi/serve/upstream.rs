//! The side of the application: PHP-FPM and the connections to it.

use core::time::Duration;

use fcgi_gateway::Builder;
use fcgi_tokio::Address;
use serde::Deserialize;

use super::value::{self, Seconds};

/// Settings of the application: `[upstream]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "PHP")]
pub(crate) struct UpstreamArgs {
    /// PHP-FPM that is running already: HOST:PORT or unix:/PATH
    ///
    /// Without it, the php-fpm or php-cgi that is installed on this machine is started just for this site, and stopped
    /// with it.
    #[arg(long, value_name = "ADDR", env = "FCGI_ADDR")]
    #[serde(deserialize_with = "value::text")]
    pub(crate) fpm: Option<Address>,

    /// Answer 504 when PHP makes no progress for so long; 0 waits for ever [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<Seconds>,
}

impl UpstreamArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(self, fallback: fpm, timeout)
    }

    /// Everything but the address, which may be that of a PHP of our own.
    pub(crate) fn apply(&self, gateway: Builder) -> Builder {
        let time = self.timeout.map_or(Duration::from_secs(60), |Seconds(time)| time);
        gateway.timeout(time)
    }
}
