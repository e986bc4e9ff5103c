//! What gives the pieces of a streamed body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;

use super::BoxError;
use crate::io::ReadBuf;

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

#[cfg(feature = "http-body")]
pub(super) struct HttpStream<B>(pub(super) Pin<Box<B>>);

#[cfg(feature = "http-body")]
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
                    let len = bytes::Buf::remaining(&data);
                    return Poll::Ready(Some(Ok(bytes::Buf::copy_to_bytes(&mut data, len))));
                }
                Ok(Err(_trailers)) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}

pub(super) struct ReaderStream<R> {
    reader: Pin<Box<R>>,
    buf: ReadBuf,
}

impl<R> ReaderStream<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: Box::pin(reader), buf: ReadBuf::default() }
    }
}

impl<R: AsyncRead> Stream for ReaderStream<R> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let data = ready!(this.buf.poll_read(this.reader.as_mut(), READ_SIZE, cx));
        Poll::Ready(match data {
            Ok(data) if data.is_empty() => None,
            Ok(data) => Some(Ok(data)),
            Err(error) => Some(Err(error.into())),
        })
    }
}

/// How much is read at once.
const READ_SIZE: usize = 32 * 1024;
