use std::fmt;

use super::crowd::Held;
use super::meter::Spent;
use super::strace::Calls;
use super::who::Who;

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) null: Vec<Cell>,
    pub(super) php: Vec<Cell>,
    /// Many requests over one connection.
    pub(super) shared: Vec<Cell>,
    pub(super) exact: Vec<(Who, Exact)>,
    pub(super) streamed: Vec<(Who, Streamed)>,
    pub(super) crowds: Vec<(Who, Held)>,
}

/// A client under load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) who: Who,
    pub(super) concurrency: usize,
    pub(super) spent: Spent,
}

/// What does not depend on the machine, for each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    /// Absent without strace.
    pub(super) calls: Option<Calls>,
    pub(super) allocations: f64,
}

/// One large response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed {
    pub(super) spent: Spent,
    pub(super) peak_kib: u64,
}

impl Measured {
    pub(super) fn null(&self, who: Who, concurrency: usize) -> Option<Spent> {
        find(&self.null, who, concurrency)
    }

    pub(super) fn shared(&self, who: Who) -> Option<Spent> {
        self.shared.iter().find(|cell| cell.who == who).map(|cell| cell.spent)
    }

    pub(super) fn exact(&self, who: Who) -> Option<Exact> {
        self.exact.iter().find(|(found, _)| *found == who).map(|(_, exact)| *exact)
    }

    pub(super) fn streamed(&self, who: Who) -> Option<Streamed> {
        self.streamed.iter().find(|(found, _)| *found == who).map(|(_, streamed)| *streamed)
    }
}

pub(super) fn find(cells: &[Cell], who: Who, concurrency: usize) -> Option<Spent> {
    let cell = cells.iter().find(|cell| (cell.who, cell.concurrency) == (who, concurrency));
    cell.map(|cell| cell.spent)
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, cpu) = (self.spent.per_second(), self.spent.cpu_micros());
        write!(f, "x{:<4} {rate:>9.0}/s {cpu:>8.1} us", self.concurrency)
    }
}
