//! Output on its way to the socket, for both sides.
//!
//! Small pieces (headers, fixed bodies, parameters, short payloads) are copied next to each other into one buffer;
//! large payloads are queued by handle and never copied, however many records they take. The queue and the buffer are reused, so that a warm
//! connection allocates nothing.

use alloc::collections::{VecDeque, vec_deque};
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};

use crate::wire::{BODY_LEN, HEADER_LEN, Header, MAX_CONTENT, NULL_REQUEST_ID, RecordType};

/// Payloads below this many bytes are copied: one more entry in a vectored write costs about as much.
const COPIED_BELOW: usize = 1024;
/// Content of a copied record: with up to 8 bytes of padding it stays within the 65,535 that php admits for both.
pub(crate) const SLICE_CONTENT: usize = MAX_CONTENT as usize - 8;
/// The buffer for small pieces gives back what it grew beyond this, once it is empty.
const KEPT_CAPACITY: usize = 64 * 1024;
/// Written bytes at the front of the buffer are reclaimed beyond this.
const COMPACT_AT: usize = 16 * 1024;

pub(crate) struct Outbox {
    segments: VecDeque<Segment>,
    /// The small pieces, back to back; those before `written` are gone.
    small: Vec<u8>,
    written: usize,
    len: usize,
    /// Soft: one call may pass it, after which further payloads are refused.
    cap: usize,
}

enum Segment {
    /// So many bytes of `small`.
    Small(usize),
    Large(Payload),
}

/// Stream content by handle, in records of the largest size. Every record but the first has its header in `small`, in
/// turn with the segments.
struct Payload {
    data: Bytes,
    /// How much is written, headers included.
    written: usize,
}

/// Content and, behind it, the header of the next record.
const STRIDE: usize = MAX_CONTENT as usize + HEADER_LEN;

impl Outbox {
    /// A cap of 0 is one of 1: an empty outbox would be full, and nothing could ever move.
    pub(crate) fn new(cap: usize) -> Self {
        let cap = cap.max(1);
        Self { segments: VecDeque::new(), small: Vec::new(), written: 0, len: 0, cap }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[cfg(feature = "std")]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether payloads are refused until some output is written.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.cap
    }

    pub(crate) fn outgoing(&mut self) -> Outgoing<'_> {
        Outgoing { outbox: self }
    }

    /// Queues a record with a fixed body.
    pub(crate) fn body_record(
        &mut self,
        record_type: RecordType,
        request_id: u16,
        body: [u8; BODY_LEN],
    ) {
        let mut record = [0; HEADER_LEN + BODY_LEN];
        let (to_header, to_body) = record.split_at_mut(HEADER_LEN);
        to_header.copy_from_slice(&Header::new(record_type, request_id, 8).encode());
        to_body.copy_from_slice(&body);
        self.push_small(&record);
    }

    /// Queues a record without content: the end of a stream, or ABORT_REQUEST.
    pub(crate) fn empty_record(&mut self, record_type: RecordType, request_id: u16) {
        self.push_small(&Header::new(record_type, request_id, 0).encode());
    }

    /// Queues a management record with content, which may be empty.
    pub(crate) fn management(&mut self, record_type: RecordType, content: &[u8]) {
        if content.is_empty() {
            return self.empty_record(record_type, NULL_REQUEST_ID);
        }
        self.stream_slice(record_type, NULL_REQUEST_ID, content, |_| 0);
    }

    /// Queues stream content, by handle when it is large, in as many records as it takes. Empty data queues nothing,
    /// since an empty record would end the stream.
    pub(crate) fn stream(&mut self, record_type: RecordType, request_id: u16, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if data.len() < COPIED_BELOW {
            return self.stream_slice(record_type, request_id, &data, |_| 0);
        }
        let header = |content: &[u8]| {
            Header::new(record_type, request_id, record_len(content.len())).encode()
        };
        let mut contents = data.chunks(usize::from(MAX_CONTENT));
        let Some(first) = contents.next() else {
            return;
        };
        self.push_small(&header(first));
        let before = self.small.len();
        for content in contents {
            self.small.extend_from_slice(&header(content));
        }
        self.len += self.small.len() - before + data.len();
        self.segments.push_back(Segment::Large(Payload { data, written: 0 }));
    }

    /// Queues a copy of stream content, each record followed by as much padding as `padding` says for its length.
    pub(crate) fn stream_slice(
        &mut self,
        record_type: RecordType,
        request_id: u16,
        data: &[u8],
        padding: impl Fn(u16) -> u8,
    ) {
        for content in data.chunks(SLICE_CONTENT) {
            let content_len = record_len(content.len());
            let padding_len = padding(content_len);
            let header = Header { record_type, request_id, content_len, padding_len };
            self.push_small(&header.encode());
            self.push_small(content);
            let padding = [0; u8::MAX as usize];
            self.push_small(padding.split_at(usize::from(padding_len)).0);
        }
    }

    /// Lets `write` append to the buffer of small pieces; an error must leave it as it was.
    pub(crate) fn append<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.compact();
        let before = self.small.len();
        write(&mut self.small)?;
        self.note_small(self.small.len() - before);
        Ok(())
    }

    #[inline]
    fn push_small(&mut self, bytes: &[u8]) {
        self.compact();
        self.small.extend_from_slice(bytes);
        self.note_small(bytes.len());
    }

    fn note_small(&mut self, added: usize) {
        if added == 0 {
            return;
        }
        self.len += added;
        match self.segments.back_mut() {
            Some(Segment::Small(len)) => *len += added,
            _ => self.segments.push_back(Segment::Small(added)),
        }
    }

    /// Reclaims the written front of the buffer. Its cost is at most that of the bytes that were written since.
    fn compact(&mut self) {
        if self.written >= COMPACT_AT && self.written >= self.small.len() / 2 {
            self.small.drain(..self.written);
            self.written = 0;
        }
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "advanced past the end of the output");
        self.len -= count;
        if self.len == 0 {
            return self.clear();
        }
        while count > 0 {
            let (taken, is_done) = match self.segments.front_mut() {
                Some(Segment::Small(len)) => {
                    let taken = count.min(*len);
                    *len -= taken;
                    self.written += taken;
                    (taken, *len == 0)
                }
                Some(Segment::Large(payload)) => {
                    let left = payload.len() - payload.written;
                    let taken = count.min(left);
                    self.written += payload.advance(taken);
                    (taken, taken == left)
                }
                None => break,
            };
            count -= taken;
            if is_done {
                self.segments.pop_front();
            }
        }
    }

    fn clear(&mut self) {
        self.segments.clear();
        self.small.clear();
        if self.small.capacity() > KEPT_CAPACITY {
            self.small.shrink_to(KEPT_CAPACITY);
        }
        self.written = 0;
    }

    /// What is held as slices, from the front.
    fn slices(&self) -> Slices<'_> {
        Slices {
            small: self.small.get(self.written..).unwrap_or_default(),
            segments: self.segments.iter(),
            content: &[],
            header: 0,
            record: 0,
        }
    }
}

impl Payload {
    /// The size of all of it, headers included.
    fn len(&self) -> usize {
        let headers = (self.data.len() - 1) / usize::from(MAX_CONTENT);
        self.data.len() + headers * HEADER_LEN
    }

    /// Takes so many bytes. How many of them were headers.
    fn advance(&mut self, count: usize) -> usize {
        let before = self.headers_written();
        self.written += count;
        self.headers_written() - before
    }

    fn headers_written(&self) -> usize {
        let in_record = self.written % STRIDE;
        self.written / STRIDE * HEADER_LEN + in_record.saturating_sub(usize::from(MAX_CONTENT))
    }
}

struct Slices<'o> {
    small: &'o [u8],
    segments: vec_deque::Iter<'o, Segment>,
    /// What is left of the payload amid which this stands.
    content: &'o [u8],
    /// How much of the next record's header is left, if the place is there.
    header: usize,
    /// How much is left of the record's content.
    record: usize,
}

impl<'o> Slices<'o> {
    fn take_small(&mut self, len: usize) -> &'o [u8] {
        let (front, rest) = self.small.split_at(len);
        self.small = rest;
        front
    }

    fn enter(&mut self, payload: &'o Payload) {
        let content = payload.written - payload.headers_written();
        self.content = payload.data.get(content..).unwrap_or_default();
        let in_record = payload.written % STRIDE;
        (self.header, self.record) = match usize::from(MAX_CONTENT).checked_sub(in_record) {
            Some(left @ 1..) => (0, left),
            _ => (STRIDE - in_record, usize::from(MAX_CONTENT)),
        };
    }
}

impl<'o> Iterator for Slices<'o> {
    type Item = &'o [u8];

    fn next(&mut self) -> Option<&'o [u8]> {
        if self.content.is_empty() {
            match self.segments.next()? {
                Segment::Small(len) => return Some(self.take_small(*len)),
                Segment::Large(payload) => self.enter(payload),
            }
        }
        if self.header > 0 {
            let len = core::mem::take(&mut self.header);
            return Some(self.take_small(len));
        }
        let (front, rest) = self.content.split_at(self.record.min(self.content.len()));
        self.content = rest;
        (self.header, self.record) = (HEADER_LEN, usize::from(MAX_CONTENT));
        Some(front)
    }
}

/// The content length of the next record when `len` bytes are left.
fn record_len(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(MAX_CONTENT)
}

/// The bytes to write, as a [`bytes::Buf`].
///
/// `chunks_vectored` gives headers and payloads as separate slices for a vectored write; `advance` takes what the
/// socket took and frees it. Dropping this without advancing loses nothing.
///
/// ```
/// use bytes::Buf;
/// use fcgi_proto::{Role, client};
///
/// let mut conn = client::Connection::new(client::Config::default());
/// conn.begin(Role::Responder, [("A", "1")])?;
/// let mut outgoing = conn.outgoing();
/// let written = outgoing.chunk().len(); // what a socket took
/// outgoing.advance(written);
/// assert!(!conn.has_outgoing());
/// # Ok::<(), fcgi_proto::BeginError>(())
/// ```
pub struct Outgoing<'c> {
    outbox: &'c mut Outbox,
}

impl Buf for Outgoing<'_> {
    fn remaining(&self) -> usize {
        self.outbox.len
    }

    fn chunk(&self) -> &[u8] {
        self.outbox.slices().next().unwrap_or_default()
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, to: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, slice) in to.iter_mut().zip(self.outbox.slices()) {
            *slot = std::io::IoSlice::new(slice);
            count += 1;
        }
        count
    }

    fn advance(&mut self, count: usize) {
        self.outbox.advance(count);
    }
}

impl fmt::Debug for Outbox {
    /// Figures only: what is on its way may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("len", &self.len)
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("remaining", &self.outbox.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        while !outbox.is_empty() {
            let mut outgoing = outbox.outgoing();
            let count = outgoing.chunk().len().min(step);
            seen.extend_from_slice(&outgoing.chunk()[..count]);
            outgoing.advance(count);
        }
        seen
    }

    fn filled() -> (Outbox, Vec<u8>) {
        let mut outbox = Outbox::new(usize::MAX);
        let mut expected = Vec::new();
        for size in [1, 1023, 1024, 65_535, 65_536, 200_000] {
            let data = vec![b'x'; size];
            for content in data.chunks(65_535) {
                let len = u16::try_from(content.len()).expect("at most 65,535");
                expected.extend(Header::new(RecordType::Stdin, 7, len).encode());
                expected.extend_from_slice(content);
            }
            outbox.stream(RecordType::Stdin, 7, data.into());
        }
        outbox.empty_record(RecordType::Stdin, 7);
        expected.extend(Header::new(RecordType::Stdin, 7, 0).encode());
        (outbox, expected)
    }

    #[test]
    fn everything_comes_out_in_order_at_every_step() {
        // Byte by byte takes an interpreter minutes.
        let steps: &[usize] =
            if cfg!(miri) { &[977, usize::MAX] } else { &[1, 7, 8, 9, 4096, usize::MAX] };
        for &step in steps {
            let (mut outbox, expected) = filled();
            assert!(drain(&mut outbox, step) == expected, "step {step}");
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn vectored_slices_are_the_same_bytes() {
        let (mut outbox, expected) = filled();
        let outgoing = outbox.outgoing();
        let mut slices = [std::io::IoSlice::new(&[]); 64];
        let count = outgoing.chunks_vectored(&mut slices);
        let mut seen = Vec::new();
        slices[..count].iter().for_each(|slice| seen.extend_from_slice(slice));
        assert!(seen == expected);
    }

    #[test]
    fn a_large_payload_is_queued_by_handle() {
        let mut outbox = Outbox::new(usize::MAX);
        let data = Bytes::from(vec![0; 4096]);
        outbox.stream(RecordType::Stdout, 1, data.clone());
        let mut outgoing = outbox.outgoing();
        outgoing.advance(HEADER_LEN);
        assert_eq!(outgoing.chunk().as_ptr(), data.as_ptr());
    }

    #[test]
    fn a_buffer_that_never_runs_dry_stays_small() {
        let mut outbox = Outbox::new(usize::MAX);
        outbox.empty_record(RecordType::Stdout, 1);
        for _ in 0..10_000 {
            outbox.empty_record(RecordType::Stdout, 1);
            outbox.advance(HEADER_LEN);
        }
        assert!(outbox.small.capacity() <= 4 * COMPACT_AT);
    }

    #[test]
    fn padding_of_any_size() {
        for padding in [0, 1, 255] {
            let mut outbox = Outbox::new(usize::MAX);
            outbox.stream_slice(RecordType::Stderr, 1, b"oops", |_| padding);
            let bytes = drain(&mut outbox, usize::MAX);
            assert_eq!(bytes.len(), HEADER_LEN + 4 + usize::from(padding));
            assert_eq!(bytes[6], padding);
        }
    }
}
