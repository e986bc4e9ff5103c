use alloc::vec::Vec;
use core::time::Duration;

/// Names one connection of a pool. It finds nothing once the connection is gone, also after its place is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    place: usize,
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
    pub(super) is_open: bool,
    /// A byte has come: a worker has picked the connection up.
    pub(super) is_served: bool,
    /// No request may begin any more; it goes with the last in flight.
    pub(super) is_retired: bool,
    pub(super) in_flight: usize,
    /// Requests begun so far.
    pub(super) requests: u32,
    pub(super) opened: Duration,
    pub(super) idle_since: Duration,
}

impl Conn {
    pub(super) const fn is_idle(&self) -> bool {
        self.is_open && self.in_flight == 0
    }
}

/// Connections in a list whose places are used again.
#[derive(Debug)]
pub(super) struct Conns {
    places: Vec<Option<(u64, Conn)>>,
    next_serial: u64,
}

impl Conns {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), next_serial: 0 }
    }

    pub(super) fn insert(&mut self, conn: Conn) -> ConnId {
        let serial = self.next_serial;
        self.next_serial += 1;
        let place = match self.places.iter().position(Option::is_none) {
            Some(place) => place,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some((serial, conn));
        }
        ConnId { place, serial }
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        match self.places.get_mut(id.place) {
            Some(Some((serial, conn))) if *serial == id.serial => Some(conn),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.get_mut(id)?;
        self.places.get_mut(id.place)?.take().map(|(_, conn)| conn)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.places.iter().enumerate().filter_map(|(place, slot)| {
            let (serial, conn) = slot.as_ref()?;
            Some((ConnId { place, serial: *serial }, conn))
        })
    }
}
