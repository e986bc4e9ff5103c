//! Files that the system itself copies from its memory into a socket (`sendfile`), past an HTTP server that knows only bytes.
//!
//! hyper takes bodies as bytes, and passes them on to the socket as they are, without a copy of its own. So the body of a
//! file gives it *stand-ins*: as many bytes as the file has, all from one place in memory that is never sent. The file itself
//! waits in the connection's [`Outlet`]. Where the socket is about to write, it knows a stand-in by its address, and has the
//! system send the file instead. A file so takes neither a buffer nor two copies.
//!
//! Nothing rests on hyper behaving so. Each stand-in belongs to one piece of one file by its exact address, and what is in it
//! is a pattern drawn anew by each process, which is looked for in all other bytes while a file waits. Whatever does not fit
//! breaks the connection off before a byte of it is sent.

use std::collections::VecDeque;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memchr::memmem::Finder;
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

/// The pieces of files on their way into one connection, in the order of its answers.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    has_pieces: AtomicBool,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    waiting: VecDeque<Piece>,
    /// Where the next stand-in begins.
    next: usize,
}

#[derive(Debug)]
struct Piece {
    file: Arc<File>,
    offset: u64,
    len: usize,
    /// Where the rest of its stand-in begins, in [`STAND_IN`].
    at: usize,
}

/// The longest piece, in bytes.
pub(crate) const LONGEST: usize = 512 * 1024;

/// How many stand-ins begin at different places, so that no two that wait at once are the same.
const PLACES: usize = 4096;

/// What is given to hyper instead of files.
static STAND_IN: LazyLock<Bytes> =
    LazyLock::new(|| PATTERN.repeat((LONGEST + PLACES) / PATTERN.len()).into());

/// Nobody can guess it, so that no client has it sent by a script.
static PATTERN: LazyLock<[u8; 8]> =
    LazyLock::new(|| RandomState::new().hash_one("stand-in").to_ne_bytes());

static COPIED: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(&PATTERN.repeat(4)).into_owned());

impl Outlet {
    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_pieces.load(Ordering::Relaxed)
    }

    /// Puts a piece of a file, of at most [`LONGEST`] bytes, behind those that wait, and gives its stand-in.
    pub(crate) fn announce(&self, file: &Arc<File>, offset: u64, len: usize) -> Bytes {
        let len = len.min(LONGEST);
        let mut pieces = self.pieces();
        let at = pieces.next;
        pieces.next = (at + 1) % PLACES;
        pieces.waiting.push_back(Piece { file: Arc::clone(file), offset, len, at });
        self.has_pieces.store(true, Ordering::Relaxed);
        STAND_IN.slice(at..at + len)
    }

    /// Writes what comes first of these bytes into a socket that does not block: bytes as they are, or for a stand-in its
    /// file. Says how many bytes were written.
    ///
    /// # Errors
    ///
    /// The socket's; `UnexpectedEof` for a file that has become shorter; `InvalidData` when a stand-in belongs to no file,
    /// or was copied.
    pub(crate) fn write(&self, socket: BorrowedFd<'_>, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let is_empty = |slice: &&IoSlice<'_>| slice.is_empty();
        let first = bytes.iter().take_while(is_empty).count();
        let bytes = &bytes[first..];
        let plain = bytes.iter().take_while(|slice| place(slice).is_none()).count();
        if plain > 0 {
            let is_followed = plain < bytes.len();
            return send(socket, &bytes[..plain], is_followed);
        }
        match bytes.first().and_then(|slice| place(slice)) {
            Some((at, len)) => self.send_file(socket, at, len),
            None => Ok(0),
        }
    }

    fn send_file(&self, socket: BorrowedFd<'_>, at: usize, len: usize) -> io::Result<usize> {
        let mut pieces = self.pieces();
        let piece = pieces.waiting.front_mut().filter(|piece| piece.at == at && len <= piece.len);
        let Some(piece) = piece else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a stand-in belongs to no file",
            ));
        };
        let sent = sendfile(socket, &piece.file, piece.offset, len)?;
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file has become shorter",
            ));
        }
        piece.offset += sent as u64;
        piece.at += sent;
        piece.len -= sent;
        if piece.len == 0 {
            pieces.waiting.pop_front();
            self.has_pieces.store(!pieces.waiting.is_empty(), Ordering::Relaxed);
        }
        Ok(sent)
    }
}

/// Sends bytes that are what they are. If a file follows, the system lets them wait for its beginning.
fn send(socket: BorrowedFd<'_>, bytes: &[IoSlice<'_>], is_followed: bool) -> io::Result<usize> {
    if bytes.iter().any(|slice| COPIED.find(slice).is_some()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a stand-in for a file was copied"));
    }
    let flags = if is_followed { FOLLOWED } else { SendFlags::empty() };
    Ok(rustix::net::sendmsg(socket, bytes, &mut SendAncillaryBuffer::default(), flags)?)
}

#[cfg(target_os = "linux")]
const FOLLOWED: SendFlags = SendFlags::MORE;
#[cfg(not(target_os = "linux"))]
const FOLLOWED: SendFlags = SendFlags::empty();

#[cfg(target_os = "linux")]
fn sendfile(socket: BorrowedFd<'_>, file: &File, offset: u64, len: usize) -> io::Result<usize> {
    let mut position = offset;
    match rustix::fs::sendfile(socket, file, Some(&mut position), len) {
        // Not from this file system.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => copy(socket, file, offset, len),
        sent => Ok(sent?),
    }
}

#[cfg(not(target_os = "linux"))]
use self::copy as sendfile;

/// Sends some of a file by reading it.
fn copy(socket: BorrowedFd<'_>, file: &File, offset: u64, len: usize) -> io::Result<usize> {
    let mut read = vec![0; len.min(COPIED_AT_ONCE)];
    let count = file.read_at(&mut read, offset)?;
    match count {
        0 => Ok(0),
        _ => Ok(rustix::net::send(socket, &read[..count], SendFlags::empty())?),
    }
}

const COPIED_AT_ONCE: usize = 64 * 1024;

/// Which part of the stand-in these bytes are, if they are any.
fn place(bytes: &[u8]) -> Option<(usize, usize)> {
    let whole = STAND_IN.as_ptr_range();
    let start = bytes.as_ptr();
    let is_within = whole.contains(&start) && !bytes.is_empty();
    is_within.then(|| (start.addr() - whole.start.addr(), bytes.len()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    struct Fixture {
        outlet: Outlet,
        file: Arc<File>,
        socket: UnixStream,
        peer: UnixStream,
    }

    fn fixture(content: &[u8]) -> Fixture {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let (socket, peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        Fixture { outlet: Outlet::default(), file: Arc::new(file), socket, peer }
    }

    impl Fixture {
        fn write(&self, bytes: &[&[u8]]) -> io::Result<usize> {
            let bytes = Vec::from_iter(bytes.iter().map(|bytes| IoSlice::new(bytes)));
            self.outlet.write(self.socket.as_fd(), &bytes)
        }

        fn received(&mut self) -> Vec<u8> {
            let mut all = Vec::new();
            assert_eq!(
                self.peer.read_to_end(&mut all).unwrap_err().kind(),
                io::ErrorKind::WouldBlock
            );
            all
        }
    }

    #[test]
    fn what_is_plain_and_what_stands_for_a_file() {
        let mut fixture = fixture(b"0123456789");
        let first = fixture.outlet.announce(&fixture.file, 2, 3);
        let second = fixture.outlet.announce(&fixture.file, 7, 3);
        let all: [&[u8]; 6] = [b"", b"head ", b"more ", &first, &second, b" end"];
        assert_eq!(fixture.write(&all).unwrap(), 10);
        assert_eq!(fixture.write(&all[3..]).unwrap(), 3);
        assert!(!fixture.outlet.is_empty());
        assert_eq!(fixture.write(&all[4..]).unwrap(), 3);
        assert!(fixture.outlet.is_empty());
        assert_eq!(fixture.write(&all[5..]).unwrap(), 4);
        assert_eq!(fixture.received(), b"head more 234789 end");
    }

    #[test]
    fn a_full_socket_takes_the_rest_later() {
        let content = Vec::from_iter((0..LONGEST).map(|n| n.to_le_bytes()[n % 2]));
        let mut fixture = fixture(&content);
        rustix::net::sockopt::set_socket_send_buffer_size(&fixture.socket, 8192).unwrap();
        // Longer than may be: cut to the longest.
        let mut left = fixture.outlet.announce(&fixture.file, 0, usize::MAX);
        assert_eq!(left.len(), LONGEST);
        let mut received = Vec::new();
        while !left.is_empty() {
            match fixture.write(&[&left]) {
                Ok(count) => drop(left.split_to(count)),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    received.append(&mut fixture.received());
                }
            }
        }
        received.append(&mut fixture.received());
        assert!(received == content);
    }

    #[test]
    fn nothing_is_sent_in_place_of_a_file() {
        let mut fixture = fixture(b"0123456789");
        let forgotten = fixture.outlet.announce(&fixture.file, 0, 10);
        let next = fixture.outlet.announce(&fixture.file, 0, 10);
        let copied = [&b"head"[..], &next[3..], &[b'x'; 100]].concat();
        let large = fixture.outlet.announce(&fixture.file, 0, 1000).to_vec();
        for bytes in [&next[..], &forgotten[1..], &next[5..], &large[..], &large[9..60]] {
            assert_eq!(
                fixture.write(&[b"", bytes]).unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
        // Too short to be told from chance.
        assert!(fixture.write(&[&copied]).is_ok());
        assert_eq!(fixture.received(), copied);
    }

    #[test]
    fn where_the_system_cannot_it_is_copied() {
        let mut fixture = fixture(b"0123456789");
        let socket = fixture.socket.as_fd();
        assert_eq!(copy(socket, &fixture.file, 3, 4).unwrap(), 4);
        assert_eq!(copy(socket, &fixture.file, 7, 100).unwrap(), 3);
        assert_eq!(copy(socket, &fixture.file, 10, 100).unwrap(), 0);
        assert_eq!(fixture.received(), b"3456789");
    }

    #[test]
    fn a_file_that_shrinks_is_no_success() {
        let fixture = fixture(b"0123456789");
        let stand_in = fixture.outlet.announce(&fixture.file, 0, 10);
        fixture.file.set_len(4).unwrap();
        assert_eq!(fixture.write(&[&stand_in]).unwrap(), 4);
        let error = fixture.write(&[&stand_in[4..]]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
