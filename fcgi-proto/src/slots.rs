//! The table of open requests, for both sides.

use core::fmt;

use crate::id_map::IdMap;

/// Names one request on one connection.
///
/// A wire id is used again once its request has ended, so a handle kept too long would speak for a stranger. A key is
/// the id together with a count of the requests before it: when its request has ended, every look-up with it gives
/// `None`, also after the id is in use again.
///
/// Keys of two connections say nothing about each other, and may be equal: what holds several connections keeps the
/// connection with the key.
///
/// ```
/// use fcgi_proto::Role;
/// use fcgi_proto::client::{Config, Connection};
///
/// let mut conn = Connection::new(Config::default());
/// let key = conn.begin(Role::Responder, [("SCRIPT_NAME", "/")])?;
/// assert_eq!(key.request_id(), 1);
/// assert!(conn.request(key).is_some());
/// # Ok::<(), fcgi_proto::BeginError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey(
    /// The id in the upper 16 bits, the count in the others: one word, since every event carries it.
    u64,
);

impl RequestKey {
    const COUNT_BITS: u32 = 48;

    const fn new(request_id: u16, count: u64) -> Self {
        Self((request_id as u64) << Self::COUNT_BITS | count & Self::MAX_COUNT)
    }

    const MAX_COUNT: u64 = (1 << Self::COUNT_BITS) - 1;

    /// The id that the request has on the wire (section 3.3).
    #[inline]
    #[must_use]
    pub const fn request_id(self) -> u16 {
        let [high, low, ..] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestKey({}, {})", self.request_id(), self.0 & Self::MAX_COUNT)
    }
}

/// Open requests by id.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: IdMap<(RequestKey, T)>,
    /// Of requests so far, of which keys keep 48 bits: they come round after years.
    count: u64,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: IdMap::new(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, request_id: u16) -> bool {
        self.entries.contains(request_id)
    }

    /// Adds a request; `None` when its id is taken.
    pub(crate) fn insert(&mut self, request_id: u16, value: T) -> Option<RequestKey> {
        if self.contains(request_id) {
            return None;
        }
        let key = RequestKey::new(request_id, self.count);
        self.count = self.count.wrapping_add(1);
        self.entries.insert(request_id, (key, value));
        Some(key)
    }

    /// [`by_id`](Self::by_id), but only where it is found at once: in a table without gaps, such as one of a single
    /// request.
    #[inline]
    pub(crate) fn at_once(&self, request_id: u16) -> Option<(RequestKey, &T)> {
        self.entries.at_once(request_id).map(|(key, value)| (*key, value))
    }

    /// The request that has this id now.
    pub(crate) fn by_id(&mut self, request_id: u16) -> Option<(RequestKey, &mut T)> {
        self.entries.get_mut(request_id).map(|(key, value)| (*key, value))
    }

    /// The request that this key was given for, if it is still open.
    pub(crate) fn by_key(&mut self, key: RequestKey) -> Option<&mut T> {
        let (found, value) = self.by_id(key.request_id())?;
        (found == key).then_some(value)
    }

    /// [`by_key`](Self::by_key), to look at.
    pub(crate) fn get(&self, key: RequestKey) -> Option<&T> {
        let (found, value) = self.entries.get(key.request_id())?;
        (*found == key).then_some(value)
    }

    pub(crate) fn remove(&mut self, request_id: u16) -> Option<(RequestKey, T)> {
        self.entries.remove(request_id)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.entries.retain(|(_, value)| keep(value));
    }

    /// The open requests from this id on, in the order of ids.
    pub(crate) fn starting_at(
        &mut self,
        request_id: u16,
    ) -> impl Iterator<Item = (RequestKey, &mut T)> {
        self.entries.starting_at(request_id).map(|(_, (key, value))| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_outlive_its_request() {
        let mut slots = Slots::new();
        let old = slots.insert(7, 'a').expect("free");
        assert_eq!(slots.insert(7, 'b'), None);
        assert_eq!(slots.by_key(old), Some(&mut 'a'));
        assert_eq!(slots.remove(7), Some((old, 'a')));
        let new = slots.insert(7, 'c').expect("free again");
        assert_eq!(slots.by_key(old), None);
        assert_eq!(slots.by_key(new), Some(&mut 'c'));
    }
}
