use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fcgi_proto::Error;
use fcgi_proto::client::{Call, Received};
use fcgi_proto::pool::Clock;

use super::body::Body;
use super::clock::{Lease, Lobby};
use crate::time::Alarm;

/// One request on a connection that others use as well: feeds its body, takes its response, and keeps its time. The bytes
/// are carried elsewhere; dropping this aborts the request, and no other.
#[derive(Debug)]
pub(super) struct Shared {
    call: Call,
    /// Gone once the request is over.
    lease: Option<Lease>,
    lobby: Arc<Lobby>,
    body: Body,
    /// What was taken of the error output.
    stderr: Vec<u8>,
    alarm: Alarm,
}

impl Shared {
    pub(super) fn new(call: Call, lease: Lease, lobby: Arc<Lobby>, body: Body) -> Self {
        Self { call, lease: Some(lease), lobby, body, stderr: Vec::new(), alarm: Alarm::default() }
    }

    pub(super) const fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn handle_connection(&mut self, queue: Duration, connect: Duration) {
        self.call.handle_connection(queue, connect);
    }

    pub(super) fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    pub(super) fn take_stderr(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stderr)
    }

    pub(super) fn may_retry(&self, error: &Error, is_replayable: bool, number: u32) -> bool {
        let has_response = self.call.bytes_received() > 0;
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.may_retry(error, has_response, is_replayable, number))
    }

    /// Nothing more is wanted of it.
    pub(super) fn end(&mut self) {
        self.lease = None;
        self.body = Body::empty();
    }

    pub(super) fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        loop {
            self.poll_body(cx);
            if let Poll::Ready(received) = self.call.poll_received(cx, self.lobby.clock().now()) {
                self.note(&received);
                return Poll::Ready(received);
            }
            ready!(self.poll_timer(cx));
        }
    }

    fn note(&mut self, received: &Result<Received, Error>) {
        match (received, &mut self.lease) {
            (Ok(Received::Stderr), _) => self.stderr.extend(self.call.take_stderr()),
            (Ok(Received::End(_)), _) => {
                self.stderr.extend(self.call.take_stderr());
                self.end();
            }
            (Err(error), Some(lease)) => lease.on_error(error),
            (Ok(_), Some(lease)) => lease.on_first_byte(),
            _ => {}
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) {
        while self.call.poll_body(cx) == Poll::Ready(true) {
            match self.body.poll_chunk(cx) {
                Poll::Ready(Some(Ok(data))) => self.call.send_body(data),
                Poll::Ready(Some(Err(error))) => self.call.fail_body(error),
                Poll::Ready(None) => self.call.finish_body(),
                Poll::Pending => return,
            }
        }
    }

    /// Ready when a limit may have passed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let epoch = self.lobby.clock().epoch();
        let deadline = self.call.deadline().and_then(|deadline| epoch.checked_add(deadline));
        let Some(deadline) = deadline else { return Poll::Pending };
        self.alarm.poll(deadline, cx)
    }
}
