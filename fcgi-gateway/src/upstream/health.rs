//! Asking applications whether they are well.

use std::collections::HashMap;
use std::time::Duration;

use fcgi_tokio::{Address, Client, Request, Timeouts};
use tokio::task::JoinSet;

/// Asks every address from time to time, and leaves out those that do not answer. Off unless set.
///
/// Without it an address is found broken by the requests that go there, which then go to another; that is enough for one
/// that nobody listens at. This is for one that accepts connections and then does nothing.
///
/// php-fpm answers its `ping.path` by a worker like any script: when all are busy, the answer comes late, and takes a
/// busy address for a broken one. So [`timeout`](Self::timeout) is to be longer than scripts usually run, and an address
/// is left out only after several failures; when all fail, all stay in use.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    path: String,
    pub(super) interval: Duration,
    timeout: Duration,
    failures: u32,
}

impl HealthCheck {
    /// Asks for this path, `ping.path` of php-fpm or of any script's URL: an answer with a status below 400 is well.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            failures: 3,
        }
    }

    /// How long to wait between two rounds. Default: 5 s, as in nginx Plus.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long an answer may take. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how many failures in a row an address is left out; the first success brings it back. Default: 3, as in
    /// HAProxy. 0 counts as 1.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures.max(1);
        self
    }

    /// Whether it is well.
    async fn ask(self, address: Address) -> bool {
        let timeouts = Timeouts::default().with_total(self.timeout);
        // php-fpm takes both names for its own pages.
        let request = Request::get(&self.path).param("SCRIPT_NAME", &self.path);
        match Client::new(address).timeouts(timeouts).call(request).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!("health check: {error}");
                false
            }
        }
    }
}

/// How the addresses are doing.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: HashMap<Address, u32>,
}

impl Health {
    /// Asks all of them at once.
    pub(super) async fn check(&mut self, check: &HealthCheck, addresses: &[Address]) {
        self.failed.retain(|address, _| addresses.contains(address));
        let mut asked = JoinSet::new();
        for address in addresses {
            let (check, address) = (check.clone(), address.clone());
            asked.spawn(async move { (address.clone(), check.ask(address).await) });
        }
        while let Some(answer) = asked.join_next().await {
            let Ok((address, is_well)) = answer else { continue };
            self.note(address, is_well, check.failures);
        }
    }

    fn note(&mut self, address: Address, is_well: bool, limit: u32) {
        let failed = self.failed.entry(address.clone()).or_default();
        let was_out = *failed >= limit;
        *failed = if is_well { 0 } else { failed.saturating_add(1) };
        match (was_out, *failed >= limit) {
            (false, true) => tracing::warn!(%address, "left out: it failed {limit} health checks"),
            (true, false) => tracing::info!(%address, "back in use: it answers health checks"),
            _ => {}
        }
    }

    /// Those to use: the well ones, or all of them when none is.
    pub(super) fn usable(&self, check: &HealthCheck, addresses: Vec<Address>) -> Vec<Address> {
        let is_out = |address: &Address| {
            self.failed.get(address).is_some_and(|failed| *failed >= check.failures)
        };
        if addresses.iter().all(is_out) {
            return addresses;
        }
        addresses.into_iter().filter(|address| !is_out(address)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_after_some_failures_and_back_after_one_success() {
        let check = HealthCheck::new("/ping").failures(2);
        let [one, two] = [1, 2].map(|port| Address::tcp("10.0.0.1", port));
        let all = || vec![one.clone(), two.clone()];
        let mut health = Health::default();
        health.note(one.clone(), false, 2);
        assert_eq!(health.usable(&check, all()), all());
        health.note(one.clone(), false, 2);
        assert_eq!(health.usable(&check, all()), all()[1..]);
        health.note(two.clone(), false, 2);
        health.note(two.clone(), false, 2);
        assert_eq!(health.usable(&check, all()), all(), "better a bad one than none");
        health.note(one.clone(), true, 2);
        assert_eq!(health.usable(&check, all()), all()[..1]);
    }
}
