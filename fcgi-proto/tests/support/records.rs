//! Records for a peer to send, written without the code under test where that is not about them.

use fcgi_proto::wire::{BeginRequest, EndRequest, Header};
use fcgi_proto::{ProtocolStatus, RecordType, Role};

/// A record with this content and no padding.
pub(crate) fn record(record_type: RecordType, id: u16, content: &[u8]) -> Vec<u8> {
    padded(record_type, id, content, 0)
}

pub(crate) fn padded(record_type: RecordType, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let content_len = u16::try_from(content.len()).expect("content fits one record");
    let header = Header { record_type, request_id: id, content_len, padding_len: padding };
    // Padding of other than zeros must not matter.
    let padding = vec![0xa5; usize::from(padding)];
    [&header.encode()[..], content, &padding].concat()
}

pub(crate) fn empty(record_type: RecordType, id: u16) -> Vec<u8> {
    record(record_type, id, b"")
}

/// Records of at most `size` bytes that hold `data`, and the empty one that ends the stream.
pub(crate) fn stream_of(record_type: RecordType, id: u16, data: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for content in data.chunks(size) {
        wire.extend(record(record_type, id, content));
    }
    wire.extend(empty(record_type, id));
    wire
}

pub(crate) fn stream(record_type: RecordType, id: u16, data: &[u8]) -> Vec<u8> {
    stream_of(record_type, id, data, 65_535)
}

/// BEGIN_REQUEST that asks to keep the connection.
pub(crate) fn begin(id: u16, role: Role) -> Vec<u8> {
    begin_flags(id, role, 1)
}

pub(crate) fn begin_flags(id: u16, role: Role, flags: u8) -> Vec<u8> {
    record(RecordType::BeginRequest, id, &BeginRequest { role, flags }.encode())
}

pub(crate) fn end(id: u16, protocol_status: ProtocolStatus, app_status: u32) -> Vec<u8> {
    record(RecordType::EndRequest, id, &EndRequest { app_status, protocol_status }.encode())
}

/// Name-value pairs with the shortest lengths.
pub(crate) fn pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    pairs: impl IntoIterator<Item = (N, V)>,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        let (name, value) = (name.as_ref(), value.as_ref());
        for len in [name.len(), value.len()] {
            match u8::try_from(len) {
                Ok(short @ 0..=127) => out.push(short),
                _ => {
                    let long = u32::try_from(len).expect("a length of 31 bits") | 1 << 31;
                    out.extend(long.to_be_bytes());
                }
            }
        }
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    out
}

/// A whole PARAMS stream.
pub(crate) fn params(id: u16, list: &[(&str, &str)]) -> Vec<u8> {
    stream(RecordType::Params, id, &pairs(list.iter().copied()))
}

/// The records of a wire that must consist of whole ones.
pub(crate) fn records_of(mut wire: &[u8]) -> Vec<(Header, &[u8])> {
    let mut records = Vec::new();
    while let Some((header, rest)) = wire.split_first_chunk() {
        let header = Header::decode(*header).expect("version 1");
        let (content, rest) = rest.split_at(usize::from(header.content_len));
        let (padding, rest) = rest.split_at(usize::from(header.padding_len));
        assert!(padding.iter().all(|byte| *byte == 0), "padding is written as zeros");
        records.push((header, content));
        wire = rest;
    }
    assert!(wire.is_empty(), "a cut header");
    records
}
