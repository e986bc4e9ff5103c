//! `--check-config`: what would be served, without serving it.

use std::io::{self, Write};

use fcgi_gateway::sites::Table;
use fcgi_tokio::Address;

use super::config::{Config, NAME};
use super::ops::Ops;
use super::plan::{Site, Wanted};
use super::{ServeError, php};

/// Builds everything that needs neither a port nor PHP, and prints it.
pub(super) fn check(config: &Config, sites: &[Site]) -> Result<(), ServeError> {
    config.settings.http.check()?;
    config.settings.ops.check()?;
    let nobody = [Address::Unix("/".to_owned())];
    let mut table = Table::new();
    for site in sites {
        let gateway = site.gateway(&nobody, &Ops::default())?;
        for name in &site.names {
            table = table
                .site(name, gateway.clone())
                .map_err(|error| ServeError::Config(error.to_string()))?;
        }
    }
    print(config, sites).map_err(ServeError::Runtime)
}

fn print(config: &Config, sites: &[Site]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match &config.path {
        Some(path) => writeln!(out, "{} is fine", path.display())?,
        None => writeln!(out, "there is no {NAME}, and the flags are fine")?,
    }
    for site in sites {
        let hosts =
            if site.names.is_empty() { "any other host".into() } else { site.names.join(", ") };
        writeln!(out, "{hosts}: {site}")?;
        match site.wanted() {
            Wanted::Given(addresses) => writeln!(out, "  PHP at {}", php::list(&addresses))?,
            Wanted::Found(choice, _) => writeln!(out, "  PHP: {choice}")?,
        }
        for doubt in site.doubts() {
            writeln!(out, "  doubtful: {doubt}")?;
        }
    }
    out.flush()
}
