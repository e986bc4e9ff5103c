//! What gives the pieces of a streamed body.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::BoxError;

pub(super) struct MapErr<S>(pub(super) Pin<Box<S>>);

impl<S, E> Stream for MapErr<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map_err(Into::into)
    }
}

pub(super) struct HttpStream<B>(pub(super) Pin<Box<B>>);

impl<B> Stream for HttpStream<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(frame) = ready!(self.0.as_mut().poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(mut data)) => {
                    let len = data.remaining();
                    return Poll::Ready(Some(Ok(data.copy_to_bytes(len))));
                }
                Ok(Err(_trailers)) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}

pub(super) struct ReaderStream<R> {
    reader: Pin<Box<R>>,
    buf: BytesMut,
}

impl<R> ReaderStream<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: Box::pin(reader), buf: BytesMut::new() }
    }
}

impl<R: AsyncRead> Stream for ReaderStream<R> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.buf.reserve(READ_SIZE);
        // `read_buf` keeps no state, so that a new future can take over at each poll.
        let count = ready!(pin!(this.reader.read_buf(&mut this.buf)).poll(cx));
        Poll::Ready(match count {
            Ok(0) => None,
            Ok(_) => Some(Ok(this.buf.split().freeze())),
            Err(error) => Some(Err(error.into())),
        })
    }
}

const READ_SIZE: usize = 32 * 1024;
