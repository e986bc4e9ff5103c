use alloc::vec::Vec;
use core::num::NonZeroU16;
use core::time::Duration;

use super::Lane;
use super::conn::{Conn, ConnId, Conns, Row};
use super::list::List;
use super::upstream::Upstream;

/// The connections, and every account that is kept of them. All changes go through here, so that the accounts stay true.
#[derive(Debug)]
pub(super) struct Stock {
    conns: Conns,
    upstreams: Vec<Upstream>,
    /// Open connections by age, the oldest first; only kept when there is a limit to it.
    ages: List,
    keeps_ages: bool,
}

impl Stock {
    pub(super) fn new(upstreams: Vec<Upstream>, keeps_ages: bool) -> Self {
        Self { conns: Conns::new(), upstreams, ages: List::default(), keeps_ages }
    }

    pub(super) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    pub(super) fn upstream(&self, index: usize) -> Option<&Upstream> {
        self.upstreams.get(index)
    }

    pub(super) fn upstream_mut(&mut self, index: usize) -> Option<&mut Upstream> {
        self.upstreams.get_mut(index)
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(id)
    }

    pub(super) fn add(&mut self, conn: Conn) -> ConnId {
        let Conn { upstream, in_flight, is_open, .. } = conn;
        let id = self.conns.insert(conn);
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            upstream.connections += 1;
            upstream.dialling += usize::from(!is_open);
            upstream.in_flight += in_flight;
        }
        self.update(id, |_| {});
        id
    }

    /// Changes a connection, and puts it in the row where it then belongs.
    pub(super) fn update(&mut self, id: ConnId, change: impl FnOnce(&mut Conn)) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(upstream) = self.upstreams.get_mut(conn.upstream) else { return };
        upstream.in_flight -= conn.in_flight;
        let (was_open, was_in) = (conn.is_open, (conn.row, conn.lane));
        upstream.dialling -= usize::from(!was_open);
        change(conn);
        upstream.in_flight += conn.in_flight;
        upstream.dialling += usize::from(!conn.is_open);

        let is_new = self.keeps_ages && conn.is_open && !was_open;
        conn.has_age |= is_new;
        let wanted = conn.wanted_row(upstream.multiplex.get().into());
        conn.row = wanted;
        let is_in = (wanted, conn.lane);
        if was_in != is_in {
            leave(upstream, &mut self.conns, was_in, id.place);
            join(upstream, &mut self.conns, is_in, id.place);
        }
        if is_new {
            self.ages.push(&mut self.conns, |conn| &mut conn.by_age, id.place);
        }
    }

    /// Removes a connection from all accounts.
    pub(super) fn forget(&mut self, id: ConnId) -> Option<Conn> {
        let &Conn { upstream, row, lane, has_age, .. } = self.conns.get(id)?;
        if has_age {
            self.ages.remove(&mut self.conns, |conn| &mut conn.by_age, id.place);
        }
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            leave(upstream, &mut self.conns, (row, lane), id.place);
        }
        let conn = self.conns.remove(id)?;
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            upstream.connections -= 1;
            upstream.dialling -= usize::from(!conn.is_open);
            upstream.in_flight -= conn.in_flight;
        }
        Some(conn)
    }

    /// The connection of a row that is in it longest.
    pub(super) fn first(&self, upstream: usize, row: Row) -> Option<(ConnId, &Conn)> {
        self.conns.at(self.upstreams.get(upstream)?.row(row).first()?)
    }

    /// An open connection with room. One of the lane comes first, then one that others share, then the one used last: so
    /// the rest can grow old and go.
    pub(super) fn free(&self, upstream: usize, lane: Lane) -> Option<(ConnId, &Conn)> {
        let upstream = self.upstreams.get(upstream)?;
        let own = |row| upstream.lane(lane, row).and_then(List::last);
        let any = |row| upstream.row(row).last();
        let own = own(Row::Shared).or_else(|| own(Row::Idle));
        self.conns.at(own.or_else(|| any(Row::Shared)).or_else(|| any(Row::Idle))?)
    }

    /// When the oldest connection was opened.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.conns.at(self.ages.first()?).map(|(_, conn)| conn.opened)
    }

    /// Takes the oldest connection out of the list by age.
    pub(super) fn pop_oldest(&mut self) -> Option<ConnId> {
        let place = self.ages.first()?;
        self.ages.remove(&mut self.conns, |conn| &mut conn.by_age, place);
        self.conns.at_mut(place)?.has_age = false;
        self.conns.at(place).map(|(id, _)| id)
    }

    /// How many requests may share a connection to the address from now on.
    pub(super) fn set_multiplex(&mut self, index: usize, requests: NonZeroU16) {
        let Some(upstream) = self.upstreams.get_mut(index) else { return };
        upstream.multiplex = requests;
        self.update_all(index, |_| {});
    }

    /// An address more: in the place of one that is gone, or in a new one.
    pub(super) fn add_upstream(&mut self, upstream: Upstream) -> usize {
        let mut places = self.upstreams.iter_mut().enumerate();
        if let Some((index, place)) = places.find(|(_, place)| place.is_gone()) {
            *place = upstream;
            return index;
        }
        self.upstreams.push(upstream);
        self.upstreams.len() - 1
    }

    /// Begins no further request at the address. What is in flight goes on; the rest is for the caller to close.
    pub(super) fn remove_upstream(&mut self, index: usize) {
        let Some(upstream) = self.upstreams.get_mut(index) else { return };
        upstream.remove();
        self.update_all(index, |conn| conn.is_retired = true);
    }

    fn update_all(&mut self, index: usize, change: impl Fn(&mut Conn)) {
        for place in 0..self.conns.places() {
            let found = self.conns.at(place).filter(|(_, conn)| conn.upstream == index);
            if let Some((id, _)) = found {
                self.update(id, &change);
            }
        }
    }
}

/// Puts a connection at the end of its row, and of the part of it that is its lane's.
fn join(
    upstream: &mut Upstream,
    conns: &mut Conns,
    (row, lane): (Option<Row>, Lane),
    place: usize,
) {
    let Some(row) = row else { return };
    upstream.row_mut(row).push(conns, |conn| &mut conn.in_row, place);
    if let Some(list) = upstream.lane_mut(lane, row) {
        list.push(conns, |conn| &mut conn.in_lane, place);
    }
}

/// Takes it out of where [`join`] has put it.
fn leave(
    upstream: &mut Upstream,
    conns: &mut Conns,
    (row, lane): (Option<Row>, Lane),
    place: usize,
) {
    let Some(row) = row else { return };
    upstream.row_mut(row).remove(conns, |conn| &mut conn.in_row, place);
    if let Some(list) = upstream.lane_mut(lane, row) {
        list.remove(conns, |conn| &mut conn.in_lane, place);
    }
}
