use fcgi_proto::ProtocolError;
use fcgi_proto::decode::{Decoder, Piece};

use super::input::{Input, pieces};

/// What a stream holds: whole records, content of one that is cut off, and how it ends.
#[derive(Debug, Default, PartialEq)]
struct Parsed {
    records: Vec<(u8, u16, u8, Vec<u8>)>,
    partial: Vec<u8>,
    error: Option<&'static str>,
    is_between_records: bool,
}

/// The decoder at a random cutting against a naive one: the same records, the same content, the same judgement.
pub fn decode(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = input.byte();
    let wire = input.rest();
    assert_eq!(decoded(wire, cut), naive(wire));
}

fn naive(wire: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut rest = wire;
    loop {
        match rest.first() {
            None => {
                parsed.is_between_records = true;
                return parsed;
            }
            Some(1) => {}
            Some(_) => {
                let is_fresh = rest.len() == wire.len();
                parsed.error = Some(if is_fresh { "not FastCGI" } else { "version" });
                return parsed;
            }
        }
        let Some((header, after)) = rest.split_first_chunk::<8>() else { return parsed };
        let &[_, record_type, id @ .., len_high, len_low, padding, _] = header;
        let len = u16::from_be_bytes([len_high, len_low]);
        let is_fixed = matches!(record_type, 1 | 3 | 11);
        if is_fixed && len != 8 {
            parsed.error = Some("body length");
            return parsed;
        }
        let Some((content, after)) = after.split_at_checked(len.into()) else {
            if !is_fixed {
                parsed.partial = after.to_vec();
            }
            return parsed;
        };
        let id = u16::from_be_bytes(id);
        parsed.records.push((record_type, id, padding, content.to_vec()));
        let Some((_, after)) = after.split_at_checked(padding.into()) else { return parsed };
        rest = after;
    }
}

fn decoded(wire: &[u8], cut: u8) -> Parsed {
    let mut decoder = Decoder::new();
    let mut parsed = Parsed::default();
    for mut input in pieces(wire, cut) {
        loop {
            let before = input.len();
            let piece = match decoder.poll(&mut input) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.poll(&mut &b"\x01\x06"[..]), Err(error), "it is repeated");
                    parsed.error = Some(match error {
                        ProtocolError::NotFastCgi(first) => {
                            assert!(wire.starts_with(first.as_slice()));
                            "not FastCGI"
                        }
                        ProtocolError::UnsupportedVersion(_) => "version",
                        ProtocolError::BodyLength { .. } => "body length",
                        other => panic!("the decoder does not judge: {other}"),
                    });
                    return parsed;
                }
            };
            assert!(input.len() <= before);
            let (header, data, is_last) = match &piece {
                Piece::Body { header, body } => (header, &body[..], true),
                Piece::Content { header, offset, data } => {
                    assert_eq!(usize::from(*offset), parsed.partial.len(), "nothing is lost");
                    assert!(!data.is_empty() || header.content_len == 0);
                    let end = usize::from(*offset) + data.len();
                    (header, *data, end == usize::from(header.content_len))
                }
                _ => panic!("a new kind of piece"),
            };
            parsed.partial.extend(data);
            assert!(parsed.partial.len() <= usize::from(header.content_len));
            if is_last {
                let content = core::mem::take(&mut parsed.partial);
                let record_type = header.record_type.to_u8();
                parsed.records.push((record_type, header.request_id, header.padding_len, content));
            }
        }
        assert!(input.is_empty(), "all of the input is taken");
    }
    parsed.is_between_records = decoder.is_between_records();
    parsed
}
