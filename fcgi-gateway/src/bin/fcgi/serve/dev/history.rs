//! The last requests, as the page shows them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fcgi_gateway::observe::{Begun, Event, Observer, Record, RequestId, StderrLine};
use serde::Serialize;
use tokio::sync::broadcast;

use super::masked::masked;

/// Keeps the last requests, and tells of every change to whoever looks. Clones are the same.
///
/// Headers are not kept, nor values in queries that may be secret.
#[derive(Clone, Debug)]
pub(super) struct History {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Changes, written out once for all who look.
    changes: broadcast::Sender<Bytes>,
    /// Tells one run of the server from the next.
    run: u128,
    /// What is served.
    site: String,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    count: u64,
}

/// Requests that are kept.
pub(super) const KEPT: usize = 200;
/// Changes that a browser may be behind.
const BEHIND: usize = 256;
/// Lines of error output that are kept of a request, the last ones.
const LINES: usize = 20;
/// The most bytes of a line, or of an address, that are kept.
const LONGEST: usize = 2000;

/// One request.
#[derive(Debug, Serialize)]
struct Entry {
    number: u64,
    id: RequestText,
    /// In milliseconds since 1970.
    at: u64,
    method: String,
    target: String,
    stderr: VecDeque<String>,
    /// Lines before these.
    stderr_dropped: u64,
    end: Option<End>,
}

/// What is known at the end. Times are in microseconds.
#[derive(Debug, Serialize)]
struct End {
    status: u16,
    outcome: &'static str,
    version: String,
    host: Option<String>,
    remote: Option<String>,
    upstream: Option<String>,
    failure: Option<String>,
    received: u64,
    sent: u64,
    total: u64,
    phases: Phases,
}

/// One after the other they make up the total.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Phases {
    /// Until the application was called, or all until the head when it was not: finding the file, taking a body.
    gateway: u64,
    queue: u64,
    connect: u64,
    first_byte: u64,
    body: u64,
}

/// An id as text.
#[derive(Debug)]
struct RequestText(RequestId);

impl Serialize for RequestText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

/// All there is, for a page that begins, or begins anew.
#[derive(Serialize)]
struct Snapshot<'a> {
    run: String,
    site: &'a str,
    kept: usize,
    /// Changes that this browser missed, as it was too slow.
    skipped: u64,
    requests: &'a VecDeque<Entry>,
}

#[derive(Serialize)]
struct Line<'a> {
    number: u64,
    line: &'a str,
}

impl History {
    pub(super) fn new(site: String) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changes = broadcast::Sender::new(BEHIND);
        let inner = Inner { state: Mutex::default(), changes, run: since.as_nanos(), site };
        Self { inner: Arc::new(inner) }
    }

    /// All there is as an event, and every change from there on.
    pub(super) fn look(&self, skipped: u64) -> (Bytes, broadcast::Receiver<Bytes>) {
        let state = self.inner.state();
        let snapshot = Snapshot {
            run: self.inner.run.to_string(),
            site: &self.inner.site,
            kept: KEPT,
            skipped,
            requests: &state.entries,
        };
        (frame("snapshot", &snapshot), self.inner.changes.subscribe())
    }
}

impl Observer for History {
    fn observe(&self, event: &Event) {
        let mut state = self.inner.state();
        // Sent under the lock, so that nothing comes between a snapshot and the change after it.
        let is_seen = self.inner.changes.receiver_count() > 0;
        let change = match event {
            Event::Begun(begun) => Some(state.begun(begun)).filter(|_| is_seen).map(Entry::frame),
            Event::Stderr(line) => state.stderr(line).filter(|_| is_seen).map(Line::frame),
            Event::Ended(record) => state.ended(record).filter(|_| is_seen).map(Entry::frame),
            _ => None,
        };
        if let Some(change) = change {
            // Fails when the last page has just been closed.
            let _ = self.inner.changes.send(change);
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begun(&mut self, begun: &Begun) -> &Entry {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.count += 1;
        let since = begun.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let target = begun.uri.path_and_query().map_or("*", |target| target.as_str());
        self.entries.push_back(Entry {
            number: self.count,
            id: RequestText(begun.id.clone()),
            at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            method: cut(begun.method.as_str()),
            target: cut(&masked(target)),
            stderr: VecDeque::new(),
            stderr_dropped: 0,
            end: None,
        });
        &self.entries[self.entries.len() - 1]
    }

    fn stderr<'a>(&'a mut self, line: &StderrLine) -> Option<Line<'a>> {
        let entry = self.find(&line.id)?;
        if entry.stderr.len() == LINES {
            entry.stderr.pop_front();
            entry.stderr_dropped += 1;
        }
        entry.stderr.push_back(cut(&line.line));
        Some(Line { number: entry.number, line: entry.stderr.back()? })
    }

    fn ended(&mut self, record: &Record) -> Option<&Entry> {
        let entry = self.find(record.id())?;
        entry.end = Some(End {
            status: record.status(),
            outcome: record.outcome().as_str(),
            version: format!("{:?}", record.version()),
            host: record.host().map(cut),
            remote: record.remote().map(|remote| remote.to_string()),
            upstream: record.upstream().map(ToString::to_string),
            failure: record.failure().map(cut),
            received: record.received(),
            sent: record.sent(),
            total: micros(record.total()),
            phases: Phases::of(record),
        });
        Some(entry)
    }

    /// The last one, should a proxy have given two the same name.
    fn find(&mut self, id: &RequestId) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|entry| entry.id.0 == *id)
    }
}

impl Entry {
    fn frame(&self) -> Bytes {
        frame("request", self)
    }
}

impl Line<'_> {
    fn frame(self) -> Bytes {
        frame("stderr", &self)
    }
}

impl Phases {
    fn of(record: &Record) -> Self {
        let Some(timings) = record.upstream_timings() else {
            let gateway = record.until_head();
            return Self {
                gateway: micros(gateway),
                body: micros(record.total().saturating_sub(gateway)),
                ..Self::default()
            };
        };
        let called = timings.queue + timings.connect;
        let gateway = record.until_head().saturating_sub(called + timings.head);
        let answered = gateway + called + timings.first_byte;
        Self {
            gateway: micros(gateway),
            queue: micros(timings.queue),
            connect: micros(timings.connect),
            first_byte: micros(timings.first_byte),
            body: micros(record.total().saturating_sub(answered)),
        }
    }
}

/// An event as it goes to browsers. JSON has no line ends in it.
pub(super) fn frame(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot tell the developer's page of something");
        "null".to_owned()
    });
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// At most [`LONGEST`] bytes of a text, with a sign where it was cut.
fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(LONGEST);
        assert_eq!(cut(&long), format!("{}…", "ä".repeat(LONGEST / 2)));
        let odd = format!("x{long}");
        assert_eq!(cut(&odd).len(), LONGEST - 1 + '…'.len_utf8());
    }

    #[test]
    fn a_frame_is_one_line_of_data() {
        let frame = frame("stderr", &Line { number: 1, line: "a\nb\r\u{2028}\n\ndata: x" });
        let text = std::str::from_utf8(&frame).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("event: stderr\ndata: {") && text.ends_with("}\n\n"), "{text}");
    }
}
