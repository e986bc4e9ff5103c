//! The connections of a server, and where they are served.

use core::convert::Infallible;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tower_service::Service;

use super::RequestBody;
use super::activity::Activity;
use super::connection::Accepted;
use crate::BoxError;

/// All connections, with their tasks, which end when this is dropped.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    known: HashMap<Id, Known>,
    limit: usize,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Known {
    activity: Arc<Activity>,
    task: AbortHandle,
    place: usize,
}

/// A runtime that serves connections.
#[derive(Debug)]
struct Place {
    runtime: Handle,
    connections: usize,
}

impl Connections {
    /// At most so many, served by these runtimes.
    pub(super) fn new(limit: usize, runtimes: impl IntoIterator<Item = Handle>) -> Self {
        let places = runtimes.into_iter().map(|runtime| Place { runtime, connections: 0 });
        Self { tasks: JoinSet::new(), known: HashMap::new(), limit, places: places.collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Where the next is to be served: where the fewest are.
    pub(super) fn next_place(&self) -> usize {
        let places = self.places.iter().enumerate();
        places.min_by_key(|(_, place)| place.connections).map_or(0, |(index, _)| index)
    }

    /// The runtime of a place.
    pub(super) fn runtime(&self, place: usize) -> Option<&Handle> {
        self.places.get(place).map(|place| &place.runtime)
    }

    pub(super) fn add<S, B>(
        &mut self,
        place: usize,
        accepted: Accepted,
        service: S,
        stopped: watch::Receiver<Option<Instant>>,
    ) where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(found) = self.places.get_mut(place) else { return };
        found.connections += 1;
        let activity = Arc::clone(&accepted.activity);
        let task = self.tasks.spawn_on(accepted.serve(service, stopped), &found.runtime);
        self.known.insert(task.id(), Known { activity, task, place });
    }

    /// Waits for one to end; for ever while there are none.
    pub(super) async fn ended(&mut self) -> Id {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => core::future::pending().await,
        }
    }

    pub(super) fn remove(&mut self, id: Id) {
        let Some(known) = self.known.remove(&id) else { return };
        if let Some(place) = self.places.get_mut(known.place) {
            place.connections -= 1;
        }
    }

    /// Waits until all have ended.
    pub(super) async fn drained(&mut self) {
        while !self.tasks.is_empty() {
            let ended = self.ended().await;
            self.remove(ended);
        }
    }

    /// Whether a newcomer may be served now. Makes room if not.
    pub(super) fn has_room(&self) -> bool {
        if self.tasks.len() < self.limit {
            return true;
        }
        self.close_idle();
        false // until one of them has ended
    }

    /// Closes those that have been idle longest: some at once, so that looking for them is rare.
    fn close_idle(&self) {
        let mut idle = self
            .known
            .values()
            .filter_map(|known| Some((known.activity.idle_since()?, &known.task)))
            .collect::<Vec<_>>();
        let count = (idle.len() / 16).max(1);
        idle.sort_unstable_by_key(|&(since, _)| since);
        for (_, task) in idle.into_iter().take(count) {
            task.abort();
        }
    }
}
