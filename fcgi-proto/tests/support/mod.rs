//! What the tests of the protocol core share: owned events, wires written as annotated hex, and a [`Pair`] of both sides
//! in memory.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this")]

mod arbitrary;
mod hex;
mod pair;
mod records;

pub(crate) use arbitrary::{bytes, to_application, to_client};
pub(crate) use hex::hex;
pub(crate) use pair::{Pair, echo};
pub(crate) use records::{
    begin, begin_flags, empty, end, padded, pairs, params, record, records_of, stream, stream_of,
};

use bytes::Buf;
use fcgi_proto::server::RefusedReason;
use fcgi_proto::{ProtocolError, ProtocolStatus, Role, client, server};

/// An event of either side, owned, with the id in place of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Request(u16, Role, Vec<(Vec<u8>, Vec<u8>)>),
    Stdin(u16, Vec<u8>),
    StdinEnd(u16),
    Data(u16, Vec<u8>),
    DataEnd(u16),
    Aborted(u16),
    Refused(u16, RefusedReason),
    Stdout(u16, Vec<u8>),
    Stderr(u16, Vec<u8>),
    End(u16, ProtocolStatus, u32),
    Values(Vec<(Vec<u8>, Vec<u8>)>),
    UnknownType(u8),
    /// The error that ended the stream.
    Failed(ProtocolError),
}

impl Seen {
    pub(crate) fn request(
        id: u16,
        role: Role,
        params: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        Self::Request(id, role, owned(params))
    }

    pub(crate) fn stdin(id: u16, data: impl AsRef<[u8]>) -> Self {
        Self::Stdin(id, data.as_ref().to_vec())
    }

    pub(crate) fn data(id: u16, data: impl AsRef<[u8]>) -> Self {
        Self::Data(id, data.as_ref().to_vec())
    }

    pub(crate) fn stdout(id: u16, data: impl AsRef<[u8]>) -> Self {
        Self::Stdout(id, data.as_ref().to_vec())
    }

    pub(crate) fn stderr(id: u16, data: impl AsRef<[u8]>) -> Self {
        Self::Stderr(id, data.as_ref().to_vec())
    }

    pub(crate) fn values(pairs: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        Self::Values(owned(pairs))
    }

    /// END_REQUEST as nearly all of them are.
    pub(crate) fn complete(id: u16) -> Self {
        Self::End(id, ProtocolStatus::RequestComplete, 0)
    }

    /// The request that this is about.
    pub(crate) fn id(&self) -> Option<u16> {
        match *self {
            Self::Request(id, ..)
            | Self::Stdin(id, _)
            | Self::StdinEnd(id)
            | Self::Data(id, _)
            | Self::DataEnd(id)
            | Self::Aborted(id)
            | Self::Refused(id, _)
            | Self::Stdout(id, _)
            | Self::Stderr(id, _)
            | Self::End(id, ..) => Some(id),
            Self::Values(_) | Self::UnknownType(_) | Self::Failed(_) => None,
        }
    }

    /// Appends `more` where it goes on with the same stream; gives it back where it does not.
    fn merge(&mut self, more: Self) -> Option<Self> {
        match (self, more) {
            (Self::Stdin(id, data), Self::Stdin(more_id, more))
            | (Self::Data(id, data), Self::Data(more_id, more))
            | (Self::Stdout(id, data), Self::Stdout(more_id, more))
            | (Self::Stderr(id, data), Self::Stderr(more_id, more))
                if *id == more_id =>
            {
                data.extend(more);
                None
            }
            (_, more) => Some(more),
        }
    }
}

fn owned<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Adds an event; data that goes on with the event before is merged into it, so that cuts leave no trace.
pub(crate) fn note(seen: &mut Vec<Seen>, event: Seen) {
    let rest = match seen.last_mut() {
        Some(last) => last.merge(event),
        None => Some(event),
    };
    seen.extend(rest);
}

/// Either connection, as far as these tests treat them alike.
pub(crate) trait Side {
    fn poll(&mut self, input: &mut &[u8]) -> Result<Option<Seen>, ProtocolError>;
    /// Takes at most `limit` bytes of the output.
    fn take_output(&mut self, limit: usize) -> Vec<u8>;
}

impl Side for client::Connection {
    fn poll(&mut self, input: &mut &[u8]) -> Result<Option<Seen>, ProtocolError> {
        Ok(self.poll_event(input)?.map(|event| client_seen(&event)))
    }

    fn take_output(&mut self, limit: usize) -> Vec<u8> {
        take(self.outgoing(), limit)
    }
}

impl Side for server::Connection {
    fn poll(&mut self, input: &mut &[u8]) -> Result<Option<Seen>, ProtocolError> {
        Ok(self.poll_event(input)?.map(|event| server_seen(&event)))
    }

    fn take_output(&mut self, limit: usize) -> Vec<u8> {
        take(self.outgoing(), limit)
    }
}

fn take(mut outgoing: impl Buf, limit: usize) -> Vec<u8> {
    let len = outgoing.remaining().min(limit);
    outgoing.copy_to_bytes(len).to_vec()
}

pub(crate) fn client_seen(event: &client::Event<'_>) -> Seen {
    match event {
        client::Event::Stdout { key, data } => Seen::stdout(key.request_id(), data),
        client::Event::Stderr { key, data } => Seen::stderr(key.request_id(), data),
        client::Event::End { key, protocol_status, app_status } => {
            Seen::End(key.request_id(), *protocol_status, *app_status)
        }
        client::Event::Values(values) => Seen::Values(collect(values)),
        client::Event::UnknownType { record_type } => Seen::UnknownType(*record_type),
        _ => panic!("an event that these tests do not know: {event:?}"),
    }
}

pub(crate) fn server_seen(event: &server::Event<'_>) -> Seen {
    match event {
        server::Event::Request { key, role, params } => {
            Seen::Request(key.request_id(), *role, collect(params))
        }
        server::Event::Stdin { key, data } => Seen::stdin(key.request_id(), data),
        server::Event::StdinEnd { key } => Seen::StdinEnd(key.request_id()),
        server::Event::Data { key, data } => Seen::data(key.request_id(), data),
        server::Event::DataEnd { key } => Seen::DataEnd(key.request_id()),
        server::Event::Aborted { key } => Seen::Aborted(key.request_id()),
        server::Event::Refused { request_id, reason } => Seen::Refused(*request_id, *reason),
        _ => panic!("an event that these tests do not know: {event:?}"),
    }
}

fn collect(params: &fcgi_proto::Params) -> Vec<(Vec<u8>, Vec<u8>)> {
    params.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Feeds the pieces, writing output away whenever it stops the input, and says what was seen. An error is the last entry,
/// and must be repeated by a later call.
pub(crate) fn events<'a>(
    side: &mut impl Side,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    for piece in pieces {
        let mut input = piece;
        loop {
            match side.poll(&mut input) {
                Ok(Some(event)) => note(&mut seen, event),
                Ok(None) if input.is_empty() => break,
                Ok(None) => {
                    let written = side.take_output(usize::MAX);
                    assert!(!written.is_empty(), "input is left over though no output is held");
                }
                Err(error) => {
                    seen.push(Seen::Failed(error));
                    assert_eq!(side.poll(&mut &b"\x01"[..]), Err(error), "errors are repeated");
                    return seen;
                }
            }
        }
    }
    seen
}

/// Checks one case three ways: whole, byte by byte, and with a cut header behind it that is kept inside.
pub(crate) fn three_ways<S: Side>(new: impl Fn() -> S, wire: &[u8], expected: &[Seen]) {
    assert_eq!(events(&mut new(), [wire]), expected, "whole");
    assert_eq!(events(&mut new(), wire.chunks(1)), expected, "byte by byte");
    if let Some(Seen::Failed(_)) = expected.last() {
        return;
    }
    let tailed = [wire, b"\x01\x63\x00"].concat();
    let mut side = new();
    // `events` asserts that nothing is left over.
    assert_eq!(events(&mut side, [&tailed[..]]), expected, "with a tail");
    // The rest of that header: an unknown type for nobody, which brings nothing.
    assert_eq!(events(&mut side, [&b"\x01\x00\x00\x00\x00"[..]]), [], "the tail is kept inside");
}

/// Cuts `wire` into pieces of the given sizes, taken in turn.
pub(crate) fn cut<'a>(mut wire: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !wire.is_empty() {
        let size = sizes.next().map_or(wire.len(), |size| wire.len().min(*size));
        let (piece, rest) = wire.split_at(size);
        pieces.push(piece);
        wire = rest;
    }
    pieces
}

/// Bytes that differ from place to place, so that a shifted copy is noticed.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0_u32..).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(len).collect()
}
