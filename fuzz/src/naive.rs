//! Readers that want the whole input and allocate at will.

/// A record as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) record_type: u8,
    pub(crate) id: u16,
    pub(crate) content: Vec<u8>,
}

pub(crate) const BEGIN: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const END: u8 = 3;
pub(crate) const PARAMS: u8 = 4;
pub(crate) const STDIN: u8 = 5;
pub(crate) const STDOUT: u8 = 6;
pub(crate) const STDERR: u8 = 7;
pub(crate) const DATA: u8 = 8;
pub(crate) const GET_VALUES: u8 = 9;
pub(crate) const UNKNOWN: u8 = 11;

impl Record {
    pub(crate) fn new(record_type: u8, id: u16, content: impl Into<Vec<u8>>) -> Self {
        Self { record_type, id, content: content.into() }
    }
}

/// Whole records of a stream that we have written ourselves, which leaves nothing over and sets nothing that is reserved.
pub(crate) fn own_records(mut wire: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((header, rest)) = wire.split_first_chunk::<8>() {
        let &[version, record_type, id @ .., len_high, len_low, padding, reserved] = header;
        assert_eq!((version, reserved), (1, 0));
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let (content, rest) = rest.split_at(len);
        let (padding, rest) = rest.split_at(usize::from(padding));
        assert!(padding.iter().all(|byte| *byte == 0), "padding is zero");
        records.push(Record::new(record_type, u16::from_be_bytes(id), content));
        wire = rest;
    }
    assert_eq!(wire, b"", "a record is cut off");
    records
}

/// Puts content that goes on with the same stream together.
pub(crate) fn merged(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let mut merged = Vec::new();
    records.into_iter().for_each(|record| push(&mut merged, record));
    merged
}

/// Adds a record; content that goes on with the same stream is put together.
pub(crate) fn push(records: &mut Vec<Record>, record: Record) {
    let is_stream = matches!(record.record_type, PARAMS | STDIN | STDOUT | STDERR | DATA);
    match records.last_mut() {
        Some(last)
            if is_stream
                && (last.record_type, last.id) == (record.record_type, record.id)
                && !last.content.is_empty()
                && !record.content.is_empty() =>
        {
            last.content.extend(record.content);
        }
        _ => records.push(record),
    }
}

/// Section 3.4; `None` when a length runs past the end.
pub(crate) fn pairs(mut block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = Vec::new();
    while !block.is_empty() {
        let name_len = length(&mut block)?;
        let value_len = length(&mut block)?;
        if block.len() < name_len.checked_add(value_len)? {
            return None;
        }
        let (name, rest) = block.split_at(name_len);
        let (value, rest) = rest.split_at(value_len);
        pairs.push((name.to_vec(), value.to_vec()));
        block = rest;
    }
    Some(pairs)
}

fn length(block: &mut &[u8]) -> Option<usize> {
    let (first, rest) = block.split_first()?;
    if *first < 128 {
        *block = rest;
        return Some((*first).into());
    }
    let (four, rest) = block.split_first_chunk::<4>()?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*four) & 0x7fff_ffff).ok()
}

pub(crate) fn encode_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for len in [name.len(), value.len()] {
        match u8::try_from(len) {
            Ok(len @ ..128) => out.push(len),
            _ => out.extend((u32::try_from(len).expect("short") | 1 << 31).to_be_bytes()),
        }
    }
    out.extend(name);
    out.extend(value);
}

pub(crate) fn record(out: &mut Vec<u8>, record_type: u8, id: u16, content: &[u8], padding: u8) {
    let len = u16::try_from(content.len()).expect("it fits a record");
    let ([id_high, id_low], [len_high, len_low]) = (id.to_be_bytes(), len.to_be_bytes());
    out.extend([1, record_type, id_high, id_low, len_high, len_low, padding, 0]);
    out.extend(content);
    out.resize(out.len() + usize::from(padding), 0);
}
