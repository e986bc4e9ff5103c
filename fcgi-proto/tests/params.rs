//! The list of name-value pairs against a plain list.

use fcgi_proto::Params;
use fcgi_proto::params::{self, PairError};
use proptest::collection::vec;
use proptest::prelude::*;

type Pair = (Vec<u8>, Vec<u8>);

/// The pairs with each length in four bytes where `long` says so, which is legal for short ones as well.
fn encoded(pairs: &[(Pair, bool)]) -> Vec<u8> {
    let mut block = Vec::new();
    for ((name, value), long) in pairs {
        for len in [name.len(), value.len()] {
            match u8::try_from(len) {
                Ok(short @ 0..0x80) if !long => block.push(short),
                _ => block.extend((u32::try_from(len).unwrap() | 1 << 31).to_be_bytes()),
            }
        }
        block.extend([name.as_slice(), value].concat());
    }
    block
}

fn pair() -> impl Strategy<Value = Pair> {
    // Few names, so that they repeat; values on both sides of the short length.
    let name = prop_oneof!["[AB]", "", "[a-c]{130}"].prop_map(String::into_bytes);
    (name, prop_oneof![vec(any::<u8>(), 0..4), vec(any::<u8>(), 120..140)])
}

proptest! {
    #[test]
    fn is_a_list(pairs in vec((pair(), any::<bool>()), 0..6), sets in vec((pair(), any::<bool>()), 0..6)) {
        let mut params = Params::parse(encoded(&pairs)).unwrap();
        let mut model: Vec<Pair> = pairs.into_iter().map(|(pair, _)| pair).collect();
        for ((name, value), is_set) in sets {
            if is_set {
                params.set(&name, &value);
                let first = model.iter().position(|(found, _)| *found == name);
                let mut at = 0;
                model.retain(|(found, _)| {
                    at += 1;
                    *found != name || Some(at - 1) == first
                });
                match first {
                    Some(first) => model[first].1 = value,
                    None => model.push((name, value)),
                }
            } else {
                let had = model.iter().any(|(found, _)| *found == name);
                prop_assert_eq!(params.remove(&name), had);
                model.retain(|(found, _)| *found != name);
            }
            let plain: Params = model.iter().map(|(name, value)| (name, value)).collect();
            prop_assert_eq!(&params, &plain);
            prop_assert_eq!((params.len(), params.iter().count()), (model.len(), model.len()));
            let last = model.iter().rev().find(|(name, _)| name == b"A").map(|(_, value)| &value[..]);
            prop_assert_eq!(params.get("A"), last);
        }
    }

    #[test]
    fn lists_are_equal_when_their_pairs_are(
        pairs in vec((pair(), any::<bool>()), 0..4),
        others in vec((pair(), any::<bool>()), 0..4),
    ) {
        let plain = |pairs: &[(Pair, bool)]| pairs.iter().map(|(pair, _)| pair.clone()).collect::<Vec<_>>();
        let (left, right) = (Params::parse(encoded(&pairs)).unwrap(), Params::parse(encoded(&others)).unwrap());
        prop_assert_eq!(left == right, plain(&pairs) == plain(&others));
        let short: Params = plain(&pairs).into_iter().collect();
        prop_assert_eq!(left, short);
    }
}

#[test]
fn a_pair_that_fits_no_record_is_not_even_copied() {
    let mut out = Vec::with_capacity(64);
    for (name_len, value_len) in [(1, 65_535), (65_535, 1), (1 << 20, 0), (0, 1 << 20)] {
        let pair = (vec![b'N'; name_len], vec![b'V'; value_len]);
        let error = params::encode(&mut out, 1, [pair]);
        assert_eq!(error, Err(PairError::TooLarge { name_len, value_len }));
        assert!(out.is_empty() && out.capacity() < 1024, "{}", out.capacity());
    }
}
