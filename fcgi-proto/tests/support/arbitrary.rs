//! Strategies for property tests.

use fcgi_proto::{ProtocolStatus, RecordType, Role};
use proptest::collection::{SizeRange, vec};
use proptest::prelude::*;

use super::records::{begin_flags, empty, end, padded, pairs};

pub(crate) fn bytes(len: impl Into<SizeRange>) -> impl Strategy<Value = Vec<u8>> + Clone {
    vec(any::<u8>(), len)
}

/// A type whose body has no fixed size.
fn any_type() -> impl Strategy<Value = RecordType> {
    let known = prop::sample::select(&[2_u8, 4, 5, 6, 7, 8, 9, 10][..]);
    prop_oneof![6 => known, 1 => 12_u8..].prop_map(RecordType::from_u8)
}

/// Any record, most of which break the protocol where they stand.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let id = 0_u16..5;
    prop_oneof![
        4 => (id.clone(), 0_u16..5, any::<u8>())
            .prop_map(|(id, role, flags)| begin_flags(id, Role::from_u16(role), flags)),
        8 => (any_type(), id.clone(), bytes(0..60), 0_u8..20)
            .prop_map(|(kind, id, content, padding)| padded(kind, id, &content, padding)),
        4 => (any_type(), id.clone()).prop_map(|(kind, id)| empty(kind, id)),
        2 => (id, any::<u8>(), any::<u32>())
            .prop_map(|(id, status, app)| end(id, ProtocolStatus::from_u8(status), app)),
        1 => bytes(1..20).prop_map(|mut garbage| { garbage[0] |= 2; garbage }),
    ]
}

/// What a web server might send next: mostly such as makes sense.
pub(crate) fn to_application() -> impl Strategy<Value = Vec<u8>> {
    let id = 1_u16..10;
    let role = prop_oneof![4 => Just(1_u16), 1 => 0_u16..5].prop_map(Role::from_u16);
    let begin = (id.clone(), role, prop_oneof![9 => Just(1_u8), 1 => any::<u8>()])
        .prop_map(|(id, role, flags)| (id, begin_flags(id, role, flags)));
    let block = vec((bytes(0..5), bytes(0..140)), 0..4).prop_map(pairs);
    let (data, padding) = (bytes(1..60), 0_u8..20);
    prop_oneof![
        60 => (begin.clone(), block.clone(), padding.clone())
            .prop_map(|((id, begin), block, padding)| {
                let block = padded(RecordType::Params, id, &block, padding);
                [begin, block, empty(RecordType::Params, id)].concat()
            }),
        4 => begin.prop_map(|(_, begin)| begin),
        20 => (id.clone(), block, padding.clone())
            .prop_map(|(id, block, padding)| padded(RecordType::Params, id, &block, padding)),
        60 => (id.clone(), data.clone(), padding.clone())
            .prop_map(|(id, data, padding)| padded(RecordType::Stdin, id, &data, padding)),
        20 => id.clone().prop_map(|id| empty(RecordType::Stdin, id)),
        4 => (id.clone(), data, padding.clone())
            .prop_map(|(id, data, padding)| padded(RecordType::Data, id, &data, padding)),
        20 => id.clone().prop_map(|id| empty(RecordType::AbortRequest, id)),
        10 => padding.prop_map(|padding| {
            padded(RecordType::GetValues, 0, &pairs([("FCGI_MAX_REQS", "")]), padding)
        }),
        10 => (12_u8.., 0_u16..3, bytes(0..60))
            .prop_map(|(kind, id, data)| padded(RecordType::from_u8(kind), id, &data, 0)),
        4 => any_record(),
    ]
}

/// What an application might send next to a client that has begun requests 1 to 3.
pub(crate) fn to_client() -> impl Strategy<Value = Vec<u8>> {
    let id = 1_u16..4;
    let kind = prop::sample::select(&[RecordType::Stdout, RecordType::Stderr][..]);
    let padding = 0_u8..20;
    prop_oneof![
        60 => (kind.clone(), id.clone(), bytes(1..60), padding.clone())
            .prop_map(|(kind, id, data, padding)| padded(kind, id, &data, padding)),
        20 => (kind, id.clone()).prop_map(|(kind, id)| empty(kind, id)),
        10 => (id, any::<u8>(), any::<u32>())
            .prop_map(|(id, status, app)| end(id, ProtocolStatus::from_u8(status), app)),
        10 => padding.prop_map(|padding| {
            padded(RecordType::GetValuesResult, 0, &pairs([("FCGI_MAX_REQS", "1")]), padding)
        }),
        5 => any::<u8>()
            .prop_map(|kind| padded(RecordType::UnknownType, 0, &[kind, 0, 0, 0, 0, 0, 0, 0], 0)),
        10 => (12_u8.., 0_u16..5, bytes(0..60))
            .prop_map(|(kind, id, data)| padded(RecordType::from_u8(kind), id, &data, 0)),
        4 => any_record(),
    ]
}
