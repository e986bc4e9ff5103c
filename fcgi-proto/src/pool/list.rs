//! Lists that run through the connections themselves: adding and taking out at any place cost the same for one connection
//! and for thousands, and allocate nothing.

use super::conn::{Conn, Conns};

/// The ends of a list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    first: Option<usize>,
    last: Option<usize>,
    len: usize,
}

/// A connection's neighbours in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    before: Option<usize>,
    after: Option<usize>,
}

impl Links {
    pub(super) const NONE: Self = Self { before: None, after: None };
}

/// Which of its links a connection lends to a list.
pub(super) type Side = fn(&mut Conn) -> &mut Links;

impl List {
    pub(super) const fn first(&self) -> Option<usize> {
        self.first
    }

    pub(super) const fn last(&self) -> Option<usize> {
        self.last
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, conns: &mut Conns, side: Side, place: usize) {
        if let Some(conn) = conns.at_mut(place) {
            *side(conn) = Links { before: self.last, after: None };
        }
        match self.last.and_then(|last| conns.at_mut(last)) {
            Some(last) => side(last).after = Some(place),
            None => self.first = Some(place),
        }
        self.last = Some(place);
        self.len += 1;
    }

    /// Takes out a connection that is in the list.
    pub(super) fn remove(&mut self, conns: &mut Conns, side: Side, place: usize) {
        let Some(conn) = conns.at_mut(place) else { return };
        let Links { before, after } = core::mem::replace(side(conn), Links::NONE);
        match before.and_then(|before| conns.at_mut(before)) {
            Some(before) => side(before).after = after,
            None => self.first = after,
        }
        match after.and_then(|after| conns.at_mut(after)) {
            Some(after) => side(after).before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }
}
