//! The list of name-value pairs against a plain list.

use fcgi_proto::Params;
use fcgi_proto::params::{self, PairError, ParamsError, is_secret};
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

fn list(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().copied().collect()
}

#[test]
fn an_iterator_knows_how_many_are_left() {
    let params = list(&[("A", "1"), ("B", ""), ("", "3")]);
    let mut pairs = params.iter();
    for left in (0..=3).rev() {
        assert_eq!((pairs.len(), pairs.size_hint()), (left, (left, Some(left))));
        assert_eq!(pairs.next().is_some(), left > 0);
    }
    assert_eq!((pairs.next(), pairs.len()), (None, 0));
}

#[test]
fn an_empty_list_says_so() {
    let mut params = Params::new();
    assert!(params.is_empty() && params.iter().next().is_none());
    params.push("", "");
    assert!(!params.is_empty());
    assert_eq!(params.len(), 1);
    params.clear();
    assert!(params.is_empty() && params.encoded_len() == 0);
}

#[test]
fn a_value_set_in_the_middle_leaves_its_neighbours() {
    let long = "x".repeat(200);
    for value in ["", "2", &long] {
        let mut params = list(&[("A", "1"), ("B", "old"), ("C", "3"), ("B", "older")]);
        params.set("B", value);
        assert_eq!(params, list(&[("A", "1"), ("B", value), ("C", "3")]));
        params.set("D", value);
        assert_eq!((params.len(), params.get_str("D")), (4, Some(value)));
        assert!(params.remove("B") && !params.remove("B"));
        assert_eq!(params, list(&[("A", "1"), ("C", "3"), ("D", value)]));
    }
}

#[test]
fn short_lengths_in_four_bytes_make_no_difference() {
    let short = Params::parse(*b"\x01\x02Ayz").expect("one pair");
    let long = Params::parse(*b"\x80\0\0\x01\x80\0\0\x02Ayz").expect("the same");
    assert_eq!(short, long);
    assert_ne!(short.as_encoded(), long.as_encoded());
    assert_ne!(short, list(&[("A", "yy")]));
    assert_ne!(short, list(&[("A", "yz"), ("A", "yz")]));
}

#[test]
fn a_cut_block_is_told_by_the_pair_that_does_not_end() {
    let whole = b"\x01\x01AB\x02\x00CD\x01\x05Exxx";
    for (len, offset) in [(13, 8), (9, 8), (7, 4), (5, 4), (3, 0), (1, 0)] {
        assert_eq!(Params::parse(&whole[..len]), Err(ParamsError { offset }), "{len} bytes");
    }
    assert_eq!(Params::parse(&whole[..8]).map(|params| params.len()), Ok(2));
    let message = ParamsError { offset: 8 }.to_string();
    assert!(message.contains('8'), "{message}");
}

#[test]
fn what_may_be_secret_is_not_shown() {
    let params = list(&[("A", "\"quoted\"\n"), ("HTTP_COOKIE", "id=1"), ("APP_KEY", "")]);
    let shown = r#"{"A": "\"quoted\"\n", "HTTP_COOKIE": <4 bytes>, "APP_KEY": <0 bytes>}"#;
    assert_eq!(format!("{params:?}"), shown);
    assert!(is_secret(b"http_authorization") && !is_secret(b"REQUEST_URI"));
}

#[test]
fn messages_have_the_numbers_in_them() {
    let too_large = params::encode(&mut Vec::new(), 1, [("NAME", "x".repeat(65_535))]);
    let error = too_large.expect_err("it does not fit");
    assert_eq!(error, PairError::TooLarge { name_len: 4, value_len: 65_535 });
    let message = error.to_string();
    assert!(message.contains("4 and 65535 bytes"), "{message}");
    let message = PairError::LengthTooLarge { found: 1 << 31 }.to_string();
    assert!(message.contains("2147483648"), "{message}");
    let message = fcgi_proto::wire::UnsupportedVersion(72).to_string();
    assert_eq!(message, "record has version 72, expected 1");
}
