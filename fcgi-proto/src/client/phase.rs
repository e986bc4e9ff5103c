use super::account::Share;
use crate::Role;
use crate::error::SendError;
use crate::wire::RecordType;

/// What may still be sent for a request. The response comes in any of these; END_REQUEST ends them all.
///
/// ```text
/// begin ──> Stdin ──finish──> Sent              Responder, Authorizer
///       ──> Stdin ──finish──> Data ──finish──> Sent        Filter
///             └───────┴── abort ──┴──> Aborted: what still arrives is swallowed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Stdin { then_data: bool },
    Data,
    Sent,
    Aborted,
}

/// A request that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) phase: Phase,
    pub(super) share: Share,
}

impl Open {
    pub(super) fn begin(role: Role) -> Self {
        Self { phase: Phase::begin(role), share: Share::default() }
    }
}

impl Phase {
    fn begin(role: Role) -> Self {
        Self::Stdin { then_data: role == Role::Filter }
    }

    /// Whether more of this stream may be sent.
    pub(super) fn check_open(self, stream: RecordType) -> Result<(), SendError> {
        match (self, stream) {
            (Self::Stdin { .. }, RecordType::Stdin) | (Self::Data, RecordType::Data) => Ok(()),
            _ => Err(SendError::Finished),
        }
    }

    /// The phase after the end of this stream.
    pub(super) fn finish(self, stream: RecordType) -> Result<Self, SendError> {
        self.check_open(stream)?;
        Ok(match self {
            Self::Stdin { then_data: true } => Self::Data,
            _ => Self::Sent,
        })
    }
}
