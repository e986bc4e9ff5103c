//! A map by request id.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Values by id, in the order of ids.
///
/// A peer may choose any of 65,535 ids but holds few of them at once: those stand in a small sorted list, which keeps its
/// memory and so costs no allocation once it is warm. Where there are more, moving them up and down would cost as much
/// time as their number squared, and a tree takes over until the map is empty again.
#[derive(Debug)]
pub(crate) struct IdMap<T> {
    few: Vec<(u16, T)>,
    /// Holds everything unless it is empty.
    many: BTreeMap<u16, T>,
}

/// How many entries a list may have.
const FEW: usize = 64;

impl<T> IdMap<T> {
    pub(crate) const fn new() -> Self {
        Self { few: Vec::new(), many: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    pub(crate) fn contains(&self, id: u16) -> bool {
        self.find(id).is_ok() || self.many.contains_key(&id)
    }

    /// The value, where it is found at once: in a list without gaps, such as one of a single entry.
    #[inline]
    pub(crate) fn at_once(&self, id: u16) -> Option<&T> {
        let (first, _) = self.few.first()?;
        let (found, value) = self.few.get(usize::from(id.wrapping_sub(*first)))?;
        (*found == id).then_some(value)
    }

    pub(crate) fn get(&self, id: u16) -> Option<&T> {
        match self.find(id) {
            Ok(place) => self.few.get(place).map(|(_, value)| value),
            Err(_) => self.many.get(&id),
        }
    }

    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut T> {
        match self.find(id) {
            Ok(place) => self.few.get_mut(place).map(|(_, value)| value),
            Err(_) => self.many.get_mut(&id),
        }
    }

    /// Adds a value, in place of one that this id has.
    pub(crate) fn insert(&mut self, id: u16, value: T) {
        if !self.many.is_empty() {
            self.many.insert(id, value);
            return;
        }
        match self.find(id) {
            Ok(place) => {
                if let Some((_, old)) = self.few.get_mut(place) {
                    *old = value;
                }
            }
            Err(place) if self.few.len() < FEW => self.few.insert(place, (id, value)),
            Err(_) => {
                self.many.extend(self.few.drain(..));
                self.many.insert(id, value);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: u16) -> Option<T> {
        let Ok(place) = self.find(id) else {
            return self.many.remove(&id);
        };
        if place + 1 == self.few.len() {
            return self.few.pop().map(|(_, value)| value); // nothing to move up
        }
        Some(self.few.remove(place).1)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.few.retain(|(_, value)| keep(value));
        self.many.retain(|_, value| keep(value));
    }

    /// The entries from this id on.
    pub(crate) fn starting_at(&mut self, id: u16) -> impl Iterator<Item = (u16, &mut T)> {
        let (Ok(place) | Err(place)) = self.find(id);
        let few = self.few.get_mut(place..).unwrap_or_default();
        let few = few.iter_mut().map(|(id, value)| (*id, value));
        few.chain(self.many.range_mut(id..).map(|(id, value)| (*id, value)))
    }

    /// Where this id is in the list, or where it would be.
    fn find(&self, id: u16) -> Result<usize, usize> {
        self.few.binary_search_by_key(&id, |(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as a plain tree, few or many, up and down.
    #[test]
    fn is_a_map() {
        let mut map = IdMap::new();
        let mut model = BTreeMap::new();
        // A prime, so that every step comes by all of them; an interpreter is slow.
        let count = if cfg!(miri) { 97 } else { 397 };
        let ids = |step: u32| (0..count).map(move |at| u16::try_from(at * step % count).unwrap());
        let check = |map: &mut IdMap<u32>, model: &BTreeMap<u16, u32>, id: u16| {
            assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            assert_eq!((map.get(id), map.contains(id)), (model.get(&id), model.contains_key(&id)));
            assert_eq!(map.get_mut(id).copied(), model.get(&id).copied());
            assert!(map.at_once(id).is_none_or(|found| Some(found) == model.get(&id)));
            let found = Vec::from_iter(map.starting_at(id).map(|(id, value)| (id, *value)));
            assert_eq!(found, Vec::from_iter(model.range(id..).map(|(id, value)| (*id, *value))));
        };
        for (round, id) in (0..).zip(ids(37)) {
            map.insert(id, round);
            model.insert(id, round);
            check(&mut map, &model, id);
        }
        map.retain(|value| value % 3 > 0);
        model.retain(|_, value| *value % 3 > 0);
        for id in ids(91) {
            assert_eq!(map.remove(id), model.remove(&id));
            check(&mut map, &model, id.wrapping_add(5));
        }
        assert!(map.is_empty());
        map.insert(7, 1);
        assert_eq!(map.at_once(7), Some(&1), "a list again");
    }
}
