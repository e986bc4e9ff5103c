use alloc::vec::Vec;

use crate::wire::{RecordType, Role};

/// An open request of an application.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) role: Role,
    pub(super) keep_conn: bool,
    pub(super) phase: Phase,
    /// Stderr was written, so that its stream is ended as well.
    pub(super) has_stderr: bool,
}

/// How far the input of a request has come. The response goes out in any phase but the first.
///
/// ```text
/// BEGIN ──> Params ──empty PARAMS──> Stdin ──empty STDIN──> [Data ──empty DATA──>] Complete
///             │                        └─────────── ABORT or EOF ───────────┴────> Aborted
///             └─ abort, or over a limit: refused here, the application never hears of it
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    Params(Vec<u8>),
    Stdin,
    Data,
    Complete,
    Aborted,
}

/// What to do with stream data that has come for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Deliver,
    /// The stream has ended.
    End,
    /// Nothing is wrong, but nobody wants it.
    Ignore,
    /// The stream has not begun: its data has no place.
    OutOfOrder,
}

impl Slot {
    /// Judges data (or, when empty, the end) of STDIN or DATA, and moves on at the end.
    pub(super) fn on_stream(&mut self, stream: RecordType, is_end: bool) -> Verdict {
        match (&self.phase, stream, is_end) {
            (Phase::Stdin, RecordType::Stdin, false) | (Phase::Data, RecordType::Data, false) => {
                Verdict::Deliver
            }
            (Phase::Stdin, RecordType::Stdin, true) => {
                self.phase = match self.role {
                    Role::Filter => Phase::Data,
                    _ => Phase::Complete,
                };
                Verdict::End
            }
            (Phase::Data, RecordType::Data, true) => {
                self.phase = Phase::Complete;
                Verdict::End
            }
            (Phase::Params(_), ..) | (Phase::Stdin, RecordType::Data, _) => Verdict::OutOfOrder,
            // A second end of STDIN, or data behind it, arrives in practice; so does input amid an abort.
            (Phase::Stdin | Phase::Data | Phase::Complete | Phase::Aborted, ..) => Verdict::Ignore,
        }
    }

    /// The record that ends the input still to come, if more of it is to be expected.
    pub(super) fn awaited_end(&self) -> Option<RecordType> {
        match self.phase {
            Phase::Complete | Phase::Aborted => None,
            Phase::Params(_) | Phase::Stdin | Phase::Data => Some(Phase::last_record(self.role)),
        }
    }
}

impl Phase {
    /// The stream that ends the input of a request.
    pub(super) fn last_record(role: Role) -> RecordType {
        match role {
            Role::Filter => RecordType::Data,
            _ => RecordType::Stdin,
        }
    }
}
