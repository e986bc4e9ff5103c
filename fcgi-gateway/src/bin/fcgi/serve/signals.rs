//! The signals that end it, or make it read its settings again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Stop,
    Reload,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> News {
        tokio::select! {
            _ = self.interrupt.recv() => News::Stop,
            _ = self.terminate.recv() => News::Stop,
            _ = self.hangup.recv() => News::Reload,
        }
    }

    /// Waits for one that ends it.
    pub(super) async fn stop(&mut self) {
        while self.next().await != News::Stop {}
    }
}
