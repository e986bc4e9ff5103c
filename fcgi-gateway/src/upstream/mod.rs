//! The applications behind a gateway: where they are, and the pool of connections to them.
//!
//! Addresses are given as they are, or by a name that may stand for many hosts and for others tomorrow. Names are looked up
//! again and again while the gateway runs, and every address found is one of the pool's, so that a headless service of
//! Kubernetes is all it takes to scale out. Which of them a request goes to, and what is done when one fails, is decided by
//! [`fcgi_proto::pool`].

mod health;
mod keeper;
mod resolve;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fcgi_tokio::{Address, Client, Pool, PoolConfig, Timeouts};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

pub use self::health::HealthCheck;
use self::keeper::Keeper;
pub(crate) use self::resolve::SystemResolver;
pub use self::resolve::{Addresses, Resolve};

/// The pool of a gateway, kept up to date.
#[derive(Debug)]
pub(crate) struct Upstreams {
    pool: Pool,
    settings: Settings,
    /// Started with the first request, since a gateway may be built outside of a runtime.
    keeper: OnceLock<Option<AbortHandle>>,
    /// Something is wrong with an address: look again before it is time.
    doubt: Arc<Notify>,
}

/// What the keeper needs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) addresses: Vec<Address>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) resolve_interval: Duration,
    pub(crate) health: Option<HealthCheck>,
}

impl Settings {
    fn has_names(&self) -> bool {
        self.addresses.iter().any(is_name)
    }
}

impl Upstreams {
    pub(crate) fn new(settings: Settings, config: PoolConfig, timeouts: Timeouts) -> Self {
        // Each process chooses differently, or all would crowd at the same address.
        let config = config.seed(RandomState::new().hash_one(0));
        // Of a name, nothing is known before it was looked up.
        let known = settings.addresses.iter().filter(|address| !is_name(address)).cloned();
        let pool = Pool::new(known, config).timeouts(timeouts);
        Self { pool, settings, keeper: OnceLock::new(), doubt: Arc::new(Notify::new()) }
    }

    /// The pool as it is.
    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The pool, kept up to date from now on. Within a runtime only.
    pub(crate) fn running(&self) -> &Pool {
        self.keeper.get_or_init(|| {
            let settings = &self.settings;
            (settings.has_names() || settings.health.is_some()).then(|| {
                let doubt = Arc::clone(&self.doubt);
                let keeper = Keeper::new(settings.clone(), self.pool.clone(), doubt);
                tokio::spawn(keeper.run()).abort_handle()
            })
        });
        &self.pool
    }

    /// Whether any address accepts a connection within 3 seconds.
    pub(crate) async fn is_reachable(&self) -> bool {
        let mut asked = JoinSet::new();
        for address in self.running().addresses() {
            // Closed at once, so that no worker of php-fpm waits for a request.
            asked.spawn(async move { Client::connect(&address.to_string()).await.is_ok() });
        }
        while let Some(answer) = asked.join_next().await {
            if matches!(answer, Ok(true)) {
                return true;
            }
        }
        false
    }

    /// As given, names unresolved.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.settings.addresses
    }

    /// An address could not be connected to.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        if let Some(Some(keeper)) = self.keeper.get() {
            keeper.abort();
        }
    }
}

/// Whether an address must be looked up.
fn is_name(address: &Address) -> bool {
    matches!(address, Address::Tcp { host, .. } if host.parse::<IpAddr>().is_err() && !host.contains('%'))
}
