//! HTTP over one stream, of whichever version its client speaks.

use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::Poll;
use std::io;

use bytes::Bytes;
use http::{Request, Response};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tower_service::Service;

use super::Config;
use super::rewound::{News, Rewound};
use super::service::{RequestBody, Watched};
use super::streams::Streams;
use super::timekeeper::{End, Timekeeper};
use crate::BoxError;

/// How a client of HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a client to the end; the reason, if it is for us to end it.
pub(super) async fn serve<I, S, B>(
    mut io: I,
    service: Watched<S>,
    time: &mut Timekeeper<'_>,
) -> Result<Option<&'static str>, BoxError>
where
    I: AsyncRead + AsyncWrite + News + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = TowerToHyperService::new(service);
    if !time.config.http2 {
        return serve_http1(Rewound::new(io, Bytes::new()), service, time).await;
    }
    let begun = {
        let mut beginning = pin!(begin(&mut io));
        poll_fn(|cx| {
            time.poll_stop(cx);
            match beginning.as_mut().poll(cx) {
                Poll::Ready(begun) => Poll::Ready(Ok(begun)),
                Poll::Pending => time.poll_end(cx, false).map(Err),
            }
        })
        .await
    };
    let (is_http2, read) = match begun {
        Ok(begun) => begun?,
        Err(End::Close(reason)) => return Ok(Some(reason)),
        Err(End::Rest) => return Ok(None),
    };
    let io = Rewound::new(io, read);
    if is_http2 {
        // Boxed, so that connections of HTTP/1 are not as large.
        Box::pin(serve_http2(io, service, time)).await
    } else {
        serve_http1(io, service, time).await
    }
}

/// Reads until it is clear which version it is: whether it is HTTP/2, and what was read.
async fn begin(io: &mut (impl AsyncRead + Unpin)) -> io::Result<(bool, Bytes)> {
    let (mut buffer, mut filled) = ([0; PREFACE.len()], 0);
    loop {
        let (read, rest) = buffer.split_at_mut(filled);
        if !PREFACE.starts_with(read) {
            return Ok((false, Bytes::copy_from_slice(read)));
        }
        if rest.is_empty() {
            return Ok((true, Bytes::copy_from_slice(read)));
        }
        match io.read(rest).await? {
            0 => return Ok((false, Bytes::copy_from_slice(read))),
            count => filled += count,
        }
    }
}

/// Serves one request after the other.
///
/// A client that keeps its connection for later costs next to nothing meanwhile: what hyper holds for it, 24 KiB of
/// buffers above all, is dropped once it rests, and made anew with its next request.
async fn serve_http1<I, S, B>(
    mut io: Rewound<I>,
    mut service: TowerToHyperService<Watched<S>>,
    time: &mut Timekeeper<'_>,
) -> Result<Option<&'static str>, BoxError>
where
    I: AsyncRead + AsyncWrite + News + Unpin + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let builder = http1_builder(time.config);
    loop {
        let mut http = builder.serve_connection(TokioIo::new(io), service);
        if time.is_stopping {
            Pin::new(&mut http).graceful_shutdown();
        }
        let ended = poll_fn(|cx| {
            if time.poll_stop(cx) {
                Pin::new(&mut http).graceful_shutdown();
            }
            match Pin::new(&mut http).poll(cx) {
                Poll::Ready(result) => Poll::Ready(Err(result)),
                Poll::Pending => time.poll_end(cx, true).map(Ok),
            }
        });
        match ended.await {
            Err(result) => return Ok(result.map(|()| None)?),
            Ok(End::Close(reason)) => return Ok(Some(reason)),
            Ok(End::Rest) => {}
        }
        (io, service) = take_apart(http);
        let ended = poll_fn(|cx| {
            time.poll_stop(cx);
            match io.poll_news(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => time.poll_end(cx, false).map(Some),
            }
        });
        if let Some(End::Close(reason)) = ended.await {
            return Ok(Some(reason));
        }
    }
}

/// What is left of a connection that rests.
fn take_apart<I, S, B>(
    http: http1::Connection<TokioIo<Rewound<I>>, TowerToHyperService<Watched<S>>>,
) -> (Rewound<I>, TowerToHyperService<Watched<S>>)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let http1::Parts { io, read_buf, service, .. } = http.into_parts();
    let mut io = io.into_inner();
    io.rewind(&read_buf);
    (io, service)
}

async fn serve_http2<I, S, B>(
    io: Rewound<I>,
    service: TowerToHyperService<Watched<S>>,
    time: &mut Timekeeper<'_>,
) -> Result<Option<&'static str>, BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut http = pin!(http2_builder(time.config).serve_connection(TokioIo::new(io), service));
    if time.is_stopping {
        http.as_mut().graceful_shutdown();
    }
    let ended = poll_fn(|cx| {
        if time.poll_stop(cx) {
            http.as_mut().graceful_shutdown();
        }
        match http.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Err(result)),
            Poll::Pending => time.poll_end(cx, false).map(Ok),
        }
    });
    match ended.await {
        Err(result) => Ok(result.map(|()| None)?),
        Ok(End::Close(reason)) => Ok(Some(reason)),
        Ok(End::Rest) => Ok(None),
    }
}

/// hyper's.
const DEFAULT_MAX_HEADERS: usize = 100;

fn http1_builder(config: &Config) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    // The times are ours to watch.
    http1.header_read_timeout(None).max_buf_size(config.max_head);
    if config.max_headers > DEFAULT_MAX_HEADERS {
        // Set only where it must be, as it costs an allocation for each request. Fewer are counted by the service.
        http1.max_headers(config.max_headers);
    }
    http1
}

fn http2_builder(config: &Config) -> http2::Builder<Streams> {
    let mut http2 = http2::Builder::new(Streams { write_timeout: config.write_timeout });
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        // What a client may have under way to us, and we to it, per connection and stream.
        .initial_connection_window_size(1024 * 1024)
        .initial_stream_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024);
    http2
}
