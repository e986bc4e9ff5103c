use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::params::{self, PairError};
use crate::wire::{BeginRequest, EndRequest, HEADER_LEN, Header, MAX_CONTENT};
use crate::{ProtocolStatus, RecordType, Role};

/// What a [`Peer`](super::Peer) does, step by step; see the [module](super).
///
/// Steps that write queue up until the next step that waits, so that a whole answer is one write;
/// [`flush`](Self::flush) parts them. Where the steps end the connection is closed.
///
/// ```
/// use fcgi_proto::{ProtocolStatus, scripted::{Id, Script}};
///
/// // Answers to somebody who has not asked, then properly.
/// let stray = Script::new().await_request().id(Id::Next).stdout("for you?").id(Id::Last).stdout("\n\nhey").end();
/// // Is too busy for anybody.
/// let busy = Script::new().await_begin().end_with(ProtocolStatus::Overloaded, 0);
/// // A connection that closes at every byte of an answer in turn.
/// let hello = Script::new().await_request().stdout("A: b\n\nhey").end();
/// let cuts: Vec<Script> = (0..hello.bytes_written()).map(|len| hello.clone().cut(len)).collect();
/// assert_eq!(cuts.len(), 8 + 9 + 8 + 16);
/// # let _ = (stray, busy);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is played by a `Peer`"]
pub struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) cut: Option<u64>,
    id: Id,
    padding: u8,
}

/// Which request a record belongs to.
///
/// ```
/// use fcgi_proto::scripted::{Id, Script};
///
/// let script = Script::new().id(Id::Exactly(7)).stderr("never begun");
/// assert_eq!(script.bytes_written(), 8 + 11);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Id {
    /// The one that was waited for or begun last; 1 before.
    #[default]
    Last,
    /// The one after it, which nobody has begun.
    Next,
    /// This one.
    Exactly(u16),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Await(Awaited),
    Record { record_type: RecordType, id: Id, content: Bytes, padding: u8 },
    Raw(Bytes),
    Last(u16),
    Flush,
    Pause(Duration),
    Repeat { steps: Arc<[Self]>, times: u64 },
    Stall,
    Reset,
    Close,
}

/// What a script waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    Begin,
    Params,
    /// The end of STDIN.
    Request,
    Abort,
    Values,
    /// STDOUT with content.
    Stdout,
    End,
    Bytes(u64),
    Eof,
}

/// What to wait for. Something that has come already is not waited for, and everything before it counts as seen.
impl Script {
    /// A script that closes at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for BEGIN_REQUEST of a further request.
    pub fn await_begin(self) -> Self {
        self.step(Step::Await(Awaited::Begin))
    }

    /// Waits for the end of a request's parameters.
    pub fn await_params(self) -> Self {
        self.step(Step::Await(Awaited::Params))
    }

    /// Waits for the end of a request's body, and so for all of it.
    pub fn await_request(self) -> Self {
        self.step(Step::Await(Awaited::Request))
    }

    /// Waits for ABORT_REQUEST.
    pub fn await_abort(self) -> Self {
        self.step(Step::Await(Awaited::Abort))
    }

    /// Waits for GET_VALUES.
    pub fn await_values(self) -> Self {
        self.step(Step::Await(Awaited::Values))
    }

    /// Waits for a record of STDOUT that is not the end, as a web server.
    pub fn await_stdout(self) -> Self {
        self.step(Step::Await(Awaited::Stdout))
    }

    /// Waits for END_REQUEST, as a web server.
    pub fn await_end(self) -> Self {
        self.step(Step::Await(Awaited::End))
    }

    /// Waits until so many bytes have come since the connection began, whatever they are.
    pub fn await_bytes(self, count: u64) -> Self {
        self.step(Step::Await(Awaited::Bytes(count)))
    }

    /// Reads until the other side closes. At the end of a script this is a peer that never answers, or never more.
    pub fn await_close(self) -> Self {
        self.step(Step::Await(Awaited::Eof))
    }
}

/// What to write.
impl Script {
    /// Lets the records that follow belong to this request; [`Id::Last`] unless set.
    pub fn id(mut self, id: Id) -> Self {
        self.id = id;
        self
    }

    /// Pads the records that follow with so many bytes; 0 unless set.
    pub fn padding(mut self, len: u8) -> Self {
        self.padding = len;
        self
    }

    /// Writes records of STDOUT; one without content, which ends the stream, when `data` is empty.
    pub fn stdout(self, data: impl Into<Bytes>) -> Self {
        self.stream(RecordType::Stdout, data.into())
    }

    /// Writes records of STDERR; one without content when `data` is empty.
    pub fn stderr(self, data: impl Into<Bytes>) -> Self {
        self.stream(RecordType::Stderr, data.into())
    }

    /// Writes the end of STDOUT and END_REQUEST: complete, with application status 0.
    pub fn end(self) -> Self {
        self.stdout(Bytes::new()).end_with(ProtocolStatus::RequestComplete, 0)
    }

    /// Writes END_REQUEST alone.
    pub fn end_with(self, protocol_status: ProtocolStatus, app_status: u32) -> Self {
        let body = EndRequest { app_status, protocol_status }.encode();
        self.record(RecordType::EndRequest, body.to_vec())
    }

    /// Writes GET_VALUES_RESULT with these pairs.
    ///
    /// # Panics
    /// When the pairs fill more than a record.
    pub fn values<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let before = self.id;
        let content = encode(pairs);
        self.id(Id::Exactly(0)).record(RecordType::GetValuesResult, content).id(before)
    }

    /// Writes BEGIN_REQUEST of a responder, as a web server.
    pub fn begin(self, id: u16, keep_conn: bool) -> Self {
        let body = BeginRequest::new(Role::Responder, keep_conn).encode();
        self.step(Step::Last(id)).record(RecordType::BeginRequest, body.to_vec())
    }

    /// Writes these parameters and their end.
    ///
    /// # Panics
    /// When they fill more than a record.
    pub fn params<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let content = encode(pairs);
        let with_pairs = match content.is_empty() {
            true => self,
            false => self.record(RecordType::Params, content),
        };
        with_pairs.record(RecordType::Params, Bytes::new())
    }

    /// Writes a piece of the body.
    pub fn stdin(self, data: impl Into<Bytes>) -> Self {
        self.stream(RecordType::Stdin, data.into())
    }

    /// Writes the end of the body.
    pub fn end_stdin(self) -> Self {
        self.record(RecordType::Stdin, Bytes::new())
    }

    /// Writes ABORT_REQUEST.
    pub fn abort(self) -> Self {
        self.record(RecordType::AbortRequest, Bytes::new())
    }

    /// Writes one record of any type, legal or not.
    ///
    /// # Panics
    /// When `content` is longer than a record's 65,535 bytes.
    pub fn record(self, record_type: RecordType, content: impl Into<Bytes>) -> Self {
        let (id, padding, content) = (self.id, self.padding, content.into());
        assert!(content.len() <= usize::from(MAX_CONTENT), "{} bytes in a record", content.len());
        self.step(Step::Record { record_type, id, content, padding })
    }

    /// Writes bytes that need be no record.
    pub fn bytes(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Raw(bytes.into()))
    }

    /// Hands out what is to be written so far as a piece of its own.
    pub fn flush(self) -> Self {
        self.step(Step::Flush)
    }

    /// Plays a part so often; `u64::MAX` times is for ever. Each time is a write of its own. One that writes nothing is
    /// played once.
    pub fn repeat(self, times: u64, part: impl FnOnce(Self) -> Self) -> Self {
        let part = part(Self { id: self.id, padding: self.padding, ..Self::new() }).flush();
        let times = if part.bytes_written() == 0 { times.min(1) } else { times };
        self.step(Step::Repeat { steps: part.steps.into(), times })
    }
}

/// How to go on, and how to end.
impl Script {
    /// Does nothing for a while.
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Neither reads nor writes any more, and leaves the connection open.
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// Closes the connection, as every script does at its end.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Closes once so many bytes have been written in all, wherever in a record that is.
    pub fn cut(mut self, len: u64) -> Self {
        self.cut = Some(len);
        self
    }

    /// How many bytes it writes, with nothing cut.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        count(&self.steps)
    }

    fn stream(mut self, record_type: RecordType, data: Bytes) -> Self {
        if data.is_empty() {
            return self.record(record_type, data);
        }
        let mut rest = data;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(usize::from(MAX_CONTENT)));
            self = self.record(record_type, piece);
        }
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Step {
    /// The bytes to write when `last` is the last request.
    pub(super) fn write(&self, last: u16, out: &mut Vec<u8>) {
        match self {
            Self::Record { record_type, id, content, padding } => {
                let request_id = match id {
                    Id::Last => last,
                    Id::Next => last.wrapping_add(1),
                    Id::Exactly(id) => *id,
                };
                let content_len = u16::try_from(content.len()).expect("checked when it was made");
                let header = Header {
                    record_type: *record_type,
                    request_id,
                    content_len,
                    padding_len: *padding,
                };
                out.extend_from_slice(&header.encode());
                out.extend_from_slice(content);
                out.resize(out.len() + usize::from(*padding), 0);
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            _ => {}
        }
    }
}

fn count(steps: &[Step]) -> u64 {
    let lens = steps.iter().map(|step| match step {
        Step::Record { content, padding, .. } => {
            (HEADER_LEN + content.len() + usize::from(*padding)) as u64
        }
        Step::Raw(bytes) => bytes.len() as u64,
        Step::Repeat { steps, times } => count(steps).saturating_mul(*times),
        _ => 0,
    });
    lens.fold(0, u64::saturating_add)
}

fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut content = Vec::new();
    let pushed: Result<(), PairError> = pairs.into_iter().try_for_each(|(name, value)| {
        params::push_pair(&mut content, name.as_bytes(), value.as_bytes())
    });
    pushed.expect("a test's own pairs are shorter than 2 GiB");
    content
}
