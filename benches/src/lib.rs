//! The same work done by the core, by other crates and by a minimal loop.
//!
//! A [`Group`] is one question, such as "encode a GET with 25 parameters". Each of its [`Case`]s answers it for one
//! [`Who`], over the same bytes, in the same process. Time, instructions and allocations are all taken of the same
//! cases, so that the figures can be laid side by side.
//!
//! `cargo bench -p benches` measures everything and writes `RESULTS.md` and `results.svg`.

mod application;
mod data;
mod decode;
mod encode;
mod floor;
mod head;
mod io;
pub mod live;
mod params;
pub mod report;

/// Something to measure. It is made once, and then prepared and run in turn.
pub trait Work {
    /// Makes ready for the next run. Not measured.
    fn prepare(&mut self) {}

    /// The work.
    fn run(&mut self);
}

/// One question, asked of several.
#[derive(Debug)]
pub struct Group {
    /// A name for files and command lines.
    pub id: &'static str,
    /// What is done, for the table.
    pub title: &'static str,
    /// How many records one run handles; 0 when records play no part.
    pub records: u32,
    /// Who does it.
    pub cases: Vec<Case>,
}

/// One way to do the work of a group.
#[derive(Debug)]
pub struct Case {
    /// Whose way.
    pub who: Who,
    /// Makes one that is warm: what it allocates once, it has allocated.
    pub make: fn() -> Box<dyn Work>,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The least that could do: a minimal loop over the same bytes, without state and with few checks.
    Floor,
    /// `fcgi-proto`, from bytes in memory.
    Ours,
    /// `fcgi-proto` behind the same in-memory IO that a peer is behind, which costs a copy.
    OursWithIo,
    /// The crate `fastcgi-client`.
    FastcgiClient,
    /// The crate `tokio-fastcgi`.
    TokioFastcgi,
}

impl Who {
    /// A name for files and command lines.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::OursWithIo => "ours-io",
            Self::FastcgiClient => "fastcgi-client",
            Self::TokioFastcgi => "tokio-fastcgi",
        }
    }
}

/// Everything there is to measure.
#[must_use]
pub fn groups() -> Vec<Group> {
    let mut groups = encode::groups();
    groups.extend(decode::groups());
    groups.extend(params::groups());
    groups.extend(head::groups());
    groups.extend(application::groups());
    groups
}

/// Makes one of these and lets it run until it is warm.
fn warm<W: Work + 'static>(mut work: W) -> Box<dyn Work> {
    for _ in 0..3 {
        work.prepare();
        work.run();
    }
    Box::new(work)
}
