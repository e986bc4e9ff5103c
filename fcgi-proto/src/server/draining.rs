use alloc::collections::VecDeque;

use crate::wire::RecordType;

/// Requests that are over for the application while their input still comes: ended early, or refused.
///
/// nginx and others go on sending a body for a while after the answer. Such records are expected, and so they are
/// skipped without being counted as strays.
#[derive(Debug)]
pub(super) struct Draining {
    /// Each id with the record whose empty form ends its input; oldest first.
    ids: VecDeque<(u16, RecordType)>,
    limit: usize,
}

impl Draining {
    pub(super) const fn new(limit: usize) -> Self {
        Self { ids: VecDeque::new(), limit }
    }

    /// Expects input for `request_id` up to the empty `last` record. Beyond the limit the oldest id is forgotten.
    pub(super) fn expect(&mut self, request_id: u16, last: RecordType) {
        self.forget(request_id);
        if self.ids.len() >= self.limit {
            self.ids.pop_front();
        }
        self.ids.push_back((request_id, last));
    }

    /// The id is used anew.
    pub(super) fn forget(&mut self, request_id: u16) {
        self.ids.retain(|(id, _)| *id != request_id);
    }

    /// Whether a record was expected: any data, and the one record that ends it all. The ends of other streams are not,
    /// as nothing would bound how often they come.
    pub(super) fn takes(&mut self, request_id: u16, record_type: RecordType, is_end: bool) -> bool {
        let Some(&(_, last)) = self.ids.iter().find(|(id, _)| *id == request_id) else {
            return false;
        };
        let is_last = is_end && record_type == last;
        if is_last {
            self.forget(request_id);
        }
        is_last || !is_end
    }
}
