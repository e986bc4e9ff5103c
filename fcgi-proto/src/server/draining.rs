use alloc::collections::VecDeque;

use crate::id_map::IdMap;
use crate::wire::RecordType;

/// Requests that are over for the application while their input still comes: ended early, or refused.
///
/// nginx and others go on sending a body for a while after the answer. Such records are expected, and so they are
/// skipped without being counted as strays.
#[derive(Debug)]
pub(super) struct Draining {
    /// Each id with the record whose empty form ends its input, and its place in `ages`.
    ids: IdMap<(RecordType, u64)>,
    /// Oldest first. An id that was forgotten, or is expected anew, has another place or none, and is passed over.
    ages: VecDeque<(u64, u16)>,
    count: u64,
    limit: usize,
}

impl Draining {
    pub(super) const fn new(limit: usize) -> Self {
        Self { ids: IdMap::new(), ages: VecDeque::new(), count: 0, limit }
    }

    /// Expects input for `request_id` up to the empty `last` record. Beyond the limit the oldest id is forgotten.
    pub(super) fn expect(&mut self, request_id: u16, last: RecordType) {
        self.ids.insert(request_id, (last, self.count));
        self.ages.push_back((self.count, request_id));
        self.count = self.count.wrapping_add(1);
        while self.ids.len() > self.limit {
            let Some((age, oldest)) = self.ages.pop_front() else { break };
            if self.is_current(age, oldest) {
                self.ids.remove(oldest);
            }
        }
        // Each time half of them or more are of no use, so that it costs little in the long run.
        if self.ages.len() > 2 * self.limit {
            let Self { ids, ages, .. } = self;
            ages.retain(|(age, id)| ids.get(*id).is_some_and(|(_, current)| current == age));
        }
    }

    /// The id is used anew.
    pub(super) fn forget(&mut self, request_id: u16) {
        if self.ids.remove(request_id).is_some() && self.ids.is_empty() {
            self.ages.clear();
        }
    }

    /// Whether a record was expected: any data, and the one record that ends it all. The ends of other streams are not,
    /// as nothing would bound how often they come.
    pub(super) fn takes(&mut self, request_id: u16, record_type: RecordType, is_end: bool) -> bool {
        let Some(&(last, _)) = self.ids.get(request_id) else {
            return false;
        };
        let is_last = is_end && record_type == last;
        if is_last {
            self.forget(request_id);
        }
        is_last || !is_end
    }

    fn is_current(&self, age: u64, request_id: u16) -> bool {
        self.ids.get(request_id).is_some_and(|(_, current)| *current == age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(draining: &mut Draining, id: u16) -> bool {
        draining.takes(id, RecordType::Stdin, false)
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut draining = Draining::new(3);
        for id in [1, 2, 3] {
            draining.expect(id, RecordType::Stdin);
        }
        draining.expect(1, RecordType::Stdin);
        draining.forget(3);
        draining.expect(4, RecordType::Stdin);
        draining.expect(5, RecordType::Stdin);
        let expected = [1, 2, 3, 4, 5].map(|id| takes(&mut draining, id));
        assert_eq!(expected, [true, false, false, true, true]);
        assert!(draining.takes(1, RecordType::Stdin, true) && !takes(&mut draining, 1));
    }

    #[test]
    fn one_id_again_and_again_takes_no_more_memory() {
        let mut draining = Draining::new(8);
        draining.expect(9, RecordType::Data);
        for _ in 0..10_000 {
            draining.expect(7, RecordType::Stdin);
        }
        assert!(draining.ages.len() <= 17);
        assert!(draining.takes(9, RecordType::Stdin, false) && takes(&mut draining, 7));
    }
}
