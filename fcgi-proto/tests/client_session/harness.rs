//! A session whose socket is two buffers, and whose callers are polled by hand.

use core::task::{Context, Poll, Waker};
use core::time::Duration;

use bytes::{Buf, Bytes};
use fcgi_proto::client::{Call, Caller, Received, Session, SessionSettings};
use fcgi_proto::{BodyLen, Error, Parts, RecordType, Request, Timeouts};

use crate::support::records_of;

pub(crate) const NOW: Duration = Duration::from_secs(1);

pub(crate) fn session() -> (Session, Caller) {
    Session::new(SessionSettings::default())
}

pub(crate) fn parts() -> Parts {
    Request::<()>::get("/srv/a.php").into_parts().expect("a good request").0
}

/// Of a request with a body of so many bytes.
pub(crate) fn post(len: usize) -> Parts {
    let request = Request::<Len>::post("/srv/a.php").body(Len(len as u64));
    request.into_parts().expect("a good request").0
}

/// A body of which only the length matters.
#[derive(Default)]
struct Len(u64);

impl BodyLen for Len {
    fn content_length(&self) -> Option<u64> {
        Some(self.0)
    }
}

pub(crate) fn begin(caller: &Caller) -> Call {
    let mut call = begin_with(caller, &parts(), Timeouts::NONE);
    call.finish_body();
    call
}

pub(crate) fn begin_with(caller: &Caller, parts: &Parts, timeouts: Timeouts) -> Call {
    caller.begin(parts, timeouts, NOW, NOW).expect("room")
}

/// Everything that there is to write.
pub(crate) fn written(session: &mut Session) -> Vec<u8> {
    let mut all = Vec::new();
    while session.has_outgoing() {
        all.extend(write(session, usize::MAX));
    }
    all
}

/// So much of what there is to write now.
pub(crate) fn write(session: &mut Session, most: usize) -> Bytes {
    session.write_with(NOW, |outgoing| outgoing.copy_to_bytes(most.min(outgoing.remaining())))
}

/// The types and ids of records.
pub(crate) fn kinds(wire: &[u8]) -> Vec<(RecordType, u16)> {
    let records = records_of(wire).into_iter();
    records.map(|(header, _)| (header.record_type, header.request_id)).collect()
}

pub(crate) fn read(session: &mut Session, wire: impl Into<Bytes>) {
    session.handle_read(wire.into(), NOW);
}

pub(crate) fn poll(call: &mut Call) -> Poll<Result<Received, Error>> {
    poll_at(call, NOW)
}

pub(crate) fn poll_at(call: &mut Call, now: Duration) -> Poll<Result<Received, Error>> {
    call.poll_received(&Context::from_waker(Waker::noop()), now)
}

/// What of a response has come: the body so far, and its end or error.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) has_head: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) end: Option<Result<(), Error>>,
}

impl Response {
    /// Takes what has come; whether it was anything.
    pub(crate) fn take_one(&mut self, call: &mut Call, now: Duration) -> bool {
        if self.end.is_some() {
            return false;
        }
        match poll_at(call, now) {
            Poll::Pending => return false,
            Poll::Ready(Ok(Received::Head { body, .. })) => {
                assert!(!self.has_head, "a head comes once");
                self.has_head = true;
                self.body.extend_from_slice(&body);
            }
            Poll::Ready(Ok(Received::Body(data))) => self.body.extend_from_slice(&data),
            Poll::Ready(Ok(Received::End(_))) => self.end = Some(Ok(())),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => self.end = Some(Err(error)),
        }
        true
    }
}

pub(crate) fn take(call: &mut Call) -> Response {
    let mut response = Response::default();
    while response.take_one(call, NOW) {}
    response
}

pub(crate) fn error(call: &mut Call) -> Error {
    take(call).end.expect("over").expect_err("an error")
}
