use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What a thread is to do.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads that are used again: a connection or request is often shorter than it takes to start one.
///
/// How many there are is bounded by who calls.
#[derive(Clone, Default)]
pub(super) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    is_called: Condvar,
}

#[derive(Default)]
struct State {
    /// Never more than there are idle threads.
    jobs: VecDeque<Job>,
    idle: usize,
}

impl Workers {
    /// Runs a job at once, in a thread that is idle or in a new one.
    ///
    /// # Errors
    /// The system has no more threads. The job was dropped.
    pub(super) fn run(&self, job: Job) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.idle > state.jobs.len() {
            state.jobs.push_back(job);
            drop(state);
            self.0.is_called.notify_one();
            return Ok(());
        }
        drop(state);
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("fcgi-worker".to_owned());
        thread.spawn(move || {
            job();
            while let Some(job) = shared.next() {
                job();
            }
        })?;
        Ok(())
    }
}

impl Shared {
    /// The next job; none after a while without.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let has_none = |state: &mut State| state.jobs.is_empty();
        let waited = self.is_called.wait_timeout_while(state, KEPT, has_none);
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        state.jobs.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a thread without work is kept.
const KEPT: Duration = Duration::from_secs(10);
