//! With the feature `http-body`: bodies of HTTP messages go in and come out.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::future::poll_fn;
use std::io;

use bytes::Bytes;
use fcgi_async_std::server::{Request as Incoming, Server};
use fcgi_async_std::{Body, Client, Listener, Request};
use http_body::{Body as _, Frame, SizeHint};
use smol::block_on;

/// A body in two pieces.
struct Two(Vec<&'static str>);

impl http_body::Body for Two {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

async fn echo(mut request: Incoming) -> io::Result<u32> {
    let length = request.param("CONTENT_LENGTH").unwrap_or("none").to_owned();
    request.stdout.write(format!("Content-Type: text/plain\r\n\r\n{length} ")).await?;
    smol::io::copy(&mut request.stdin, &mut request.stdout).await?;
    Ok(0)
}

#[test]
fn a_body_goes_in_and_comes_out() {
    block_on(async {
        let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
        let client = Client::new(listener.local_address().expect("it has one"));
        let _server = smol::spawn(Server::new(echo).serve(listener));
        let request = Request::post("/x").body(Body::http(Two(vec!["body", "some "])));
        let (_, mut body) = client.execute(request).await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            text.extend_from_slice(frame.unwrap().data_ref().expect("data"));
        }
        assert_eq!(text, b"9 some body");
        assert!(body.is_end_stream());
    });
}
