//! How a request begins.

use alloc::vec::Vec;

use super::connection::{Connection, State};
use super::phase::Open;
use crate::Params;
use crate::error::BeginError;
use crate::params::{OversizedPair, PairError, encode_pairs, encode_params};
use crate::slots::RequestKey;
use crate::wire::{BeginRequest, Header, RecordType, Role};

impl Connection {
    /// Begins a request and queues its parameters, the whole of them (sections 5.1 and 5.2).
    ///
    /// Ids count up from 1 and wrap behind 65,535; one stays taken until its END_REQUEST has come. So a late answer can
    /// never be taken for the next request's.
    ///
    /// # Errors
    /// See [`BeginError`]; nothing was queued then.
    pub fn begin<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        role: Role,
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Result<RequestKey, BeginError> {
        self.begin_with(role, |out, request_id, oversized| {
            encode_pairs(out, request_id, params, oversized)
        })
    }

    /// [`begin`](Self::begin) with pairs that are encoded already.
    pub(crate) fn begin_encoded(
        &mut self,
        role: Role,
        params: &Params,
    ) -> Result<RequestKey, BeginError> {
        self.begin_with(role, |out, request_id, oversized| {
            encode_params(out, request_id, params, oversized)
        })
    }

    fn begin_with(
        &mut self,
        role: Role,
        encode: impl FnOnce(&mut Vec<u8>, u16, OversizedPair) -> Result<(), PairError>,
    ) -> Result<RequestKey, BeginError> {
        let request_id = self.next_id()?;
        let keep_conn = self.config.keep_conn;
        let oversized = if self.config.split_large_pairs {
            OversizedPair::Split
        } else {
            OversizedPair::Refuse
        };
        self.outbox.append(|out| {
            let start = out.len();
            out.extend(Header::new(RecordType::BeginRequest, request_id, 8).encode());
            out.extend(BeginRequest::new(role, keep_conn).encode());
            encode(out, request_id, oversized)
                .inspect_err(|_| out.truncate(start))
                .map_err(begin_error)
        })?;
        if !keep_conn {
            self.state = State::Closing;
        }
        self.ids.use_id(request_id);
        let key = self.slots.insert(request_id, Open::begin(role));
        Ok(key.expect("next_id gives a free id"))
    }

    fn next_id(&self) -> Result<u16, BeginError> {
        if self.state != State::Open {
            return Err(BeginError::Closing);
        }
        if self.outbox.is_full() && !self.begins_when_full {
            return Err(BeginError::Blocked);
        }
        let too_many = BeginError::TooManyRequests { limit: self.config.max_requests.get() };
        if self.capacity() == 0 {
            return Err(too_many);
        }
        self.ids.candidates().find(|id| !self.slots.contains(*id)).ok_or(too_many)
    }
}

pub(super) fn begin_error(error: PairError) -> BeginError {
    match error {
        PairError::TooLarge { name_len, value_len } => {
            BeginError::PairTooLarge { name_len, value_len }
        }
        PairError::LengthTooLarge { found } => BeginError::LengthTooLarge { found },
    }
}
