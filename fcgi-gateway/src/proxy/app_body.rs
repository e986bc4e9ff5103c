//! The application's body as it comes.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::{ResponseHead, script_error};
use fcgi_tokio::{Error, ResponseBody};
use http::StatusCode;
use http_body::Frame;

use super::stderr::StderrLog;
use crate::observe::Context as RequestContext;

/// The application's body on its way to the client, while its error output goes to the log.
#[derive(Debug)]
pub(crate) struct AppBody {
    /// Gone once somebody else reads it to its end.
    body: Option<ResponseBody>,
    status: StatusCode,
    /// How much is to come, if the script said so.
    left: Option<u64>,
    stderr: StderrLog,
    is_first: bool,
    /// What was read ahead.
    held: VecDeque<Bytes>,
    held_len: usize,
    failure: Option<Failure>,
}

impl AppBody {
    pub(super) fn new(
        body: ResponseBody,
        head: &ResponseHead,
        status: StatusCode,
        context: &Arc<RequestContext>,
    ) -> Self {
        let mut body = Self {
            body: Some(body),
            status,
            left: head.content_length(),
            stderr: StderrLog::new(context),
            is_first: true,
            held: VecDeque::new(),
            held_len: 0,
            failure: None,
        };
        body.log_stderr();
        body
    }

    /// The body, when all of it has come together with the head, as that of a page mostly has. Never waits; what came of a
    /// longer one is kept for the stream.
    pub(super) fn take_whole(&mut self, cx: &mut Context<'_>) -> Option<VecDeque<Bytes>> {
        while self.held_len <= LONGEST_WHOLE {
            match self.poll_ahead(cx) {
                Poll::Ready(Some(data)) => self.hold(data),
                Poll::Ready(None) if self.failure.is_none() => {
                    let mut whole = core::mem::take(&mut self.held);
                    let len = core::mem::take(&mut self.held_len);
                    if len <= LONGEST_COPIED && whole.len() > 1 {
                        let all = whole.make_contiguous().concat();
                        whole.clear();
                        whole.push_back(all.into());
                    }
                    return Some(whole);
                }
                Poll::Ready(None) | Poll::Pending => return None,
            }
        }
        None
    }

    /// Bytes that were read ahead.
    pub(super) fn held(&self) -> usize {
        self.held_len
    }

    /// Reads one piece ahead, for [`hold`](Self::hold). `None` when there is no more to come; a failure is kept, to be told
    /// in its turn.
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.failure.is_some() {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.poll_next(cx)) {
            Some(Ok(data)) => Some(data),
            Some(Err(error)) => {
                self.failure = Some(Failure::New(error));
                None
            }
            None => None,
        })
    }

    /// Keeps a piece for the client.
    pub(super) fn hold(&mut self, data: Bytes) {
        self.held_len += data.len();
        self.held.push_back(data);
    }

    /// The first of what is kept.
    pub(super) fn take_held(&mut self) -> Option<Bytes> {
        let data = self.held.pop_front()?;
        self.held_len -= data.len();
        Some(data)
    }

    /// Lets the application finish an answer that nobody wants the body of; after so much of it, it is cut off.
    pub(super) async fn drain(mut self) {
        let mut left = DRAIN_LIMIT;
        while let Some(Ok(data)) = poll_fn(|cx| self.poll_next(cx)).await {
            left = left.saturating_sub(data.len());
            if left == 0 {
                return;
            }
        }
    }

    /// The next piece of the application's body, with everything said to the log that there is to say.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_chunk(cx).map(Result::transpose);
        self.log_stderr();
        let next = ready!(polled);
        match &next {
            Some(Ok(data)) => {
                if self.is_first {
                    self.explain(data);
                }
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            }
            Some(Err(error)) => {
                let context = self.stderr.context();
                tracing::error!(path = context.path(), request = %context.id(), "response cut short: {error}");
            }
            None => {}
        }
        self.is_first = false;
        Poll::Ready(next)
    }

    /// PHP-FPM's own error pages say little; the log says what helps.
    fn explain(&self, data: &[u8]) {
        if let Some(error) = script_error(self.status.as_u16(), data) {
            let context = self.stderr.context();
            tracing::warn!(path = context.path(), request = %context.id(), "PHP answered {error}: {}", error.hint());
        }
    }

    fn log_stderr(&mut self) {
        if let Some(body) = self.body.as_mut().filter(|body| !body.stderr().is_empty()) {
            self.stderr.add(&body.take_stderr());
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let is_over = self.body.as_ref().is_none_or(http_body::Body::is_end_stream);
        self.held.is_empty() && self.failure.is_none() && is_over
    }

    pub(crate) fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Some(data) = this.take_held() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match this.failure.take() {
            Some(Failure::Told(error)) => return Poll::Ready(Some(Err(error))),
            Some(Failure::New(error)) => return this.fail(error, cx),
            None => {}
        }
        match ready!(this.poll_next(cx)) {
            Some(Err(error)) => this.fail(error, cx),
            next => {
                this.look_for_end(cx);
                Poll::Ready(next.map(|data| data.map(Frame::data)))
            }
        }
    }

    /// Once all that was announced is there, the end mostly is as well. A server asks no more then, and would leave a
    /// connection with an end that nobody has read, which cannot be used again.
    fn look_for_end(&mut self, cx: &mut Context<'_>) {
        if self.left != Some(0) || self.failure.is_some() {
            return;
        }
        match self.poll_next(cx) {
            // More than announced is an error.
            Poll::Ready(Some(Ok(data))) => self.hold(data),
            Poll::Ready(Some(Err(error))) => self.failure = Some(Failure::New(error)),
            Poll::Ready(None) | Poll::Pending => {}
        }
    }

    /// Tells the error one poll later. hyper drops what it has not yet written when a body fails, and this gives it the
    /// time to write what came before: at least the head, so that the client sees a cut response and not none.
    fn fail(
        &mut self,
        error: Error,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.failure = Some(Failure::Told(error));
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for AppBody {
    /// Reads the end when that is all there is to come, so that the connection can be used again.
    fn drop(&mut self) {
        let is_all = self.left == Some(0) && self.held.is_empty() && self.failure.is_none();
        let Some(mut body) = self.body.take().filter(|_| is_all) else { return };
        let mut cx = Context::from_waker(Waker::noop());
        if body.poll_chunk(&mut cx).is_pending() {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { drop(body.chunk().await) });
            }
        }
    }
}

/// An error on its way to the server.
#[derive(Debug)]
enum Failure {
    /// Found while reading ahead.
    New(Error),
    /// The server was given the time to write what came before.
    Told(Error),
}

/// In bytes, what one read brings at the most. Longer bodies are streamed even if they are there.
const LONGEST_WHOLE: usize = 64 * 1024;

/// In bytes. Several pieces that are no more than this together are faster to copy than to write one by one.
const LONGEST_COPIED: usize = 16 * 1024;

/// Scripts that answer HEAD with a body do so by mistake, and mostly with a short one.
const DRAIN_LIMIT: usize = 1024 * 1024;
