use core::time::Duration;

/// How long the phases of an exchange took. A phase that was left out, such as connecting when a kept connection was
/// used, or that is not over took no time.
///
/// They do not add up to [`total`](Self::total), since sending and receiving overlap. After a second attempt the time of
/// the first is part of [`queue`](Self::queue).
///
/// ```
/// use fcgi_proto::client::Timings;
///
/// /// A line of a log: where the time went.
/// fn line(timings: &Timings) -> String {
///     let Timings { queue, connect, first_byte, .. } = timings;
///     format!("queue {queue:?}, connect {connect:?}, first byte {first_byte:?}, total {:?}", timings.total)
/// }
/// assert_eq!(line(&Timings::default()), "queue 0ns, connect 0ns, first byte 0ns, total None");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the call to a place on a connection; a body of unknown length was collected in it.
    pub queue: Duration,
    /// Resolving and connecting.
    pub connect: Duration,
    /// From there to the first byte of the answer: sending, waiting, and the script's own work.
    pub first_byte: Duration,
    /// From the connection being there to the head of the response.
    pub head: Duration,
    /// From the call to the last byte of the answer, once that has come. A slow reader of the body makes it longer.
    pub total: Option<Duration>,
}

/// Takes down when things happened, counted since the call began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    begun: Duration,
    last_read: Option<Duration>,
    timings: Timings,
}

impl Clock {
    pub(super) fn new(now: Duration) -> Self {
        Self { begun: now, last_read: None, timings: Timings::default() }
    }

    pub(super) const fn timings(&self) -> Timings {
        self.timings
    }

    pub(super) const fn on_connection(&mut self, queue: Duration, connect: Duration) {
        self.timings.queue = queue;
        self.timings.connect = connect;
    }

    pub(super) fn on_read(&mut self, count: usize, now: Duration) {
        if count == 0 {
            return;
        }
        if self.last_read.is_none() {
            self.timings.first_byte = now.saturating_sub(self.begun);
        }
        self.last_read = Some(now);
    }

    /// The head was in what was read last.
    pub(super) fn on_head(&mut self) {
        self.timings.head = self.last_read.unwrap_or_default().saturating_sub(self.begun);
    }

    /// The end was in what was read last.
    pub(super) const fn on_end(&mut self) {
        self.timings.total = self.last_read;
    }
}
