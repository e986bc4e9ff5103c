//! The decoder against a parser that wants the whole input and allocates at will.

mod support;

use fcgi_proto::decode::{Decoder, Piece};
use fcgi_proto::wire::Header;
use fcgi_proto::{FirstBytes, ProtocolError, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;
use support::cut;

/// What a stream holds: its whole records, the content that has come of a last one that is cut off, and how it ends.
#[derive(Debug, Default, PartialEq)]
struct Parsed {
    records: Vec<(Header, Vec<u8>)>,
    partial: Vec<u8>,
    is_between_records: bool,
    error: Option<ProtocolError>,
}

/// Section 3.3, read naively.
fn naive(input: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut at = 0;
    loop {
        match input.get(at) {
            None => parsed.is_between_records = true,
            Some(1) => {}
            Some(_) if at == 0 => {
                parsed.error = Some(ProtocolError::NotFastCgi(FirstBytes::new(input)));
            }
            Some(version) => parsed.error = Some(ProtocolError::UnsupportedVersion(*version)),
        }
        if parsed.is_between_records || parsed.error.is_some() || input.len() < at + 8 {
            return parsed;
        }
        let (record_type, found) = (
            RecordType::from_u8(input[at + 1]),
            u16::from_be_bytes([input[at + 4], input[at + 5]]),
        );
        if matches!(input[at + 1], 1 | 3 | 11) && found != 8 {
            parsed.error = Some(ProtocolError::BodyLength { record_type, found });
            return parsed;
        }
        let request_id = u16::from_be_bytes([input[at + 2], input[at + 3]]);
        let padding_len = input[at + 6];
        let header = Header { record_type, request_id, content_len: found, padding_len };
        let content: Vec<_> = input[at + 8..].iter().copied().take(found.into()).collect();
        if content.len() < usize::from(found) {
            parsed.partial = content;
            return parsed;
        }
        parsed.records.push((header, content));
        at += 8 + usize::from(found) + usize::from(padding_len);
        if at > input.len() {
            return parsed;
        }
    }
}

fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Parsed {
    let mut decoder = Decoder::new();
    let mut parsed = Parsed::default();
    for mut input in pieces {
        loop {
            let piece = match decoder.poll(&mut input) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    parsed.error = Some(error);
                    assert_eq!(decoder.poll(&mut &b"\x01"[..]), Err(error), "it is repeated");
                    return parsed;
                }
            };
            match piece {
                Piece::Body { header, body } => parsed.records.push((header, body.to_vec())),
                Piece::Content { header, offset, data } => {
                    assert_eq!(usize::from(offset), parsed.partial.len());
                    assert_eq!(piece.is_first(), parsed.partial.is_empty());
                    assert!(!data.is_empty() || header.content_len == 0);
                    parsed.partial.extend_from_slice(data);
                    let is_whole = parsed.partial.len() == usize::from(header.content_len);
                    assert_eq!(piece.is_last(), is_whole);
                    if is_whole {
                        parsed.records.push((header, core::mem::take(&mut parsed.partial)));
                    }
                }
                _ => panic!("a piece that this test does not know: {piece:?}"),
            }
        }
        assert!(input.is_empty(), "the decoder takes all of its input");
    }
    parsed.is_between_records = decoder.is_between_records();
    parsed
}

/// What has come of a fixed body is kept inside the decoder, and so not seen.
fn without_partial_body(mut parsed: Parsed, input: &[u8]) -> Parsed {
    let used: usize =
        parsed.records.iter().map(|(h, c)| 8 + c.len() + usize::from(h.padding_len)).sum();
    if matches!(input.get(used + 1), Some(1 | 3 | 11)) {
        parsed.partial.clear();
    }
    parsed
}

/// Mostly headers that make sense, with short content; some bytes at random.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![6 => 1_u8..12, 1 => any::<u8>()];
    let content = prop_oneof![
        3 => Just(Vec::new()),
        3 => Just(vec![7; 8]),
        2 => vec(any::<u8>(), 0..50),
        1 => vec(any::<u8>(), 200..700),
    ];
    let padding = prop_oneof![2 => Just(0_u8), 1 => any::<u8>()];
    let record = (octet, 0_u16..3, content, padding).prop_map(|(octet, id, content, padding)| {
        support::padded(RecordType::from_u8(octet), id, &content, padding)
    });
    let part = prop_oneof![20 => record, 1 => vec(any::<u8>(), 1..12)];
    (vec(part, 0..8), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(parts, end, is_cut)| {
            let mut wire = parts.concat();
            if is_cut {
                wire.truncate(end.index(wire.len() + 1));
            }
            wire
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // spec: S5
    #[test]
    fn the_decoder_agrees(wire in any_stream(), cuts in vec(1_usize..60, 1..10)) {
        let expected = without_partial_body(naive(&wire), &wire);
        prop_assert_eq!(&decoded([&wire[..]]), &expected);
        // What is known of a stranger depends on how much is read at once; all else does not.
        if wire.first().is_none_or(|first| *first == 1) {
            prop_assert_eq!(&decoded(cut(&wire, &cuts)), &expected);
        }
    }

    #[test]
    fn the_decoder_agrees_on_noise(wire in vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(decoded([&wire[..]]), without_partial_body(naive(&wire), &wire));
    }
}
