//! The tasks of HTTP/2's streams.
//!
//! A client that reads some streams and not others keeps its socket busy, so that the socket's timeout does not see it.
//! Here each stream is given up alone when its client takes nothing of it: the body is dropped, which lets go of the
//! application, and the client is told by RST_STREAM.

use core::cell::Cell;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    /// Since when the stream of this task has had something that its client did not take.
    static WAITS: Cell<Option<Instant>>;
}

/// Tells the stream of this task that its body gave something, or that the client waits for the body. Over HTTP/1 it does
/// nothing.
pub(super) fn note_output(is_there: bool) {
    // Only the task of a stream has it.
    let _ = WAITS.try_with(|waits| waits.set(is_there.then(Instant::now)));
}

/// Runs streams for hyper.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) write_timeout: Option<Duration>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        match self.write_timeout {
            None => drop(tokio::spawn(stream)),
            Some(timeout) => {
                let stream = Impatient { stream, timeout, timer: None };
                drop(tokio::spawn(WAITS.scope(Cell::new(None), stream)));
            }
        }
    }
}

pin_project! {
    /// Ends when the stream does, or when its client has taken nothing for too long.
    struct Impatient<F> {
        #[pin]
        stream: F,
        timeout: Duration,
        // Moved forward only when it has fired, as most deadlines pass unused.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Future for Impatient<F>
where
    F: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = WAITS.with(Cell::get) else { return Poll::Pending };
        let deadline = since + *this.timeout;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if deadline <= Instant::now() {
                tracing::debug!("a stream was given up, as its client takes nothing of it");
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}
