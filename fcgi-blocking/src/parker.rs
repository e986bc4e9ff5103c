use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Where the threads of one request wait: all of them are woken for anything, and look again.
///
/// So it does no harm that the core keeps one waker for each thing that may be waited for. It is not `thread::park`, whose
/// wake-ups are the handler's own affair.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    state: Mutex<State>,
    is_called: Condvar,
}

#[derive(Debug, Default)]
struct State {
    calls: u64,
    waiting: u32,
}

/// How often was called before a thread has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calls(u64);

impl Parker {
    /// To be asked for before looking.
    pub(crate) fn calls(&self) -> Calls {
        Calls(self.lock().calls)
    }

    pub(crate) fn call(&self) {
        let mut state = self.lock();
        state.calls += 1;
        let is_waiting = state.waiting > 0;
        drop(state);
        // It would take a system call to learn that nobody waits.
        if is_waiting {
            self.is_called.notify_all();
        }
    }

    /// Waits for a call since then. False when the deadline has passed.
    pub(crate) fn wait(&self, since: Calls, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.calls == since.0 {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            state.waiting += 1;
            state = match left {
                None => self.is_called.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.is_called.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.waiting -= 1;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::task::Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}
