//! The sites that run, and the PHP behind each.

use std::net::SocketAddr;

use fcgi_gateway::server::Server;
use fcgi_gateway::sites::{Sites, Table};
use fcgi_proto::cgi::TrustedProxies;

use super::ServeError;
use super::ops::Ops;
use super::php::{self, Php};
use super::plan::{Site, Wanted};

/// Every PHP in use, by what was wanted.
#[derive(Debug)]
pub(super) struct Running {
    php: Vec<(Wanted, Php)>,
    ops: Ops,
}

impl Running {
    pub(super) const fn new(ops: Ops) -> Self {
        Self { php: Vec::new(), ops }
    }

    /// Tells load balancers to send no more requests.
    pub(super) fn drain(&self) {
        self.ops.drain();
    }

    /// Finds or starts PHP for each site; sites that want the same share one. Those that are there already stay.
    ///
    /// Dropping the future stops the PHP that it has started.
    pub(super) async fn start(&mut self, sites: &[Site]) -> Result<(), ServeError> {
        for site in sites {
            let wanted = site.wanted();
            if self.of(&wanted).is_none() {
                let php = match &wanted {
                    Wanted::Given(addresses) => {
                        for address in addresses.iter().filter(|_| site.is_probed()) {
                            tokio::spawn(php::verify(address.clone(), site.root_for_php()));
                        }
                        Php::given(addresses.clone())
                    }
                    Wanted::Found(choice, root) => Php::find(choice, root).await?,
                };
                self.php.push((wanted, php));
            }
        }
        Ok(())
    }

    fn of(&self, wanted: &Wanted) -> Option<&Php> {
        self.php.iter().find(|(other, _)| other == wanted).map(|(_, php)| php)
    }

    /// Watches what the server answers itself.
    pub(super) fn watch(&self, server: Server) -> Server {
        self.ops.apply_to_server(server)
    }

    /// Where the developer's page is.
    pub(super) fn dev_page(&self) -> Option<SocketAddr> {
        self.ops.dev_page()
    }

    /// The PHP of a site that was started.
    pub(super) fn php(&self, site: &Site) -> Option<&Php> {
        self.of(&site.wanted())
    }

    /// The gateways of the sites, by their hosts.
    pub(super) fn table(
        &self,
        sites: &[Site],
        proxies: Option<TrustedProxies>,
    ) -> Result<Table, ServeError> {
        let mut gateways = Vec::new();
        let table = self.ops.apply_to_table(Table::new());
        let table = proxies.into_iter().fold(table, Table::trusted_proxies);
        let table = sites.iter().try_fold(table, |table, site| {
            let Some(php) = self.php(site) else { return Ok(table) };
            let gateway = site.gateway(php.addresses(), &self.ops)?;
            gateways.push(gateway.clone());
            if site.names.is_empty() {
                return Ok(table.default_site(gateway));
            }
            site.names.iter().try_fold(table, |table, name| {
                table
                    .site(name, gateway.clone())
                    .map_err(|error| ServeError::Config(error.to_string()))
            })
        })?;
        self.ops.set_gateways(gateways);
        Ok(table)
    }

    /// Serves other sites from now on, each PHP that stays reading its settings anew. When that cannot be, everything stays
    /// as it is.
    pub(super) async fn change(
        &mut self,
        to: &[Site],
        proxies: Option<TrustedProxies>,
        served: &Sites,
    ) -> Result<(), ServeError> {
        for (_, php) in &self.php {
            php.reload();
        }
        self.start(to).await?;
        served.replace(self.table(to, proxies)?);
        let is_wanted = |wanted: &Wanted| to.iter().any(|site| site.wanted() == *wanted);
        let (kept, unwanted) =
            std::mem::take(&mut self.php).into_iter().partition(|(wanted, _)| is_wanted(wanted));
        self.php = kept;
        stop(unwanted).await;
        Ok(())
    }

    pub(super) async fn stop(self) {
        stop(self.php).await;
        self.ops.stop().await;
    }
}

async fn stop(php: Vec<(Wanted, Php)>) {
    for (_, php) in php {
        php.stop().await;
    }
}
