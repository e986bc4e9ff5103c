use std::error::Error as StdError;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::task::Poll;
use std::thread;

use bytes::{Bytes, BytesMut};

use super::body::read_chunk;
use crate::wake::Wake;

/// Reads a body in a thread of its own, a few pieces ahead, so that whoever carries the bytes never blocks on its source.
#[derive(Debug)]
pub(super) struct Feeder {
    pieces: Receiver<Piece>,
    wake: Arc<Wake>,
}

type Piece = io::Result<Option<Bytes>>;

impl Feeder {
    pub(super) fn spawn(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let wake = Arc::new(Wake::new()?);
        let (sender, pieces) = sync_channel(AHEAD);
        let end = Sending { pieces: Some(sender), wake: Arc::clone(&wake) };
        thread::Builder::new().name("fcgi-body".to_owned()).spawn(move || end.run(reader))?;
        Ok(Self { pieces, wake })
    }

    /// The next piece; pending only with the wake-up armed.
    pub(super) fn poll_chunk(
        &mut self,
    ) -> Poll<Option<Result<Bytes, Box<dyn StdError + Send + Sync>>>> {
        let piece = self.pieces.try_recv().or_else(|error| {
            if error == TryRecvError::Disconnected {
                return Err(error);
            }
            // A piece that comes between the look and the wait wakes; one that came before is seen by a second look.
            self.wake.arm();
            self.pieces.try_recv()
        });
        match piece {
            Ok(piece) => Poll::Ready(piece.map_err(Into::into).transpose()),
            Err(TryRecvError::Empty) => Poll::Pending,
            // The end is a piece as well, so that this is never taken for it.
            Err(TryRecvError::Disconnected) => Poll::Ready(Some(Err("its reader panicked".into()))),
        }
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }
}

/// The thread's side.
struct Sending {
    pieces: Option<SyncSender<Piece>>,
    wake: Arc<Wake>,
}

impl Sending {
    fn run(self, mut reader: Box<dyn Read + Send>) {
        let mut buf = BytesMut::new();
        loop {
            let piece = read_chunk(&mut reader, &mut buf);
            let is_last = !matches!(piece, Ok(Some(_)));
            let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok());
            self.wake.wake();
            if is_last || !sent {
                return;
            }
        }
    }
}

impl Drop for Sending {
    /// Also when the reader panics: the channel is closed first, and then whoever waits looks.
    fn drop(&mut self) {
        self.pieces = None;
        self.wake.wake();
    }
}

/// How many pieces wait to be taken.
const AHEAD: usize = 2;
