//! Sockets that block only where that is asked for, and waiting for several of them at once.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::Buf;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, Timespec};
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg};

/// A connected stream socket, TCP or Unix. It is one that blocks, and told each time not to.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// Takes a connected socket, whether it blocks or not.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        ioctl_fionbio(&descriptor, false)?;
        Ok(Self(descriptor))
    }

    /// Reads into the spare room of `buf`; `None` when nothing is there yet, 0 when the peer has closed.
    pub(crate) fn read(&self, buf: &mut Vec<u8>) -> io::Result<Option<usize>> {
        would_block(retry_on_intr(|| recv(&self.0, spare_capacity(buf), RecvFlags::DONTWAIT)))
            .map(|count| count.map(|(count, _)| count))
    }

    /// Waits until something is there and reads it, as [`read`](Self::read) does; `None` when the time that was
    /// [set](Self::set_patience) has passed, or a signal came.
    pub(crate) fn wait_and_read(&self, buf: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let read = recv(&self.0, spare_capacity(buf), RecvFlags::empty());
        match read {
            Err(Errno::INTR) => Ok(None),
            read => would_block(read).map(|count| count.map(|(count, _)| count)),
        }
    }

    /// Says how long to wait for something to read; without limit at first.
    pub(crate) fn set_patience(&self, limit: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, limit)?)
    }

    /// Writes what it takes of `outgoing` in one system call and advances it; `None` when it takes nothing now.
    pub(crate) fn write(&self, outgoing: &mut impl Buf) -> io::Result<Option<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = outgoing.chunks_vectored(&mut slices);
        let (slices, _) = slices.split_at(count);
        let mut control = SendAncillaryBuffer::default();
        let sent = retry_on_intr(|| sendmsg(&self.0, slices, &mut control, SEND_FLAGS));
        match would_block(sent)? {
            Some(0) => Err(io::ErrorKind::WriteZero.into()),
            Some(count) => {
                outgoing.advance(count);
                Ok(Some(count))
            }
            None => Ok(None),
        }
    }

    /// Says to the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, Shutdown::Write)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of the descriptors is ready, `limit` has passed, or a signal came: look at each, and at the clock.
pub(crate) fn wait(descriptors: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    // A limit of more seconds than the system can count is none.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match rustix::event::poll(descriptors, limit.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn would_block<T>(result: Result<T, Errno>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The most pieces in one write.
const SLICES: usize = 64;

/// A peer that has gone is an error to us, never a signal to a program that did not start in Rust.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT;
