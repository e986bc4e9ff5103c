/// The ids that a client gives out: upwards, so that none comes back soon.
#[derive(Debug, Default)]
pub(super) struct Ids {
    last: u16,
    has_wrapped: bool,
}

impl Ids {
    /// Every id from the next one on, once around.
    pub(super) fn candidates(&self) -> impl Iterator<Item = u16> + use<> {
        let last = self.last;
        (last..=u16::MAX).skip(1).chain(1..=last)
    }

    pub(super) fn use_id(&mut self, id: u16) {
        self.has_wrapped |= id < self.last;
        self.last = id;
    }

    pub(super) fn was_used(&self, id: u16) -> bool {
        self.has_wrapped || id <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_wrap_behind_the_last() {
        let mut ids = Ids::default();
        assert_eq!(ids.candidates().next(), Some(1));
        assert!(!ids.was_used(1));
        ids.use_id(1);
        assert_eq!(ids.candidates().next(), Some(2));
        assert!(ids.was_used(1) && !ids.was_used(2));
        ids.use_id(u16::MAX);
        assert_eq!(ids.candidates().next(), Some(1));
        ids.use_id(1);
        assert!(ids.was_used(40_000));
        assert_eq!(ids.candidates().count(), usize::from(u16::MAX));
    }
}
