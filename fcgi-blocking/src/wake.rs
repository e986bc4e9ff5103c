//! Waking a thread that waits for sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A descriptor that other threads make readable, to be waited for next to a socket.
///
/// It costs a system call only when somebody is about to wait: who waits calls [`arm`](Self::arm), then looks whether
/// there is anything to do, and only then waits.
#[derive(Debug)]
pub(crate) struct Wake {
    reading: OwnedFd,
    /// The other end, where one descriptor cannot be both.
    writing: Option<OwnedFd>,
    is_armed: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (reading, writing) = descriptors()?;
        Ok(Self { reading, writing, is_armed: AtomicBool::new(false) })
    }

    /// From now on [`wake`](Self::wake) makes the descriptor readable, once.
    pub(crate) fn arm(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }

    /// Takes a wake-up back, when there was one. To be called after each wait.
    pub(crate) fn disarm(&self, is_readable: bool) {
        self.is_armed.store(false, Ordering::SeqCst);
        if is_readable {
            let mut counter = [0; 64];
            let _ = rustix::io::read(&self.reading, &mut counter);
        }
    }

    pub(crate) fn wake(&self) {
        if self.is_armed.swap(false, Ordering::SeqCst) {
            let descriptor = self.writing.as_ref().unwrap_or(&self.reading);
            // It fails only when it is full of wake-ups, and then it is readable.
            let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
        }
    }
}

impl std::task::Wake for Wake {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::wake(self);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reading.as_fd()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn descriptors() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    use rustix::event::{EventfdFlags, eventfd};
    Ok((eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?, None))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn descriptors() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (reading, writing) = std::os::unix::net::UnixStream::pair()?;
    reading.set_nonblocking(true)?;
    writing.set_nonblocking(true)?;
    Ok((reading.into(), Some(writing.into())))
}
