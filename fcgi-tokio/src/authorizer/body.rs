use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use crate::ResponseBody;

pin_project! {
    /// The body of a response of [`Authorized`](super::Authorized): the service's, or the authorizer's.
    #[derive(Debug)]
    pub struct AuthorizedBody<B> {
        #[pin]
        source: Source<B>,
    }
}

pin_project! {
    #[project = SourceProj]
    #[derive(Debug)]
    enum Source<B> {
        Service { #[pin] body: B },
        Authorizer { body: Box<ResponseBody> },
        Text { text: Bytes },
    }
}

impl<B> AuthorizedBody<B> {
    pub(super) const fn service(body: B) -> Self {
        Self { source: Source::Service { body } }
    }

    pub(super) const fn authorizer(body: Box<ResponseBody>) -> Self {
        Self { source: Source::Authorizer { body } }
    }

    /// The words of a status.
    pub(super) fn text(status: StatusCode) -> Self {
        let text = format!("{}\n", status.canonical_reason().unwrap_or("Error")).into();
        Self { source: Source::Text { text } }
    }
}

impl<B> Body for AuthorizedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().source.project() {
            SourceProj::Service { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            SourceProj::Authorizer { body } => Pin::new(&mut **body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            SourceProj::Text { text } => {
                let text = core::mem::take(text);
                Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Service { body } => body.is_end_stream(),
            Source::Authorizer { body } => body.is_end_stream(),
            Source::Text { text } => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Service { body } => body.size_hint(),
            Source::Authorizer { body } => Body::size_hint(&**body),
            Source::Text { text } => SizeHint::with_exact(text.len() as u64),
        }
    }
}
