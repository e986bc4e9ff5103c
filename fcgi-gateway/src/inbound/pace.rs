//! How slow a client may be.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Keeps the account of the time spent waiting for a client. Time in which nobody asked for its data is not its fault.
pub(super) struct Pace {
    timeout: Option<Duration>,
    /// Bytes that must have come in each [`WINDOW`] of waiting.
    min_bytes: u64,
    bytes: u64,
    /// In this window, before the present wait.
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Long enough that a mobile phone in a tunnel comes out of it.
const WINDOW: Duration = Duration::from_secs(30);

impl Pace {
    pub(super) fn new(timeout: Option<Duration>, min_rate: u32, now: Instant) -> Self {
        Self {
            timeout,
            min_bytes: u64::from(min_rate) * WINDOW.as_secs(),
            bytes: 0,
            waited: Duration::ZERO,
            waiting_since: Some(now),
            timer: None,
        }
    }

    /// Some of the body came.
    pub(super) fn handle_data(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if let Some(since) = self.waiting_since.take() {
            self.waited = self.waited.saturating_add(now.saturating_duration_since(since));
        }
        // The timer stands for the end of a wait that is over.
        if let Some(timer) = &mut self.timer {
            let far = now + WINDOW;
            if timer.deadline() < far {
                self.timer = None;
            }
        }
        if self.bytes >= self.min_bytes {
            self.bytes = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// When the wait that began at `since` has lasted too long.
    fn deadline(&self, since: Instant) -> Option<(Instant, TooSlow)> {
        let silent = self.timeout.map(|timeout| (since + timeout, TooSlow::Silent(timeout)));
        let slow = (self.min_bytes > 0).then(|| {
            let left = WINDOW.saturating_sub(self.waited);
            (since + left, TooSlow::Slow { bytes: self.bytes })
        });
        [silent, slow].into_iter().flatten().min_by_key(|&(deadline, _)| deadline)
    }

    /// Ready when the client is too slow. Called while there is nothing of it.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let Some((deadline, reason)) = self.deadline(since) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| reason)
    }
}

/// A client was too slow in sending its request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// It sent nothing for so long.
    Silent(Duration),
    /// It sent no more than this in 30 s of waiting.
    Slow { bytes: u64 },
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(time) => write!(f, "the client sent nothing of its body for {time:?}"),
            Self::Slow { bytes } => {
                write!(f, "the client sent only {bytes} bytes of its body in {WINDOW:?}")
            }
        }
    }
}

impl core::error::Error for TooSlow {}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;

    async fn too_slow(pace: &mut Pace) -> TooSlow {
        poll_fn(|cx| pace.poll_too_slow(cx)).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence() {
        let timeout = Duration::from_secs(10);
        let start = Instant::now();
        let mut pace = Pace::new(Some(timeout), 0, start);
        assert_eq!(too_slow(&mut pace).await, TooSlow::Silent(timeout));
        assert_eq!(start.elapsed(), timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_too_slow_after_a_window() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(Duration::from_secs(10)), 500, start);
        let mut dripped = 0;
        let found = loop {
            tokio::select! {
                biased;
                found = too_slow(&mut pace) => break found,
                () = tokio::time::sleep(Duration::from_millis(700)) => {
                    dripped += 1;
                    pace.handle_data(1, Instant::now());
                }
            }
        };
        assert_eq!(found, TooSlow::Slow { bytes: dripped });
        assert!(
            (WINDOW..WINDOW + Duration::from_secs(1)).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_fast_enough_may_go_on() {
        let mut pace = Pace::new(Some(Duration::from_secs(10)), 500, Instant::now());
        for _ in 0..1000 {
            tokio::select! {
                biased;
                found = too_slow(&mut pace) => panic!("{found}"),
                () = tokio::time::sleep(Duration::from_secs(9)) => pace.handle_data(5000, Instant::now()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_time_does_not_count() {
        let mut pace = Pace::new(Some(Duration::from_secs(10)), 500, Instant::now());
        for _ in 0..100 {
            pace.handle_data(1, Instant::now());
            tokio::time::sleep(Duration::from_secs(20)).await;
            tokio::select! {
                biased;
                found = too_slow(&mut pace) => panic!("{found}"),
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
}
