use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Poll, ready};

use bytes::{Buf, Bytes};
use fcgi_proto::server::http::{has_body, write_response_head};
use http::Response;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http_body::{Body, Frame};

use super::super::Stdout;
use super::BoxError;

/// Writes a response, and gives the exit status.
pub(super) async fn send<B>(
    response: Response<B>,
    is_head: bool,
    stdout: &mut Stdout,
) -> Result<u32, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let status = parts.status;
    if status.is_informational() {
        return Err(format!("the service answered with status {status}, which is no end").into());
    }
    let mut head = Vec::with_capacity(256);
    // What GET would be answered with may be unknown to the body of an answer to HEAD.
    let length = body.size_hint().exact().filter(|length| !is_head || *length > 0);
    write_response_head(&mut head, &parts, length);
    stdout.write(head).await?;
    if is_head || !has_body(status) {
        return Ok(0);
    }
    let written = write_body(body, stdout).await;
    let is_short = |count| promised(&parts).is_some_and(|length| count < length);
    match written {
        Ok(count) if is_short(count) => {
            stdout.cut();
            Err(format!("the body of the response ended after {count} bytes").into())
        }
        Ok(_) => Ok(0),
        Err(error) => {
            stdout.cut();
            Err(error)
        }
    }
}

/// Writes the body, and gives its length.
async fn write_body<B>(body: B, stdout: &mut Stdout) -> Result<u64, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut count = 0;
    while let Some(data) = next_data(body.as_mut()).await {
        let data = data?;
        count += data.len() as u64;
        stdout.write(data).await?;
    }
    Ok(count)
}

/// The next piece of a body; trailers are passed over.
async fn next_data<B>(mut body: Pin<&mut B>) -> Option<Result<Bytes, BoxError>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| {
        loop {
            let frame = ready!(body.as_mut().poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(Err(_trailers))) => {}
                Some(Ok(Ok(mut data))) => {
                    let length = data.remaining();
                    return Poll::Ready(Some(Ok(data.copy_to_bytes(length))));
                }
            }
        }
    })
    .await
}

fn promised(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
