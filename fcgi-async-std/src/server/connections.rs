use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::{Arc, Weak};

use fcgi_proto::server::{Hub, Settings};
use futures_channel::oneshot;
use futures_core::Stream as _;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;

use super::Handler;
use super::driver::Driver;
use crate::socket::Stream;

/// A connection with its handlers, to be run by an executor; see [`Server::spawn_with`](super::Server::spawn_with).
pub type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) type Spawn = dyn Fn(Connection) + Send + Sync;

/// The connections of a server. Dropping it ends them all.
pub(super) struct Connections<H> {
    handler: Arc<H>,
    settings: Arc<Settings>,
    spawn: Option<Arc<Spawn>>,
    /// The connections themselves, or what stands for those that run elsewhere.
    running: FuturesUnordered<Connection>,
    hubs: Vec<Weak<Hub>>,
}

impl<H: Handler> Connections<H> {
    pub(super) fn new(handler: Arc<H>, settings: Settings, spawn: Option<Arc<Spawn>>) -> Self {
        Self {
            handler,
            settings: Arc::new(settings),
            spawn,
            running: FuturesUnordered::new(),
            hubs: Vec::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        u32::try_from(self.running.len()).is_ok_and(|count| count < self.settings.max_connections)
    }

    pub(super) fn start(&mut self, stream: Stream) {
        let hub = Arc::new(Hub::default());
        if self.hubs.len() == self.hubs.capacity() {
            self.hubs.retain(|hub| hub.strong_count() > 0);
        }
        self.hubs.push(Arc::downgrade(&hub));
        let handler = Arc::clone(&self.handler);
        let driver = Driver::new(stream, handler, Arc::clone(&self.settings), hub);
        let connection: Connection = Box::pin(async move {
            // How a connection ends is the web server's affair; most just close.
            let _ = driver.run().await;
        });
        self.running.push(match &self.spawn {
            None => connection,
            Some(spawn) => Box::pin(Remote::spawn(connection, &**spawn)),
        });
    }

    /// Runs the connections. Ready whenever some have ended.
    pub(super) fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_ended = false;
        while let Poll::Ready(Some(())) = Pin::new(&mut self.running).poll_next(cx) {
            has_ended = true;
        }
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn stop(&self) {
        for hub in self.hubs.iter().filter_map(Weak::upgrade) {
            hub.stop();
        }
    }

    /// Runs the connections until all have ended.
    pub(super) async fn wait(&mut self) {
        poll_fn(|cx| {
            let _ = self.poll_running(cx);
            if self.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Stands for a connection that an executor runs: resolves when it has ended, and stops it when dropped.
struct Remote {
    end: oneshot::Receiver<()>,
    abort: AbortHandle,
}

impl Remote {
    fn spawn(connection: Connection, spawn: &Spawn) -> Self {
        let (connection, abort) = abortable(connection);
        let (ended, end) = oneshot::channel::<()>();
        spawn(Box::pin(async move {
            let _ = connection.await;
            drop(ended);
        }));
        Self { end, abort }
    }
}

impl Future for Remote {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // It is also the end when the executor has dropped the connection.
        Pin::new(&mut self.end).poll(cx).map(|_| ())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.abort.abort();
    }
}
