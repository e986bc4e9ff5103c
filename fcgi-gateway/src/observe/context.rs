//! What is kept of a request while it is answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use fcgi_tokio::{Address, Timings};
use http::header;
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::record::{Outcome, Record};
use super::{Begun, Event, Observers, RequestId, StderrLine};
use crate::{Body, mount};

/// What the parts of an answer share.
#[derive(Debug)]
pub(crate) struct Context {
    id: RequestId,
    uri: Uri,
    observers: Observers,
    received: AtomicU64,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    upstream: Option<(Address, Timings)>,
    stderr: VecDeque<Arc<str>>,
    failure: Option<String>,
}

impl Context {
    pub(crate) fn new(id: RequestId, parts: &Parts, observers: Observers) -> Arc<Self> {
        Arc::new(Self {
            id,
            uri: mount::client_uri(parts).clone(),
            observers,
            received: AtomicU64::new(0),
            rest: Mutex::default(),
        })
    }

    pub(crate) const fn id(&self) -> &RequestId {
        &self.id
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// A line of error output, without control characters.
    pub(crate) fn stderr_line(&self, line: &str) {
        let line = Arc::<str>::from(line);
        {
            let stderr = &mut self.rest().stderr;
            if stderr.len() == STDERR_LINES {
                stderr.pop_front();
            }
            stderr.push_back(Arc::clone(&line));
        }
        if !self.observers.is_empty() {
            self.observers.tell(&Event::Stderr(StderrLine { id: self.id.clone(), line }));
        }
    }

    /// The last lines of error output.
    pub(crate) fn stderr(&self) -> Vec<Arc<str>> {
        self.rest().stderr.iter().cloned().collect()
    }

    /// An application has answered.
    pub(crate) fn set_upstream(&self, address: &Address, timings: Timings) {
        if !self.observers.is_empty() {
            self.rest().upstream = Some((address.clone(), timings));
        }
    }

    /// The gateway answers with an error of its own.
    pub(crate) fn set_failure(&self, cause: Option<&str>) {
        if !self.observers.is_empty() {
            self.rest().failure = cause.map(str::to_owned);
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many lines of error output are kept of a request.
const STDERR_LINES: usize = 20;

/// Watches an answer to its end, then tells the observers. Dropped before, it tells of a client that is gone.
#[derive(Debug)]
pub(crate) struct Watch {
    context: Arc<Context>,
    parts: Parts,
    client: Option<SocketAddr>,
    began: SystemTime,
    started: Instant,
    status: u16,
    until_head: Duration,
    sent: u64,
    /// What the answer says of its length.
    expected: Option<u64>,
    is_over: bool,
}

impl Watch {
    /// `client` is who a trusted proxy says it is.
    pub(crate) fn begin(context: &Arc<Context>, parts: Parts, client: Option<SocketAddr>) -> Self {
        let began = SystemTime::now();
        let is_observed = !context.observers.is_empty();
        if is_observed {
            context.observers.tell(&Event::Begun(Begun {
                id: context.id.clone(),
                at: began,
                method: parts.method.clone(),
                uri: context.uri.clone(),
            }));
        }
        Self {
            context: Arc::clone(context),
            parts,
            client,
            began,
            started: Instant::now(),
            status: CLIENT_CLOSED_REQUEST,
            until_head: Duration::ZERO,
            sent: 0,
            expected: None,
            is_over: !is_observed,
        }
    }

    /// The head of the request.
    pub(crate) const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The head of the answer is here. The watch goes on with its body, if anybody watches.
    pub(crate) fn answered(mut self, response: &Response<Body>) -> Option<Box<Self>> {
        if self.is_over {
            return None;
        }
        self.status = response.status().as_u16();
        self.until_head = self.started.elapsed();
        let length = response.headers().get(header::CONTENT_LENGTH);
        self.expected = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Some(Box::new(self))
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Whether all that was announced is sent.
    fn is_all(&self) -> bool {
        self.expected.is_some_and(|expected| self.sent >= expected)
    }

    /// Tells the observers, once.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if core::mem::replace(&mut self.is_over, true) {
            return;
        }
        let (upstream, stderr, failure) = {
            let mut rest = self.context.rest();
            (rest.upstream.take(), rest.stderr.iter().cloned().collect(), rest.failure.take())
        };
        let total = self.started.elapsed();
        let has_head = self.status != CLIENT_CLOSED_REQUEST;
        let record = Record {
            id: self.context.id.clone(),
            parts: core::mem::replace(&mut self.parts, Request::new(()).into_parts().0),
            client: self.client,
            began: self.began,
            status: self.status,
            outcome,
            upstream,
            until_head: if has_head { self.until_head } else { total },
            total,
            received: self.context.received.load(Ordering::Relaxed),
            sent: self.sent,
            stderr,
            failure,
        };
        self.context.observers.tell(&Event::Ended(Arc::new(record)));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(if self.is_all() { Outcome::Complete } else { Outcome::ClientGone });
    }
}

/// No status of HTTP; nginx has it in its logs.
const CLIENT_CLOSED_REQUEST: u16 = 499;

pin_project! {
    /// The body of a request, whose bytes are counted.
    pub(crate) struct Counted<B> {
        #[pin]
        body: B,
        context: Option<Arc<Context>>,
    }
}

impl<B> Counted<B> {
    pub(crate) fn new(body: B, context: &Arc<Context>) -> Self {
        let is_observed = !context.observers.is_empty();
        Self { body, context: is_observed.then(|| Arc::clone(context)) }
    }
}

impl<B: http_body::Body<Data = Bytes>> http_body::Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let (Some(context), Some(Ok(frame))) = (this.context, &frame) {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            context.received.fetch_add(length, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
