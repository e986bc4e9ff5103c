//! What one browser is told, as server-sent events.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::history::History;
use super::pools::Pools;

/// The body of the stream. Dropping it ends what fills it.
#[derive(Debug)]
pub(super) struct Feed {
    frames: mpsc::Receiver<Bytes>,
}

impl Feed {
    /// Begins with all there is, and goes on with every change. `held` is dropped at the end.
    ///
    /// A browser that is too slow misses changes; it then gets all there is anew, with the number of those.
    pub(super) fn new(history: History, pools: Pools, held: impl Send + 'static) -> Self {
        let (to, frames) = mpsc::channel(QUEUED);
        tokio::spawn(async move {
            // Its only end is that of the browser or of the history.
            let _ = fill(&to, &history, &pools).await;
            drop(held);
        });
        Self { frames }
    }
}

/// Events that wait for the socket.
const QUEUED: usize = 16;
/// How often the pools are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// After so many looks without news a comment shows that the connection stands.
const QUIET: u32 = 60;
/// After missing something; a browser that cannot keep up is not to be sent everything over and over.
const REST: Duration = Duration::from_millis(500);

/// Somebody is gone.
struct Over;

async fn fill(to: &mpsc::Sender<Bytes>, history: &History, pools: &Pools) -> Result<(), Over> {
    let mut skipped = 0;
    loop {
        let (snapshot, mut changes) = history.look(skipped);
        send(to, snapshot).await?;
        let mut last = Bytes::new();
        let mut quiet = 0;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        skipped = loop {
            tokio::select! {
                () = to.closed() => return Err(Over),
                change = changes.recv() => match change {
                    Ok(change) => send(to, change).await?,
                    Err(RecvError::Lagged(count)) => break count,
                    Err(RecvError::Closed) => return Err(Over),
                },
                _ = looks.tick() => {
                    let now = pools.frame();
                    quiet += 1;
                    if now != last {
                        last = now.clone();
                        quiet = 0;
                        send(to, now).await?;
                    } else if quiet >= QUIET {
                        quiet = 0;
                        send(to, Bytes::from_static(b":\n\n")).await?;
                    }
                }
            }
        };
        sleep(REST).await;
    }
}

async fn send(to: &mpsc::Sender<Bytes>, frame: Bytes) -> Result<(), Over> {
    to.send(frame).await.map_err(|_| Over)
}

impl http_body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames.poll_recv(cx).map(|frame| frame.map(|frame| Ok(Frame::data(frame))))
    }
}
