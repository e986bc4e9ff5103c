//! Work that goes on when nobody waits for it any more.

use core::pin::Pin;
use core::task::{Context, Poll};

use tokio::runtime::Handle;

/// A future that, when it is dropped half done, is finished in a task of its own.
///
/// A client that leaves must not take its request back: WordPress starts its scheduled work with a request to
/// itself that it abandons after 10 ms, and that work must run all the same. What goes on is only the part
/// up to the head of the answer; the answer is then dropped, which closes the application's connection. A body
/// that had not fully arrived fails when the client leaves, and the request is aborted.
#[derive(Debug)]
pub(super) struct HandOver<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
}

impl<F: Future<Output: Send> + Send + 'static> HandOver<F> {
    pub(super) fn new(work: F) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for HandOver<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = self.work.as_mut() else {
            return Poll::Pending; // polled after its end, against the contract of futures
        };
        let poll = work.as_mut().poll(cx);
        if poll.is_ready() {
            self.work = None;
        }
        poll
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for HandOver<F> {
    fn drop(&mut self) {
        let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move { drop(work.await) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn dropped_work_is_finished() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel::<()>();
        let mut work = HandOver::new(async move {
            let _ = gone.await;
            let _ = done.send(());
        });
        let polled = core::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
        assert!(polled.is_pending());
        drop(work);
        go.send(()).unwrap();
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn finished_work_is_not_repeated() {
        assert_eq!(HandOver::new(async { 7 }).await, 7);
    }
}
