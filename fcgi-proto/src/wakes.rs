use alloc::vec::Vec;
use core::task::Waker;

/// Whom to wake. Made before a lock is taken, so that it is dropped, and wakes, after the lock: who is woken may want it at
/// once.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// Nearly always there is one.
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Extend<Waker> for Wakes {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        for waker in wakers {
            match &self.first {
                None => self.first = Some(waker),
                Some(first) if first.will_wake(&waker) => {}
                Some(_) => self.more.push(waker),
            }
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.first.take().into_iter().chain(self.more.drain(..)).for_each(Waker::wake);
    }
}
