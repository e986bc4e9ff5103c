//! The events as a stream, for those who come and go while the gateway runs.

use std::fmt;

use tokio::sync::broadcast::{self, error::RecvError};

use super::{Event, Observer};

/// Passes the events on to any number of subscribers, such as the readers of a page that shows them live.
///
/// A subscriber that is too slow misses the oldest events and is told how many; it never slows the gateway. Without
/// subscribers an event costs next to nothing. Clones are the same stream.
///
/// ```
/// use fcgi_gateway::observe::{Event, Events};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let events = Events::new();
/// let gateway = fcgi_gateway::Gateway::to_application("127.0.0.1:9000").observe(events.clone()).build()?;
/// let mut subscription = events.subscribe();
/// while let Some((event, missed)) = subscription.next().await {
///     println!("{event:?} after {missed} that were missed");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Events {
    sender: broadcast::Sender<Event>,
}

impl Events {
    /// A stream without subscribers. Each may be 1024 events behind.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: broadcast::Sender::new(BEHIND) }
    }

    /// Subscribes to the events from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.sender.subscribe() }
    }
}

const BEHIND: usize = 1024;

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Events {
    fn observe(&self, event: &Event) {
        if self.sender.receiver_count() > 0 {
            // Fails when the last subscriber has gone at this moment.
            let _ = self.sender.send(event.clone());
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("subscribers", &self.sender.receiver_count()).finish()
    }
}

/// Gets the events of [`Events`].
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Event>,
}

impl Subscription {
    /// The next event, and how many were missed before it. `None` once the gateway and all [`Events`] are gone.
    ///
    /// # Cancellation
    /// Safe, but for the number of those that were missed.
    pub async fn next(&mut self) -> Option<(Event, u64)> {
        let mut missed = 0;
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some((event, missed)),
                Err(RecvError::Lagged(count)) => missed += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
