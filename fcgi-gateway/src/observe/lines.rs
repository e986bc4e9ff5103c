//! Lines on their way to a file, written by a thread of their own.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Where a log goes: a file, or standard output. Clones are the same log.
///
/// Lines are written by a thread of their own, many at once when they come fast, so that a slow disk does not slow the
/// gateway. When it is 16,384 lines behind, further ones are dropped, and a message says how many. Dropping the last clone
/// waits until everything is written.
#[derive(Clone)]
pub struct LogFile {
    inner: Arc<Inner>,
}

struct Inner {
    sender: Option<SyncSender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    Reopen,
    Flush(SyncSender<()>),
}

enum Target {
    Stdout,
    File(PathBuf, File),
    /// For tests.
    #[cfg(test)]
    Other(Box<dyn Write + Send>),
}

impl LogFile {
    /// Standard output.
    ///
    /// # Errors
    ///
    /// The system's, when it gives no further thread.
    pub fn stdout() -> io::Result<Self> {
        Self::start(Target::Stdout)
    }

    /// A file, to which lines are appended; it is made if it is not there.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let file = append_to(&path)?;
        Self::start(Target::File(path, file))
    }

    fn start(target: Target) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { target, receiver, dropped: Arc::clone(&dropped), has_failed: false };
        let thread = std::thread::Builder::new().name("log".into()).spawn(|| writer.run())?;
        let writer = Mutex::new(Some(thread));
        Ok(Self { inner: Arc::new(Inner { sender: Some(sender), writer, dropped }) })
    }

    /// Opens the file again under its name, after logrotate has moved it away. Lines given before go to the old one.
    /// Does nothing for standard output.
    pub fn reopen(&self) {
        if let Some(sender) = &self.inner.sender {
            // Waits while the writer is behind: a signal is rare, and must not be lost.
            let _ = sender.send(Message::Reopen);
        }
    }

    /// Returns once everything given before is written.
    pub fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if let Some(sender) = &self.inner.sender {
            if sender.send(Message::Flush(done)).is_ok() {
                let _ = is_done.recv();
            }
        }
    }

    /// Takes a line, with its end.
    pub(super) fn line(&self, line: Vec<u8>) {
        let Some(sender) = &self.inner.sender else { return };
        if let Err(TrySendError::Full(_)) = sender.try_send(Message::Line(line)) {
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFile").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sender = None;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

struct Writer {
    target: Target,
    receiver: Receiver<Message>,
    dropped: Arc<AtomicU64>,
    has_failed: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = Vec::new();
        while let Ok(message) = self.receiver.recv() {
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => lines.extend_from_slice(&line),
                    Message::Reopen => {
                        self.write(&mut lines);
                        self.reopen();
                    }
                    Message::Flush(done) => {
                        self.write(&mut lines);
                        let _ = done.send(());
                    }
                }
                next = if lines.len() < AT_ONCE { self.receiver.try_recv().ok() } else { None };
            }
            self.write(&mut lines);
        }
    }

    fn write(&mut self, lines: &mut Vec<u8>) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::error!("{dropped} lines of the access log are lost: it is written too slowly");
        }
        if lines.is_empty() {
            return;
        }
        let result = match &mut self.target {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines).and_then(|()| stdout.flush())
            }
            Target::File(_, file) => file.write_all(lines),
            #[cfg(test)]
            Target::Other(other) => other.write_all(lines),
        };
        lines.clear();
        match result {
            // Once, and not for every line.
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                tracing::error!(%error, "cannot write the access log");
            }
            Err(_) => {}
            Ok(()) => self.has_failed = false,
        }
    }

    fn reopen(&mut self) {
        let Target::File(path, file) = &mut self.target else { return };
        match append_to(path) {
            Ok(opened) => *file = opened,
            Err(error) => tracing::error!(
                path = %path.display(), %error,
                "cannot open the log again; the old file stays in use"
            ),
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// In lines.
const CAPACITY: usize = 16 * 1024;
/// In bytes; more is written in several turns.
const AT_ONCE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Sender;

    #[test]
    fn a_file_can_be_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let log = LogFile::open(&path).unwrap();
        log.line(b"one\n".to_vec());
        log.flush();
        std::fs::rename(&path, &old).unwrap();
        log.line(b"two\n".to_vec());
        log.reopen();
        log.line(b"three\n".to_vec());
        drop(log);
        assert_eq!(std::fs::read_to_string(old).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\n");
    }

    /// Tells of the first write, then waits to be let go.
    struct Stuck(Sender<()>, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_file_costs_lines_and_not_time() {
        let (stuck, is_stuck) = std::sync::mpsc::channel();
        let (go, gone) = std::sync::mpsc::channel();
        let log = LogFile::start(Target::Other(Box::new(Stuck(stuck, gone)))).unwrap();
        log.line(b"first\n".to_vec());
        is_stuck.recv().unwrap();
        for _ in 0..CAPACITY + 10 {
            log.line(b"x\n".to_vec());
        }
        assert_eq!(log.inner.dropped.load(Ordering::Relaxed), 10);
        drop(go);
    }
}
