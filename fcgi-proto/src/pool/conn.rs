use alloc::vec::Vec;
use core::time::Duration;

use super::Lane;
use super::list::Links;

/// Names one connection of a pool. It finds nothing once the connection is gone, also after its place is used again.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::pool::{Config, ConnId, Grant, Pool};
///
/// let mut pool = Pool::new(Config::default(), 1);
/// let mut sockets: Vec<(ConnId, &str)> = Vec::new(); // an adapter keeps its sockets by these names
/// if let Grant::Dial { conn, .. } = pool.acquire(Duration::ZERO)? {
///     sockets.push((conn, "a socket"));
/// }
/// # Ok::<(), fcgi_proto::pool::AcquireError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    pub(super) place: usize,
    serial: u64,
}

/// What the pool knows of a connection.
///
/// ```text
/// Dialling ──connected──> Open ──release──> Open, in_flight 0: idle ──acquire──> Open
///    └─error─> gone         └──not reusable, or somebody needs its worker──> gone
/// ```
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) upstream: usize,
    pub(super) lane: Lane,
    pub(super) is_open: bool,
    /// A byte has come: a worker has picked the connection up.
    pub(super) is_served: bool,
    /// No request may begin any more; it goes with the last in flight.
    pub(super) is_retired: bool,
    /// One request at a time, whatever its address can do.
    pub(super) is_single: bool,
    pub(super) in_flight: usize,
    /// Requests begun so far.
    pub(super) requests: u32,
    pub(super) opened: Duration,
    /// When its dial began; after that, when its last request began or, while it idles, has ended.
    pub(super) since: Duration,
    /// The list of its address that it is in, and its neighbours there.
    pub(super) row: Option<Row>,
    pub(super) in_row: Links,
    /// Its neighbours in the list of those of its lane, in the row.
    pub(super) in_lane: Links,
    /// Whether it is in the list of the pool by age, and its neighbours there.
    pub(super) has_age: bool,
    pub(super) by_age: Links,
}

/// Connections to an address that a decision may be about. The rows of fresh and of idle ones are in the order of
/// [`Conn::since`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// In use, but no worker has picked it up yet.
    Fresh,
    /// In use, with room for more requests.
    Shared,
    Idle,
}

impl Conn {
    pub(super) const fn dialling(upstream: usize, lane: Lane, now: Duration) -> Self {
        Self {
            upstream,
            lane,
            is_open: false,
            is_served: false,
            is_retired: false,
            is_single: false,
            in_flight: 1,
            requests: 1,
            opened: now,
            since: now,
            row: None,
            in_row: Links::NONE,
            in_lane: Links::NONE,
            has_age: false,
            by_age: Links::NONE,
        }
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.is_open && self.in_flight == 0
    }

    /// The row that it belongs in, when `multiplex` requests may share a connection.
    ///
    /// An application that multiplexes has no worker for each connection, so that none waits for one.
    pub(super) const fn wanted_row(&self, multiplex: usize) -> Option<Row> {
        let multiplex = if self.is_single { 1 } else { multiplex };
        if self.is_idle() {
            Some(Row::Idle)
        } else if multiplex == 1 {
            if self.is_served { None } else { Some(Row::Fresh) }
        } else if self.is_open && !self.is_retired && self.in_flight < multiplex {
            Some(Row::Shared)
        } else {
            None
        }
    }
}

/// Connections in a list whose places are used again.
#[derive(Debug)]
pub(super) struct Conns {
    places: Vec<Option<(u64, Conn)>>,
    free: Vec<usize>,
    next_serial: u64,
}

impl Conns {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), next_serial: 0 }
    }

    pub(super) fn insert(&mut self, conn: Conn) -> ConnId {
        let serial = self.next_serial;
        self.next_serial += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some((serial, conn));
        }
        ConnId { place, serial }
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        match self.places.get(id.place) {
            Some(Some((serial, conn))) if *serial == id.serial => Some(conn),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        match self.places.get_mut(id.place) {
            Some(Some((serial, conn))) if *serial == id.serial => Some(conn),
            _ => None,
        }
    }

    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut Conn> {
        self.places.get_mut(place)?.as_mut().map(|(_, conn)| conn)
    }

    /// The connection in a place, as lists name it.
    pub(super) fn at(&self, place: usize) -> Option<(ConnId, &Conn)> {
        let (serial, conn) = self.places.get(place)?.as_ref()?;
        Some((ConnId { place, serial: *serial }, conn))
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.get(id)?;
        self.free.push(id.place);
        self.places.get_mut(id.place)?.take().map(|(_, conn)| conn)
    }

    /// How many places there are, taken or not.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}
