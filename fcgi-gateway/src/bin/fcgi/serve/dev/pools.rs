//! The pools of connections to PHP, as the page shows them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fcgi_gateway::Gateway;
use serde::Serialize;

use super::history::frame;

/// The gateways whose pools are shown. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Pools {
    gateways: Arc<Mutex<Vec<Gateway>>>,
}

/// The connections to the same addresses, whichever sites use them.
#[derive(Debug, Default, Serialize)]
struct Pool {
    addresses: Vec<String>,
    connections: usize,
    idle: usize,
    in_flight: usize,
    waiting: usize,
    dials: u64,
    failed_dials: u64,
    retries: u64,
    timeouts: u64,
    turned_away: u64,
}

impl Pools {
    pub(super) fn set(&self, gateways: Vec<Gateway>) {
        *self.gateways.lock().unwrap_or_else(PoisonError::into_inner) = gateways;
    }

    /// The figures now, as an event.
    pub(super) fn frame(&self) -> Bytes {
        let mut pools = Vec::<Pool>::new();
        for gateway in &*self.gateways.lock().unwrap_or_else(PoisonError::into_inner) {
            let addresses = Vec::from_iter(gateway.addresses().iter().map(ToString::to_string));
            match pools.iter_mut().find(|pool| pool.addresses == addresses) {
                Some(pool) => pool.add(gateway),
                None => {
                    let mut pool = Pool { addresses, ..Pool::default() };
                    pool.add(gateway);
                    pools.push(pool);
                }
            }
        }
        frame("pools", &pools)
    }
}

impl Pool {
    fn add(&mut self, gateway: &Gateway) {
        let metrics = gateway.pool_metrics();
        let pool = metrics.pool;
        self.connections += pool.connections;
        self.idle += pool.idle;
        self.in_flight += pool.in_flight;
        self.waiting += pool.waiting;
        self.dials += pool.dials;
        self.failed_dials += pool.failed_dials;
        self.retries += metrics.retries;
        self.timeouts += metrics.timeouts;
        self.turned_away += pool.turned_away + pool.expired;
    }
}
