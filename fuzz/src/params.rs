use fcgi_proto::Params;
use fcgi_proto::params::encode;

use super::input::Input;
use super::naive;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Any block of pairs against a naive reader, and what is read is written the same way again.
pub fn params(data: &[u8]) {
    let expected = naive::pairs(data);
    let parsed = Params::parse(data);
    assert_eq!(parsed.is_ok(), expected.is_some());
    let (Ok(params), Some(pairs)) = (parsed, expected) else { return };
    assert_eq!(owned(&params), pairs);
    assert_eq!((params.len(), params.is_empty()), (pairs.len(), pairs.is_empty()));
    assert_eq!((params.encoded_len(), params.as_encoded()), (data.len(), data));
    // Values are masked, names are not; whatever they hold, it can be printed.
    assert!(!format!("{params:?}").is_empty());

    let again: Params = params.iter().collect();
    assert_eq!(owned(&again), pairs);
    let parsed = Params::parse(again.as_encoded()).expect("what we write can be read");
    assert_eq!(owned(&parsed), pairs);
    assert_eq!(parsed, again);

    as_records(&again, &pairs);
    changes(data, params, pairs);
}

fn owned(params: &Params) -> Pairs {
    params.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// As records, each of which holds whole pairs.
fn as_records(params: &Params, pairs: &Pairs) {
    let mut wire = b"before".to_vec();
    let is_ok = encode(&mut wire, 7, params).is_ok();
    let fits = pairs.iter().all(|(name, value)| {
        let mut one = Vec::new();
        naive::encode_pair(&mut one, name, value);
        one.len() <= 65_535
    });
    assert_eq!(is_ok, fits);
    if !fits {
        return assert_eq!(wire, b"before");
    }
    let mut rest = &wire[6..];
    let mut found = Pairs::new();
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let &[1, 4, 0, 7, len_high, len_low, 0, 0] = header else { panic!("{header:?}") };
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let (content, after) = after.split_at(len);
        assert_eq!(content.is_empty(), after.is_empty(), "the empty record is the last");
        found.extend(naive::pairs(content).expect("whole pairs"));
        rest = after;
    }
    assert_eq!(&found, pairs);
}

/// `get`, `set` and `remove` against a list.
fn changes(data: &[u8], mut params: Params, mut pairs: Pairs) {
    let mut input = Input::new(data);
    for _ in 0..4 {
        let at = input.below(pairs.len() + 1);
        let name = pairs.get(at).map_or(b"new".to_vec(), |(name, _)| name.clone());
        let last = pairs.iter().rev().find(|(other, _)| *other == name);
        assert_eq!(params.get(&name), last.map(|(_, value)| &value[..]));
        if input.bool() {
            let value = input.text();
            params.set(&name, value);
            match pairs.iter().position(|(other, _)| *other == name) {
                None => pairs.push((name, value.to_vec())),
                Some(first) => {
                    let mut at = 0;
                    pairs.retain(|(other, _)| {
                        at += 1;
                        at <= first + 1 || *other != name
                    });
                    pairs[first].1 = value.to_vec();
                }
            }
        } else {
            assert_eq!(params.remove(&name), last.is_some());
            pairs.retain(|(other, _)| *other != name);
        }
        assert_eq!(owned(&params), pairs);
        assert_eq!(params.len(), pairs.len());
    }
}
