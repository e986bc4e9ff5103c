//! Waiting, by the timers of `async-io`.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_io::Timer;

/// Waits for a moment that keeps moving into the future. The timer is set anew only once it has fired, since most of what
/// has a limit ends long before.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Instant, Timer)>);

impl Alarm {
    /// Ready once `deadline` has passed.
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        while Instant::now() < deadline {
            match &mut self.0 {
                Some((at, timer)) if *at <= deadline => {
                    ready!(Pin::new(timer).poll(cx));
                    self.0 = None;
                }
                _ => self.0 = Some((deadline, Timer::at(deadline))),
            }
        }
        Poll::Ready(())
    }
}

/// Waits for a future until `deadline`, if there is one; `None` when it has passed.
pub(crate) async fn until<T>(
    deadline: Option<Instant>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut alarm = Alarm::default();
    poll_fn(|cx| match (future.as_mut().poll(cx), deadline) {
        (Poll::Ready(value), _) => Poll::Ready(Some(value)),
        (Poll::Pending, Some(deadline)) => alarm.poll(deadline, cx).map(|()| None),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}

pub(crate) async fn sleep(time: Duration) {
    Timer::after(time).await;
}

/// How many times a task may go on without waiting before it lets others run.
///
/// What is polled in one task with others would keep them from running for as long as its socket is fast enough.
#[derive(Debug)]
pub(crate) struct Budget(u32);

impl Budget {
    pub(crate) const fn new() -> Self {
        Self(32)
    }

    /// Ready while there is some left; else the task is woken at once, behind the others.
    pub(crate) fn poll_spend(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(left) = self.0.checked_sub(1) else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        self.0 = left;
        Poll::Ready(())
    }
}
