//! Records as anybody would write and read them: one byte after the other, with everything copied.

use fcgi_proto::{FirstBytes, ProtocolError, RecordType};

pub(crate) const BEGIN: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const END: u8 = 3;
pub(crate) const PARAMS: u8 = 4;
pub(crate) const STDIN: u8 = 5;
pub(crate) const STDOUT: u8 = 6;
pub(crate) const STDERR: u8 = 7;
pub(crate) const DATA: u8 = 8;
pub(crate) const GET_VALUES: u8 = 9;
pub(crate) const RESULT: u8 = 10;
pub(crate) const UNKNOWN: u8 = 11;

pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Appends one record, whose padding is zeros.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, id: u16, content: &[u8], padding: usize) {
    let id = id.to_be_bytes();
    let len = u16::try_from(content.len()).expect("content of one record").to_be_bytes();
    let padding_len = u8::try_from(padding).expect("padding of one record");
    out.extend([1, kind, id[0], id[1], len[0], len[1], padding_len, 0]);
    out.extend_from_slice(content);
    out.resize(out.len() + padding, 0);
}

/// Pads to the next multiple of eight, and never not at all.
pub(crate) fn put_padded(out: &mut Vec<u8>, kind: u8, id: u16, content: &[u8]) {
    put(out, kind, id, content, 8 - content.len() % 8);
}

/// Appends stream content in as many records as it takes. Copied ones leave room for padding in what php admits.
pub(crate) fn put_stream(out: &mut Vec<u8>, kind: u8, id: u16, data: &[u8], is_copied: bool) {
    let size = if is_copied || data.len() < 1024 { 65_527 } else { 65_535 };
    for content in data.chunks(size) {
        match kind {
            STDERR => put_padded(out, kind, id, content),
            _ => put(out, kind, id, content, 0),
        }
    }
}

pub(crate) fn put_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend(crate::support::pairs([(name, value)]));
}

/// The pairs of a block; `None` when it is cut short.
pub(crate) fn pairs_of(mut block: &[u8]) -> Option<Pairs> {
    let mut pairs = Vec::new();
    while !block.is_empty() {
        let lens = [take_len(&mut block)?, take_len(&mut block)?];
        let [name, value] = lens.map(|len| {
            let (front, rest) = block.split_at_checked(len)?;
            block = rest;
            Some(front.to_vec())
        });
        pairs.push((name?, value?));
    }
    Some(pairs)
}

fn take_len(block: &mut &[u8]) -> Option<usize> {
    let first = *block.first()?;
    let size = if first < 128 { 1 } else { 4 };
    let (front, rest) = block.split_at_checked(size)?;
    *block = rest;
    let long = front.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
    Some(if size == 1 { long } else { long & 0x7fff_ffff })
}

/// A record's header, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    pub(crate) id: u16,
    pub(crate) len: usize,
}

impl Head {
    pub(crate) fn record_type(self) -> RecordType {
        RecordType::from_u8(self.kind)
    }
}

/// What one byte has made known.
#[derive(Debug)]
pub(crate) enum News {
    /// A byte of content; or `None` for a record without any.
    Content {
        head: Head,
        byte: Option<u8>,
        is_first: bool,
        is_last: bool,
    },
    Body {
        head: Head,
        body: [u8; 8],
    },
}

/// Reads records by keeping all that has come of the present one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    partial: Vec<u8>,
    has_read_a_header: bool,
}

impl Reader {
    pub(crate) fn is_between_records(&self) -> bool {
        self.partial.is_empty()
    }

    /// How many bytes are missing to the end of the present record; 0 between two.
    pub(crate) fn missing(&self) -> usize {
        match self.partial.len() {
            0 => 0,
            // The length is not known yet; it is asked again behind the header.
            have @ 1..8 => 8 - have,
            have => self.size() - have,
        }
    }

    fn size(&self) -> usize {
        8 + self.head().len + usize::from(self.partial[6])
    }

    fn head(&self) -> Head {
        let pair = |at: usize| u16::from_be_bytes([self.partial[at], self.partial[at + 1]]);
        Head { kind: self.partial[1], id: pair(2), len: pair(4).into() }
    }

    pub(crate) fn read(&mut self, byte: u8) -> Result<Option<News>, ProtocolError> {
        self.partial.push(byte);
        let have = self.partial.len();
        if have == 1 && byte != 1 {
            return Err(if self.has_read_a_header {
                ProtocolError::UnsupportedVersion(byte)
            } else {
                ProtocolError::NotFastCgi(FirstBytes::new(&[]))
            });
        }
        if have < 8 {
            return Ok(None);
        }
        self.has_read_a_header = true;
        let (head, content_end) = (self.head(), 8 + self.head().len);
        let is_fixed = matches!(head.kind, BEGIN | END | UNKNOWN);
        if is_fixed && head.len != 8 {
            let found = u16::try_from(head.len).expect("a length of 16 bits");
            return Err(ProtocolError::BodyLength { record_type: head.record_type(), found });
        }
        let content = (have > 8).then_some(byte);
        let is_last = have == content_end;
        let news = match content {
            _ if is_fixed && is_last => {
                let body = self.partial[8..16].try_into().expect("eight bytes");
                Some(News::Body { head, body })
            }
            _ if is_fixed || have > content_end => None,
            None if !is_last => None,
            byte => Some(News::Content { head, byte, is_first: have <= 9, is_last }),
        };
        if have == self.size() {
            self.partial.clear();
        }
        Ok(news)
    }
}
