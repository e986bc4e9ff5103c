//! Memory for bodies that are kept for a while, requests' or responses': all of a kind share it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is left, in units of [`UNIT`].
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Semaphore>);

/// Finer accounts would be longer than what is accounted for.
const UNIT: usize = 1024;

/// Memory for one body. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    permit: OwnedSemaphorePermit,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Memory for so many bytes, if it is there.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Reserved> {
        let units = u32::try_from(bytes.div_ceil(UNIT as u64)).ok()?;
        Some(Reserved { permit: Arc::clone(&self.0).try_acquire_many_owned(units).ok()? })
    }
}

impl Reserved {
    /// Takes more of the same, if it is there.
    pub(crate) fn grow_to(&mut self, bytes: usize, memory: &Memory) -> bool {
        let more = bytes.div_ceil(UNIT).saturating_sub(self.permit.num_permits());
        match memory.reserve((more * UNIT) as u64) {
            Some(reserved) => {
                self.permit.merge(reserved.permit);
                true
            }
            None => false,
        }
    }

    /// Holds the memory for as long as there is a handle of the data, which may be shorter than was thought.
    pub(crate) fn keep(mut self, data: Bytes) -> Bytes {
        let units = data.len().div_ceil(UNIT);
        drop(self.permit.split(self.permit.num_permits().saturating_sub(units)));
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
        assert!(memory.reserve(4 * 1024 + 1).is_none() && memory.reserve(u64::MAX).is_none());
        assert!(Memory::new(0).reserve(1).is_none());
    }
}
