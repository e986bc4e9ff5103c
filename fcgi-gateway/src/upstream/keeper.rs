//! The task that keeps the addresses of a pool up to date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fcgi_tokio::{Address, Pool};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::health::Health;
use super::{Settings, is_name};

pub(super) struct Keeper {
    settings: Settings,
    pool: Pool,
    doubt: Arc<Notify>,
    /// What each name stood for when it was last found.
    found: HashMap<Address, Vec<Address>>,
    health: Health,
}

impl Keeper {
    pub(super) fn new(settings: Settings, pool: Pool, doubt: Arc<Notify>) -> Self {
        Self { settings, pool, doubt, found: HashMap::new(), health: Health::default() }
    }

    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        let mut next_check = Instant::now();
        loop {
            let addresses = self.look_up().await;
            let usable = match self.settings.health.clone() {
                None => addresses,
                Some(check) => {
                    if Instant::now() >= next_check {
                        self.health.check(&check, &addresses).await;
                        next_check = Instant::now() + check.interval;
                    }
                    self.health.usable(&check, addresses)
                }
            };
            self.pool.set_addresses(usable);
            self.wait(next_check).await;
        }
    }

    /// Until something is due, or in doubt.
    async fn wait(&self, next_check: Instant) {
        let now = Instant::now();
        let look_up = now + self.settings.resolve_interval;
        let due = match (self.settings.has_names(), self.settings.health.is_some()) {
            (true, true) => look_up.min(next_check),
            (true, false) => look_up,
            (false, _) => return sleep_until(next_check.max(now + AT_LEAST)).await,
        };
        // A host that is down makes every request doubt; the resolver is not to suffer from that.
        sleep(AT_LEAST).await;
        let _ = timeout_at(due, self.doubt.notified()).await;
    }

    /// All addresses that the settings stand for, each once.
    async fn look_up(&mut self) -> Vec<Address> {
        let mut all = Vec::new();
        for given in self.settings.addresses.clone() {
            let found = match &given {
                Address::Tcp { host, port } if is_name(&given) => {
                    self.look_up_name(&given, host, *port).await
                }
                _ => vec![given],
            };
            for address in found {
                if !all.contains(&address) {
                    all.push(address);
                }
            }
        }
        all
    }

    async fn look_up_name(&mut self, name: &Address, host: &str, port: u16) -> Vec<Address> {
        let before = self.found.get(name);
        let found = match self.settings.resolver.resolve(host).await {
            Ok(found) if !found.is_empty() => found,
            result => {
                let reason = result.map_or_else(|error| error.to_string(), |_| "no address".into());
                tracing::warn!(%name, %reason, "cannot look the application up; {}", match before {
                    Some(_) => "the addresses known before stay in use",
                    None => "requests fail until this works",
                });
                // Unless it is known from before, whoever dials the name itself is told what is wrong with it.
                return before.cloned().unwrap_or_else(|| vec![name.clone()]);
            }
        };
        let mut found = Vec::from_iter(found.iter().map(|ip| Address::tcp(ip.to_string(), port)));
        found.sort_by_cached_key(ToString::to_string);
        found.dedup();
        if before != Some(&found) {
            let addresses = Vec::from_iter(found.iter().map(ToString::to_string)).join(", ");
            tracing::info!(%name, addresses, "the application was found at");
            self.found.insert(name.clone(), found.clone());
        }
        found
    }
}

/// The least time between two rounds.
const AT_LEAST: Duration = Duration::from_millis(500);
