use alloc::collections::VecDeque;

use crate::RequestKey;

/// Whose the bytes are that wait to be written: the output of a connection is a queue, and this is the same queue in
/// lengths. So it is known of each request whether any of it was written, and whether all.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// `None` is for what belongs to no request that anybody asks about.
    parts: VecDeque<(Option<RequestKey>, usize)>,
}

impl Unsent {
    pub(super) fn push(&mut self, key: Option<RequestKey>, len: usize) {
        match self.parts.back_mut() {
            _ if len == 0 => {}
            Some((last, held)) if *last == key => *held += len,
            _ => self.parts.push_back((key, len)),
        }
    }

    /// Takes the owner of the next bytes that were written, of at most `count`.
    pub(super) fn pop(&mut self, count: usize) -> Option<(Option<RequestKey>, usize)> {
        let (key, held) = self.parts.front_mut()?;
        let (key, taken) = (*key, count.min(*held));
        *held -= taken;
        if *held == 0 {
            self.parts.pop_front();
        }
        Some((key, taken))
    }
}
