use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fcgi_proto::server::{Incoming, Settings};

use super::Request;
use super::driver::Driver;
use super::handler::Handler;
use super::handling::Handling;
use super::link::Link;
use super::workers::Workers;
use crate::socket::Socket;

/// What the connections of a server have in common.
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) settings: Arc<Settings>,
    /// How many more requests may be handled beyond one for each connection.
    pub(super) places: AtomicU32,
    pub(super) workers: Workers,
}

impl<H: Handler> Shared<H> {
    /// The driver of a new connection.
    pub(super) fn driver(self: &Arc<Self>, socket: Socket) -> io::Result<(Arc<Link>, Driver)> {
        let shared = Arc::clone(self);
        let start = move |link: &Arc<Link>, incoming| shared.start(link, incoming);
        let link = Link::new(socket, Arc::clone(&self.settings), Box::new(start))?;
        let driver = Driver::new(Arc::clone(&link), &self.settings);
        Ok((link, driver))
    }

    /// Starts the handler of a request in a thread of its own.
    fn start(self: &Arc<Self>, link: &Arc<Link>, incoming: Incoming) {
        let exchange = Arc::clone(&incoming.exchange);
        let Some(place) = Place::take(self, link) else {
            Handling::refuse(&exchange);
            return;
        };
        let (shared, link) = (Arc::clone(self), Arc::clone(link));
        let started = self.workers.run(Box::new(move || {
            let handling = Handling::new(link, Arc::clone(&incoming.exchange));
            let request = Request::new(&handling, incoming);
            handling.run(|| {
                let result = shared.handler.handle(request).map_err(|error| error.to_string());
                // Before the end is sent: the web server may answer it with the next request.
                drop(place);
                result
            });
        }));
        if started.is_err() {
            Handling::refuse(&exchange);
        }
    }
}

/// A place among the requests that are handled at once.
struct Place<H> {
    shared: Arc<Shared<H>>,
    link: Arc<Link>,
    /// It is not the first of its connection.
    is_counted: bool,
}

impl<H> Place<H> {
    fn take(shared: &Arc<Shared<H>>, link: &Arc<Link>) -> Option<Self> {
        // Only one thread at a time starts requests of a connection.
        let is_counted = link.running.load(Ordering::Acquire) > 0;
        if is_counted && !take_one(&shared.places) {
            return None;
        }
        link.running.fetch_add(1, Ordering::AcqRel);
        Some(Self { shared: Arc::clone(shared), link: Arc::clone(link), is_counted })
    }
}

/// Takes one from a count; false when there is none.
fn take_one(count: &AtomicU32) -> bool {
    let mut seen = count.load(Ordering::Acquire);
    while let Some(less) = seen.checked_sub(1) {
        match count.compare_exchange_weak(seen, less, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    false
}

impl<H> Drop for Place<H> {
    fn drop(&mut self) {
        self.link.running.fetch_sub(1, Ordering::AcqRel);
        if self.is_counted {
            self.shared.places.fetch_add(1, Ordering::AcqRel);
        }
    }
}
