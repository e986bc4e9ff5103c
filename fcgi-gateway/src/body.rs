//! The body of a response, whatever it comes from.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_http::compression::CompressionBody;

use crate::BoxError;
use crate::files::FileBody;
use crate::observe::{Outcome, Watch};
use crate::outlet::Outlet;
use crate::proxy::Streamed;

pin_project! {
    /// The body of a [`Gateway`](crate::Gateway)'s response.
    ///
    /// An error means that the rest will never come; the server must break the connection off, so that the client does
    /// not take the part for the whole. hyper and axum do.
    #[derive(Debug)]
    pub struct Body {
        #[pin]
        source: Source,
        watch: Option<Box<Watch>>,
    }

    impl PinnedDrop for Body {
        fn drop(this: Pin<&mut Self>) {
            // A server asks no more once it has all that was announced, or knows that nothing follows.
            if http_body::Body::is_end_stream(&*this) {
                if let Some(watch) = this.project().watch {
                    watch.end(Outcome::Complete);
                }
            }
        }
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source {
        /// Nothing is sent, and nothing is said about what a GET would have sent.
        Absent,
        /// All of it is here, in no empty pieces.
        Full { pieces: VecDeque<Bytes> },
        File { #[pin] file: FileBody },
        App { app: Streamed },
        /// Any other, compressed.
        Compressed { body: Pin<Box<CompressionBody<Body>>> },
    }
}

impl Body {
    const fn new(source: Source) -> Self {
        Self { source, watch: None }
    }

    pub(crate) const fn absent() -> Self {
        Self::new(Source::Absent)
    }

    pub(crate) fn full(data: Bytes) -> Self {
        Self::pieces(VecDeque::from([data]))
    }

    pub(crate) fn pieces(mut pieces: VecDeque<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self::new(Source::Full { pieces })
    }

    pub(crate) const fn file(file: FileBody) -> Self {
        Self::new(Source::File { file })
    }

    pub(crate) const fn app(app: Streamed) -> Self {
        Self::new(Source::App { app })
    }

    pub(crate) fn compressed(body: CompressionBody<Self>) -> Self {
        Self::new(Source::Compressed { body: Box::pin(body) })
    }

    /// Counts what is sent, and tells of the end. One that is over now is told of at once.
    pub(crate) fn watch(&mut self, watch: Option<Box<Watch>>) {
        self.watch = watch;
        if http_body::Body::is_end_stream(self) {
            self.end(Outcome::Complete);
        }
    }

    /// See [`FileBody::send_by`]; nothing happens when it is no file.
    pub(crate) fn send_by(&mut self, outlet: &Arc<Outlet>) {
        if let Source::File { file } = &mut self.source {
            file.send_by(outlet);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(mut watch) = self.watch.take() {
            watch.end(outcome);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = match this.source.project() {
            SourceProj::Absent => None,
            SourceProj::Full { pieces } => pieces.pop_front().map(|piece| Ok(Frame::data(piece))),
            SourceProj::File { file } => {
                ready!(file.poll_frame(cx)).map(|frame| frame.map_err(Into::into))
            }
            SourceProj::App { app } => ready!(app.poll_frame(cx)),
            SourceProj::Compressed { body } => ready!(body.as_mut().poll_frame(cx)),
        };
        if let Some(watch) = this.watch {
            match &frame {
                Some(Ok(frame)) => watch.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => watch.end(Outcome::Cut),
                None => watch.end(Outcome::Complete),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Absent => true,
            Source::Full { pieces } => pieces.is_empty(),
            Source::File { file } => file.is_end_stream(),
            Source::App { app } => app.is_end_stream(),
            Source::Compressed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Absent | Source::App { .. } | Source::Compressed { .. } => SizeHint::default(),
            Source::Full { pieces } => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Source::File { file } => file.size_hint(),
        }
    }
}

impl core::fmt::Debug for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Full { .. } => "Full",
            Self::File { .. } => "File",
            Self::App { .. } => "App",
            Self::Compressed { .. } => "Compressed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn pieces_are_sent_in_order_and_their_length_is_known() {
        let pieces = ["one ", "", "two"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let body = Body::pieces(pieces.into());
        assert_eq!(body.size_hint().exact(), Some(7));
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "one two");
        let nothing = Body::full(Bytes::new());
        assert!(nothing.is_end_stream());
        assert_eq!(nothing.size_hint().exact(), Some(0));
    }
}
