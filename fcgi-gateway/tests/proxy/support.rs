//! A gateway with its server, inside of the test.

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fcgi_gateway::observe::{Event, Record};
use fcgi_gateway::server::Server;
use fcgi_gateway::{Builder, Gateway};
use fcgi_test_support::http::{Request, Response};
use fcgi_test_support::wait_until;
use fcgi_tokio::Address;
use fcgi_tokio::server::{Handler, Listener};
use tokio::runtime::Runtime;

/// Long, for slow machines; nothing waits for it to pass.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running gateway, stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) gateway: Gateway,
    pub(crate) runtime: Runtime,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Running {
    pub(crate) fn start(gateway: Builder) -> Self {
        let events = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&events);
        let gateway =
            gateway.observe(move |event: &Event| kept.lock().unwrap().push(event.clone()));
        let gateway = gateway.build().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let server = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
        let address = server.local_addr().unwrap();
        runtime.spawn(server.run(gateway.clone(), core::future::pending()));
        Self { address, gateway, runtime, events }
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        Request::get(target).send(self.address)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Waits until so many answers have ended, and gives them.
    #[track_caller]
    pub(crate) fn records(&self, count: usize) -> Vec<Arc<Record>> {
        let records = || {
            let events = self.events().into_iter();
            let ended = events.filter_map(|event| match event {
                Event::Ended(record) => Some(record),
                _ => None,
            });
            Vec::from_iter(ended)
        };
        assert!(wait_until(LIMIT, || records().len() >= count), "{:?}", records());
        records()
    }
}

/// A FastCGI application of a test's own, stopped when dropped.
pub(crate) struct Application {
    address: Address,
    _runtime: Runtime,
}

impl Application {
    pub(crate) fn start(handler: impl Handler) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_address().unwrap();
        runtime.spawn(fcgi_tokio::serve(listener, handler));
        Self { address, _runtime: runtime }
    }

    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }
}
