//! Answers are read on while their clients are slow, so that PHP need not wait for them.
//!
//! A worker of php-fpm is busy until the web server has taken all that its script wrote. While a client takes an answer as
//! fast as it comes, it is passed on piece by piece, and nothing is kept. When a client has not asked for more for a while,
//! a task reads on in its place, up to a limit, and keeps what comes until the client asks again.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use fcgi_tokio::Error;
use http_body::Frame;
use tokio::time::{Instant, sleep};

use super::app_body::AppBody;
use crate::memory::{Memory, Reserved};

/// How far answers may be read ahead.
#[derive(Clone, Debug)]
pub(crate) struct ReadAhead {
    /// Bytes of one.
    pub(crate) limit: usize,
    /// Bytes of all together.
    pub(crate) memory: Memory,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self { limit: 1024 * 1024, memory: Memory::new(32 * 1024 * 1024) }
    }
}

/// A client that has not asked for so long is slow, and no longer waits for us. A server with many of them may well take a
/// tenth of it to come round again.
const SLOW: Duration = Duration::from_millis(100);

/// Until the next look, while there is more.
const NEXT: Duration = Duration::from_millis(10);

/// What system and server buffer anyway. Shorter answers leave their worker as soon as they are written.
const BUFFERED: usize = 64 * 1024;

/// The longest piece that is read at once.
const PIECE: usize = 64 * 1024;

/// The application's body on its way to the client.
#[derive(Debug)]
pub(crate) enum Streamed {
    /// The first of it; so much was passed on. Without settings, it is never read ahead.
    Direct { app: Box<AppBody>, passed: usize, settings: Option<ReadAhead> },
    /// Somebody may be reading ahead.
    Shared(Arc<Mutex<Shared>>),
    /// On its way from the one to the other.
    Gone,
}

/// A body that the client and a task read in turn.
#[derive(Debug)]
pub(crate) struct Shared {
    app: Box<AppBody>,
    settings: ReadAhead,
    /// For what is kept.
    reserved: Reserved,
    /// When the client last asked.
    asked: Instant,
    /// There was nothing then, so that its task will be woken.
    waits: bool,
}

impl Streamed {
    pub(super) const fn new(app: Box<AppBody>, settings: Option<ReadAhead>) -> Self {
        Self::Direct { app, passed: 0, settings }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct { app, .. } => app.is_end_stream(),
            Self::Shared(shared) => lock(shared).app.is_end_stream(),
            Self::Gone => true,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match self {
            Self::Direct { app, passed, .. } => {
                let frame = Pin::new(&mut **app).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &frame {
                    *passed += frame.data_ref().map_or(0, Bytes::len);
                }
                frame
            }
            Self::Shared(shared) => return lock(shared).poll_frame(cx),
            Self::Gone => return Poll::Ready(None),
        };
        if matches!(self, Self::Direct { passed: BUFFERED.., settings: Some(_), .. }) {
            self.share();
        }
        frame
    }

    /// From now on somebody looks whether the client is slow.
    fn share(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        match core::mem::replace(self, Self::Gone) {
            Self::Direct { app, settings: Some(settings), .. } => {
                let (reserved, asked) = (Reserved::default(), Instant::now());
                let shared = Shared { app, settings, reserved, asked, waits: false };
                let shared = Arc::new(Mutex::new(shared));
                runtime.spawn(read_on(Arc::downgrade(&shared)));
                *self = Self::Shared(shared);
            }
            other => *self = other,
        }
    }
}

impl Shared {
    /// For the client.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut *self.app).poll_frame(cx);
        self.release();
        self.asked = Instant::now();
        self.waits = frame.is_pending();
        frame
    }

    /// In the place of a client that is slow. Says whether there was something, or nothing if there will never be.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Option<bool> {
        if self.waits || self.asked.elapsed() < SLOW {
            return Some(false);
        }
        let mut found = false;
        while self.app.held() < self.settings.limit && self.reserve() {
            match self.app.poll_ahead(cx) {
                Poll::Ready(true) => found = true,
                Poll::Ready(false) => return None,
                Poll::Pending => break,
            }
        }
        self.release();
        Some(found)
    }

    /// Others may have the memory while nothing is kept.
    fn release(&mut self) {
        if self.app.held() == 0 {
            self.reserved = Reserved::default();
        }
    }

    /// Memory for one more piece.
    fn reserve(&mut self) -> bool {
        let needed = self.app.held() + PIECE;
        self.reserved.grow_to(needed, &self.settings.memory)
    }
}

/// Reads ahead until the body is at its end, or gone.
async fn read_on(shared: Weak<Mutex<Shared>>) {
    let mut until = SLOW;
    loop {
        sleep(until).await;
        let Some(shared) = shared.upgrade() else { return };
        let read = core::future::poll_fn(|cx| Poll::Ready(lock(&shared).poll_ahead(cx))).await;
        match read {
            None => return,
            Some(found) => until = if found { NEXT } else { SLOW },
        }
    }
}

/// What was read is whole even if somebody panicked.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
