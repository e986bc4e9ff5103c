//! Answers are read on while their clients are slow, so that PHP need not wait for them.
//!
//! A worker of php-fpm is busy until the web server has taken all that its script wrote. While a client takes an answer as
//! fast as it comes, it is passed on piece by piece, and nothing is kept. When a client has not asked for more for a while,
//! a task reads on in its place, up to a limit, and keeps what comes until the client asks again: first in memory, then in
//! a temporary file.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, sleep};

use super::app_body::AppBody;
use super::overflow::{BATCH, Batch, Disk, Overflow};
use crate::BoxError;
use crate::memory::{Memory, Reserved};

/// How far answers may be read ahead.
#[derive(Clone, Debug)]
pub(crate) struct ReadAhead {
    /// Bytes of one in memory; none is read ahead if this is 0.
    pub(crate) limit: usize,
    /// Bytes of all together in memory.
    pub(crate) memory: Memory,
    /// Bytes of all together in files.
    pub(crate) disk: Disk,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self {
            limit: 1024 * 1024,
            memory: Memory::new(32 * 1024 * 1024),
            disk: Disk::new(1024 * 1024 * 1024),
        }
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

/// The most that is read in one turn. Hundreds of slow clients may have theirs at the same moment, and all others wait.
const TURN: usize = 128 * 1024;

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
    /// For what is kept in memory.
    reserved: Reserved,
    /// What comes after it.
    overflow: Overflow,
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
            Self::Shared(shared) => lock(shared).is_end_stream(),
            Self::Gone => true,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self {
            Self::Direct { app, passed, .. } => {
                let frame = Pin::new(&mut **app).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &frame {
                    *passed += frame.data_ref().map_or(0, Bytes::len);
                }
                frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
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
                let shared = Shared {
                    app,
                    settings,
                    reserved: Reserved::EMPTY,
                    overflow: Overflow::new(runtime.clone()),
                    asked: Instant::now(),
                    waits: false,
                };
                let shared = Arc::new(Mutex::new(shared));
                runtime.spawn(read_on(Arc::downgrade(&shared)));
                *self = Self::Shared(shared);
            }
            other => *self = other,
        }
    }
}

/// What came of reading ahead.
enum Ahead {
    Nothing,
    Something,
    /// This is to be written.
    ToFile(Batch),
    /// There will never be more.
    End,
}

impl Shared {
    fn is_end_stream(&self) -> bool {
        self.overflow.is_empty() && self.app.is_end_stream()
    }

    /// For the client.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.asked = Instant::now();
        self.waits = false;
        if let Some(data) = self.app.take_held() {
            self.release();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if !self.overflow.is_empty() {
            let data = self.overflow.poll_next(cx);
            return data.map(|data| data.map(|data| Ok(Frame::data(data?))));
        }
        let frame = Pin::new(&mut *self.app).poll_frame(cx);
        self.waits = frame.is_pending();
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    /// In the place of a client that is slow.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Ahead {
        if self.waits || self.asked.elapsed() < SLOW {
            return Ahead::Nothing;
        }
        let (mut found, mut is_over) = (0, false);
        let (mut pieces, mut length, mut permit) = (Vec::new(), 0, None);
        while found < TURN {
            let in_memory = pieces.is_empty() && self.has_memory();
            if !in_memory
                && (length >= BATCH
                    || !self.overflow.may_write(length + PIECE, &self.settings.disk, &mut permit))
            {
                break;
            }
            match self.app.poll_ahead(cx) {
                Poll::Ready(Some(piece)) if in_memory => {
                    found += piece.len().max(1);
                    self.app.hold(piece);
                }
                Poll::Ready(Some(piece)) => {
                    length += piece.len();
                    pieces.push(piece);
                }
                Poll::Ready(None) => {
                    is_over = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        let ahead = match permit {
            Some(permit) if length > 0 => Ahead::ToFile(self.overflow.begin_write(pieces, permit)),
            _ if is_over => Ahead::End,
            _ if found > 0 => Ahead::Something,
            _ => Ahead::Nothing,
        };
        self.release();
        ahead
    }

    /// Others may have the memory and the disk while nothing is kept there.
    fn release(&mut self) {
        self.overflow.release();
        if self.app.held() == 0 {
            self.reserved = Reserved::EMPTY;
        }
    }

    /// Whether there is memory for one more piece, and it is its turn.
    fn has_memory(&mut self) -> bool {
        let held = self.app.held();
        self.overflow.is_empty()
            && held < self.settings.limit
            && self.reserved.grow_to(held + PIECE, &self.settings.memory)
    }
}

/// Reads ahead until the body is at its end, or gone.
async fn read_on(shared: Weak<Mutex<Shared>>) {
    let mut until = SLOW;
    loop {
        sleep(until).await;
        let Some(shared) = shared.upgrade() else { return };
        let turn = || poll_fn(|cx| Poll::Ready(lock(&shared).poll_ahead(cx)));
        let mut ahead = turn().await;
        while let Ahead::ToFile(batch) = ahead {
            let result = batch.write().await;
            lock(&shared).overflow.end_write(result);
            if Arc::strong_count(&shared) == 1 {
                return; // the client is gone
            }
            ahead = turn().await;
        }
        until = match ahead {
            Ahead::End => return,
            Ahead::Something => NEXT,
            Ahead::Nothing | Ahead::ToFile(_) => SLOW,
        };
    }
}

/// What was read is whole even if somebody panicked.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
