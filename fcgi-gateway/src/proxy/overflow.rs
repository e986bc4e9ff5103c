//! What is read ahead of a slow client and finds no room in memory: a queue in a temporary file.

use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::memory::{Memory, Reserved};

/// How much may be in files.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    space: Memory,
    /// What is being written is still in memory, and the disk may be slow.
    writers: Arc<Semaphore>,
}

impl Disk {
    /// For so many bytes, of all answers together.
    pub(crate) fn new(bytes: u64) -> Self {
        let space = Memory::new(usize::try_from(bytes).unwrap_or(usize::MAX));
        Self { space, writers: Arc::new(Semaphore::new(WRITERS)) }
    }
}

/// How many write at once.
const WRITERS: usize = 8;

/// The most that each writes at once.
pub(super) const BATCH: usize = 256 * 1024;

/// The most that is read at once.
const PIECE: u64 = 64 * 1024;

/// Bytes on their way through a file, first in, first out.
///
/// What is being written stays in memory until it is there, so that nothing is lost when the disk is full.
#[derive(Debug)]
pub(super) struct Overflow {
    runtime: Handle,
    /// There while it holds something. It has no name, and is gone with its last handle.
    file: Option<Arc<File>>,
    /// Where it is read next.
    read: u64,
    /// Where it is written next.
    written: u64,
    /// Space on the disk, up to the end of what is being written.
    reserved: Reserved,
    /// What comes after the file's end: it is being written, or could not be.
    after: VecDeque<Bytes>,
    is_writing: bool,
    has_failed: bool,
    reading: Option<JoinHandle<Result<Bytes>>>,
    /// Who waits for the end of the writing.
    waker: Option<Waker>,
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Batch {
    file: Option<Arc<File>>,
    at: u64,
    pieces: Vec<Bytes>,
    permit: OwnedSemaphorePermit,
}

impl Overflow {
    pub(super) const fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            file: None,
            read: 0,
            written: 0,
            reserved: Reserved::EMPTY,
            after: VecDeque::new(),
            is_writing: false,
            has_failed: false,
            reading: None,
            waker: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read == self.written && self.after.is_empty()
    }

    /// Whether so many bytes could be written now; their space is kept until [`release`](Self::release). The permit is for
    /// [`begin_write`](Self::begin_write).
    pub(super) fn may_write(
        &mut self,
        bytes: usize,
        disk: &Disk,
        permit: &mut Option<OwnedSemaphorePermit>,
    ) -> bool {
        if self.has_failed || self.is_writing {
            return false;
        }
        if permit.is_none() {
            *permit = Arc::clone(&disk.writers).try_acquire_owned().ok();
        }
        let end = self.written.saturating_add(bytes as u64);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        permit.is_some() && self.reserved.grow_to(end, &disk.space)
    }

    /// Takes what comes next; [`Batch::write`] writes it, and [`end_write`](Self::end_write) is to be told.
    pub(super) fn begin_write(
        &mut self,
        pieces: Vec<Bytes>,
        permit: OwnedSemaphorePermit,
    ) -> Batch {
        self.is_writing = true;
        self.after.extend(pieces.iter().cloned());
        Batch { file: self.file.clone(), at: self.written, pieces, permit }
    }

    /// What became of the writing. If it failed, what was to be written stays in memory.
    pub(super) fn end_write(&mut self, result: Result<Arc<File>>) {
        self.is_writing = false;
        match result {
            Ok(file) => {
                self.file = Some(file);
                self.written += self.after.drain(..).map(|data| data.len() as u64).sum::<u64>();
            }
            Err(error) => {
                self.has_failed = true;
                tracing::warn!(
                    %error,
                    folder = %std::env::temp_dir().display(),
                    "cannot keep an answer for a slow client in a temporary file; PHP waits for it instead"
                );
            }
        }
        self.release();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Gives the disk back when there is nothing on it.
    pub(super) fn release(&mut self) {
        if self.read == self.written && !self.is_writing {
            (self.file, self.read, self.written) = (None, 0, 0);
            self.reserved = Reserved::EMPTY;
        }
    }

    /// The next piece; `None` when it is empty.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.read < self.written {
            return self.poll_file(cx).map(Some);
        }
        if self.is_writing {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(self.after.pop_front().map(Ok))
    }

    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let Some(file) = &self.file else { return Poll::Ready(Err(ErrorKind::NotFound.into())) };
        let reading = self.reading.get_or_insert_with(|| {
            let (file, at, end) = (Arc::clone(file), self.read, self.written);
            self.runtime.spawn_blocking(move || read_at(&file, at, end))
        });
        let data = ready!(Pin::new(reading).poll(cx)).map_err(Error::other);
        self.reading = None;
        let data = data??;
        self.read += data.len() as u64;
        self.release();
        Poll::Ready(Ok(data))
    }
}

impl Batch {
    /// Writes it, off the async threads.
    pub(super) async fn write(self) -> Result<Arc<File>> {
        let work = move || {
            let Self { file, mut at, pieces, permit } = self;
            let file = file.map_or_else(|| tempfile::tempfile().map(Arc::new), Ok)?;
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
            }
            drop(permit);
            Ok(file)
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::other)?
    }
}

fn read_at(file: &File, at: u64, end: u64) -> Result<Bytes> {
    let length = usize::try_from((end - at).min(PIECE)).unwrap_or(usize::MAX);
    let mut data = BytesMut::zeroed(length);
    file.read_exact_at(&mut data, at)?;
    Ok(data.freeze())
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use super::*;

    struct Queue {
        overflow: Overflow,
        disk: Disk,
    }

    impl Queue {
        fn new(space: u64) -> Self {
            Self { overflow: Overflow::new(Handle::current()), disk: Disk::new(space) }
        }

        /// A batch of so many bytes, if there is room for it.
        fn begin(&mut self, byte: u8, length: usize) -> Option<Batch> {
            let mut permit = None;
            if !self.overflow.may_write(length, &self.disk, &mut permit) {
                return None;
            }
            Some(self.overflow.begin_write(vec![Bytes::from(vec![byte; length])], permit.unwrap()))
        }

        async fn push(&mut self, byte: u8, length: usize) -> bool {
            let Some(batch) = self.begin(byte, length) else { return false };
            let result = batch.write().await;
            self.overflow.end_write(result);
            true
        }

        async fn next(&mut self) -> Option<(u8, usize)> {
            let data = poll_fn(|cx| self.overflow.poll_next(cx)).await?.unwrap();
            assert!(data.iter().all(|byte| *byte == data[0]));
            Some((data[0], data.len()))
        }
    }

    #[tokio::test]
    async fn first_in_first_out() {
        let mut queue = Queue::new(300 * 1024);
        assert!(queue.overflow.is_empty() && queue.next().await.is_none());
        assert!(
            queue.push(1, 65_536).await && queue.push(2, 10).await && queue.push(3, 70_000).await
        );
        assert_eq!(queue.next().await, Some((1, 65_536)));
        assert!(queue.push(4, 65_000).await);
        let mut rest = Vec::new();
        while let Some(data) = poll_fn(|cx| queue.overflow.poll_next(cx)).await {
            rest.extend_from_slice(&data.unwrap());
        }
        assert!(rest == [&[2; 10][..], &[3; 70_000], &[4; 65_000]].concat());
        assert!(queue.overflow.is_empty() && queue.overflow.file.is_none());
        // All of the space is there again.
        assert!(queue.push(5, 300 * 1024).await);
    }

    #[tokio::test]
    async fn space_and_writers_are_bounded() {
        let mut queue = Queue::new(100 * 1024);
        assert!(!queue.push(1, 100 * 1024 + 1).await && queue.push(1, 60 * 1024).await);
        let mut other =
            Queue { overflow: Overflow::new(Handle::current()), disk: queue.disk.clone() };
        assert!(!other.push(1, 60 * 1024).await, "all share it");
        let _batches = Vec::from_iter((0..WRITERS - 1).map(|_| {
            let mut one =
                Queue { overflow: Overflow::new(Handle::current()), disk: queue.disk.clone() };
            one.begin(1, 1024).unwrap()
        }));
        let last = other.begin(1, 1024).unwrap();
        assert!(queue.begin(1, 1024).is_none(), "nobody is free to write");
        drop(last);
        assert!(queue.begin(1, 1024).is_some());
        assert!(queue.begin(1, 1024).is_none(), "one batch after the other");
    }

    #[tokio::test]
    async fn space_that_was_not_used_is_there_for_others() {
        let mut queue = Queue::new(100 * 1024);
        let mut other =
            Queue { overflow: Overflow::new(Handle::current()), disk: queue.disk.clone() };
        let mut permit = None;
        assert!(queue.overflow.may_write(40 * 1024, &queue.disk, &mut permit));
        assert!(!other.push(1, 100 * 1024).await);
        queue.overflow.release();
        assert!(other.push(1, 100 * 1024).await);
        // What is on the disk, or on its way there, stays.
        other.overflow.release();
        assert_eq!(other.next().await, Some((1, 64 * 1024)));
        assert_eq!(other.next().await, Some((1, 36 * 1024)));
        let batch = other.begin(2, 10).unwrap();
        other.overflow.release();
        assert!(!queue.push(3, 100 * 1024).await);
        let result = batch.write().await;
        other.overflow.end_write(result);
        assert_eq!(other.next().await, Some((2, 10)));
    }

    /// Who takes faster than it is written waits for the writing.
    #[tokio::test]
    async fn what_is_being_written_comes_in_its_turn() {
        let mut queue = Queue::new(u64::MAX);
        let batch = queue.begin(1, 10).unwrap();
        assert!(!queue.overflow.is_empty());
        let pending = poll_fn(|cx| Poll::Ready(queue.overflow.poll_next(cx).is_pending())).await;
        assert!(pending && queue.overflow.waker.is_some());
        let result = batch.write().await;
        queue.overflow.end_write(result);
        assert!(queue.overflow.waker.is_none());
        assert_eq!((queue.next().await, queue.next().await), (Some((1, 10)), None));
    }

    #[tokio::test]
    async fn nothing_is_lost_when_the_disk_is_full() {
        let mut queue = Queue::new(u64::MAX);
        assert!(queue.push(1, 10).await);
        // Written through a handle that may only read, the second fails.
        let mut batch = queue.begin(2, 20).unwrap();
        let read_only = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        batch.file = Some(Arc::new(read_only));
        let result = batch.write().await;
        queue.overflow.end_write(result);
        assert!(!queue.push(3, 30).await, "it is not tried again");
        assert_eq!(queue.next().await, Some((1, 10)));
        assert_eq!((queue.next().await, queue.next().await), (Some((2, 20)), None));
        assert!(queue.overflow.is_empty());
    }
}
