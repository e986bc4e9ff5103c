//! What happens to a request between hyper and the service, and to its answer on the way back.

use core::any::Any;
use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Config;
use super::activity::Activity;
use super::redirect::Redirect;
use super::streams::note_output;
use crate::observe::{Observers, answered_before};
use crate::outlet::Outlet;
use crate::pages::Page;
use crate::{Body, BoxError, Connection};

/// The service of one connection: refuses what is over the limits, tells where a request came from, and keeps the account of
/// what is under way.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    pub(super) service: S,
    pub(super) connection: Connection,
    pub(super) activity: Arc<Activity>,
    pub(super) config: Arc<Config>,
    pub(super) observers: Observers,
    pub(super) redirect: Option<Redirect>,
    /// Where files go, if what is written is what the client gets.
    pub(super) outlet: Option<Arc<Outlet>>,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    B: 'static,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let has_body = !http_body::Body::is_end_stream(request.body());
        let is_http2 = request.version() == Version::HTTP_2;
        self.activity.handle_request(has_body, is_http2);
        let under_way = UnderWay { activity: Arc::clone(&self.activity), is_answered: false };
        let (mut parts, body) = request.into_parts();
        let activity = has_body.then(|| Arc::clone(&self.activity));
        let body = RequestBody { body, activity };
        let own = if parts.headers.len() > self.config.max_headers {
            Some(Page::TOO_MANY_FIELDS.response(&parts.headers))
        } else if length(&parts.uri) > self.config.max_uri {
            Some(Page::URI_TOO_LONG.response(&parts.headers))
        } else {
            self.redirect.and_then(|redirect| redirect.answer(&parts))
        };
        parts.extensions.insert(self.connection);
        if let Some(own) = own {
            let own = answered_before(&self.observers, parts, own);
            return Answer::Own { own: Some(own), under_way: Some(under_way) };
        }
        let future = self.service.call(Request::from_parts(parts, body));
        let outlet = self.outlet.clone().filter(|_| !is_http2);
        Answer::Service { future, under_way: Some(under_way), outlet }
    }
}

fn length(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |target| target.as_str().len())
}

/// A request that is neither answered in full nor taken back.
#[derive(Debug)]
pub(super) struct UnderWay {
    activity: Arc<Activity>,
    is_answered: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.activity.handle_request_end(self.is_answered);
    }
}

pin_project! {
    /// The answer to come.
    #[project = AnswerProj]
    pub(super) enum Answer<F> {
        Own { own: Option<Response<Body>>, under_way: Option<UnderWay> },
        Service { #[pin] future: F, under_way: Option<UnderWay>, outlet: Option<Arc<Outlet>> },
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: 'static,
{
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, under_way) = match self.project() {
            AnswerProj::Own { own, under_way } => {
                let Some(own) = own.take() else { return Poll::Pending }; // polled after its end
                (own.map(|body| Source::Own { body }), under_way)
            }
            AnswerProj::Service { future, under_way, outlet } => {
                let Ok(mut response) = ready!(future.poll(cx));
                // Of any other kind it may be one of ours within something that looks at the bytes.
                let body = (response.body_mut() as &mut dyn Any).downcast_mut::<Body>();
                if let (Some(body), Some(outlet)) = (body, outlet) {
                    body.send_by(outlet);
                }
                (response.map(|body| Source::Service { body }), under_way)
            }
        };
        let mut under_way = under_way.take();
        if let Some(under_way) = &mut under_way {
            under_way.is_answered = true;
        }
        Poll::Ready(Ok(response.map(|source| ResponseBody { source, under_way })))
    }
}

pin_project! {
    /// The body of an answer; the request is under way until it is dropped.
    pub(super) struct ResponseBody<B> {
        #[pin]
        source: Source<B>,
        under_way: Option<UnderWay>,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<B> {
        Own { #[pin] body: Body },
        Service { #[pin] body: B },
    }
}

impl<B> http_body::Body for ResponseBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.project().source.project() {
            SourceProj::Own { body } => body.poll_frame(cx),
            SourceProj::Service { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        };
        note_output(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own { body } => body.is_end_stream(),
            Source::Service { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own { body } => body.size_hint(),
            Source::Service { body } => body.size_hint(),
        }
    }
}

/// The body of a request that a [`Server`](super::Server) received.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    /// While more is to come.
    activity: Option<Arc<Activity>>,
}

impl RequestBody {
    fn end(&mut self, is_complete: bool) {
        if let Some(activity) = self.activity.take() {
            activity.handle_body_end(is_complete);
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.end(true);
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

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.end(false);
    }
}
