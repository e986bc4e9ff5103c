//! Reading a file without waiting for its disk.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::fs::File;
use std::io::{self, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::JoinHandle;

use super::regular::RegularFile;

/// A file as it was when it was opened, read from some position on.
///
/// What the system has in memory, as most of a site's files are, is read at once: handing that to another thread would cost
/// many times the read. Only for what must come from a disk another thread waits.
#[derive(Debug)]
pub(super) struct Reading {
    file: Arc<File>,
    position: u64,
    /// What is appended to the file later is not sent: the head of the answer has told its length.
    len: u64,
    waiting: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// What the other thread has read.
    ahead: Bytes,
}

impl Reading {
    pub(super) fn new(file: File, len: u64) -> Self {
        Self { file: Arc::new(file), position: 0, len, waiting: None, ahead: Bytes::new() }
    }

    pub(super) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.ahead.has_remaining() {
                let count = self.ahead.len().min(buf.remaining());
                buf.put_slice(&self.ahead.split_to(count));
                self.position += count as u64;
                return Poll::Ready(Ok(()));
            }
            if let Some(waiting) = &mut self.waiting {
                let read = ready!(Pin::new(waiting).poll(cx));
                self.waiting = None;
                self.ahead = read.map_err(io::Error::other)??.into();
                if self.ahead.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let left = self.len.saturating_sub(self.position);
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(buf.remaining());
            if room == 0 {
                return Poll::Ready(Ok(()));
            }
            match read_now(&self.file, buf.initialize_unfilled_to(room), self.position) {
                Some(read) => {
                    let count = read?;
                    buf.advance(count);
                    self.position += count as u64;
                    return Poll::Ready(Ok(()));
                }
                None => self.read_elsewhere(room),
            }
        }
    }

    fn read_elsewhere(&mut self, room: usize) {
        let (file, position) = (Arc::clone(&self.file), self.position);
        self.waiting = Some(tokio::task::spawn_blocking(move || {
            let mut data = vec![0; room];
            let count = file.read_at(&mut data, position)?;
            data.truncate(count);
            Ok(data)
        }));
    }

    fn seek(&mut self, to: SeekFrom) -> io::Result<()> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        (self.waiting, self.ahead) = (None, Bytes::new());
        Ok(())
    }
}

/// Reads what is in memory; `None` when none of it is, or when the system or this file system cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn read_now(file: &File, buf: &mut [u8], position: u64) -> Option<io::Result<usize>> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2, retry_on_intr};
    let read = retry_on_intr(|| {
        preadv2(file, &mut [io::IoSliceMut::new(buf)], position, ReadWriteFlags::NOWAIT)
    });
    match read {
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => None,
        read => Some(read.map_err(Into::into)),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_now(_file: &File, _buf: &mut [u8], _position: u64) -> Option<io::Result<usize>> {
    None
}

impl AsyncRead for RegularFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reading.poll_read(cx, buf)
    }
}

impl AsyncSeek for RegularFile {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        self.reading.seek(position)
    }

    fn poll_complete(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.reading.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write;

    fn file() -> (File, Vec<u8>) {
        let data: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        (file, data)
    }

    async fn rest(reading: &mut Reading, is_elsewhere: bool) -> Vec<u8> {
        let (mut all, mut room) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            if is_elsewhere && reading.waiting.is_none() && reading.ahead.is_empty() {
                let left = usize::try_from(reading.len - reading.position).unwrap();
                reading.read_elsewhere(left.min(100_000));
            }
            let mut buf = ReadBuf::new(&mut room);
            poll_fn(|cx| reading.poll_read(cx, &mut buf)).await.unwrap();
            if buf.filled().is_empty() {
                return all;
            }
            all.extend_from_slice(buf.filled());
        }
    }

    #[tokio::test]
    async fn all_of_it_here_and_elsewhere() {
        for is_elsewhere in [false, true] {
            let (file, data) = file();
            let mut reading = Reading::new(file, data.len() as u64);
            assert!(rest(&mut reading, is_elsewhere).await == data);
            reading.seek(SeekFrom::End(-10)).unwrap();
            assert!(rest(&mut reading, is_elsewhere).await == data[299_990..]);
            reading.seek(SeekFrom::Current(-5)).unwrap();
            assert!(rest(&mut reading, is_elsewhere).await == data[299_995..]);
            reading.seek(SeekFrom::Start(299_999)).unwrap();
            assert!(rest(&mut reading, is_elsewhere).await == data[299_999..]);
            assert!(reading.seek(SeekFrom::End(-300_001)).is_err());
        }
    }

    #[tokio::test]
    async fn as_long_as_it_was() {
        let (mut file, data) = file();
        let len = data.len() as u64;
        file.write_all(b"appended").unwrap();
        let mut reading = Reading::new(file.try_clone().unwrap(), len);
        assert!(rest(&mut reading, false).await == data, "what came later is not sent");
        file.set_len(1000).unwrap();
        reading.seek(SeekFrom::Start(0)).unwrap();
        assert!(rest(&mut reading, false).await == data[..1000], "what is gone cannot be");
    }
}
