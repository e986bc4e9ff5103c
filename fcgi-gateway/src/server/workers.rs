//! Threads that serve connections.

use core::num::NonZeroUsize;
use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads with an event loop each, that serve the connections of a [`Server`](super::Server).
///
/// A connection stays on its thread, and so does what its requests need: no task moves to another core, and no thread wakes
/// another for each read of an application's connection, which costs tokio's scheduler for several threads more than a
/// small request itself. In return, a thread that is busy does not hand its work to one that is not; so each new client goes to
/// the thread that has the fewest.
///
/// Dropping it ends the threads; connections still on them are cut.
///
/// ```no_run
/// # async fn example(php: fcgi_gateway::Gateway) -> std::io::Result<()> {
/// use fcgi_gateway::server::{Server, Workers};
///
/// let workers = Workers::start(std::thread::available_parallelism()?)?;
/// let server = Server::bind("0.0.0.0:8080").await?.workers(&workers);
/// server.run(php, core::future::pending()).await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the threads"]
pub struct Workers {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// The thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    ///
    /// The system's, when there is no thread or no file descriptor left.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let blocking = (BLOCKING_THREADS / count).max(LEAST_BLOCKING_THREADS);
        (0..count.get())
            .map(|number| Worker::start(number, blocking))
            .collect::<io::Result<_>>()
            .map(|workers| Self { workers })
    }

    pub(super) fn runtimes(&self) -> impl Iterator<Item = Handle> {
        self.workers.iter().map(|worker| worker.runtime.clone())
    }
}

/// Threads of all workers together that read and write files which are not in the system's cache: as many as tokio would start
/// for a single runtime. They are there only while a disk is slow.
const BLOCKING_THREADS: usize = 512;

/// Of one worker, however many there are.
const LEAST_BLOCKING_THREADS: usize = 16;

impl Worker {
    fn start(number: usize, blocking_threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking_threads)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
            // A read of a file that hangs keeps nobody.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.stop = None;
        }
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            // A task that panics ends itself, not the thread.
            let _ = thread.join();
        }
    }
}
