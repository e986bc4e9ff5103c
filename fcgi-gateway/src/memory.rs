//! Memory for bodies that are kept for a while, requests' or responses': all of a kind share it. Space on a disk is
//! accounted for in the same way.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is left, in units of [`UNIT`].
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Semaphore>);

/// Finer accounts would be longer than what is accounted for.
const UNIT: usize = 1024;

/// Memory for one body, nothing at first. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved(Option<OwnedSemaphorePermit>);

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Memory for so many bytes, if it is there.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let mut reserved = Reserved::EMPTY;
        reserved.grow_to(bytes, self).then_some(reserved)
    }
}

impl Reserved {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self(None);

    fn units(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Takes more of the same memory, if it is there.
    pub(crate) fn grow_to(&mut self, bytes: usize, memory: &Memory) -> bool {
        let more = bytes.div_ceil(UNIT).saturating_sub(self.units());
        if more == 0 {
            return true;
        }
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(more) = Arc::clone(&memory.0).try_acquire_many_owned(more) else { return false };
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            None => self.0 = Some(more),
        }
        true
    }

    /// Holds the memory for as long as there is a handle of the data, which may be shorter than was thought.
    pub(crate) fn keep(mut self, data: Bytes) -> Bytes {
        let excess = self.units().saturating_sub(data.len().div_ceil(UNIT));
        if let Some(permit) = &mut self.0 {
            drop(permit.split(excess));
        }
        Bytes::from_owner(Kept { data, _reserved: self })
    }
}

struct Kept {
    data: Bytes,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_back_with_the_last_handle() {
        let memory = Memory::new(4 * 1024 + 1);
        let first = memory.reserve(3 * 1024).unwrap();
        assert!(memory.reserve(1025).is_none(), "one unit is left");
        // Shorter than was thought.
        let data = first.keep(Bytes::from_static(b"short"));
        let second = memory.reserve(3 * 1024).unwrap();
        let clone = data.clone();
        drop(data);
        assert!(memory.reserve(1).is_none(), "a handle is left");
        drop(clone);
        assert!(memory.reserve(1).is_some());
        drop(second);
        assert!(memory.reserve(4 * 1024).is_some());
        assert!(memory.reserve(4 * 1024 + 1).is_none() && memory.reserve(usize::MAX).is_none());
        assert!(Memory::new(0).reserve(1).is_none());
    }
}
