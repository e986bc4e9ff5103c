//! HTTP/2's streams: how many there may be, and what becomes of one that its client does not read.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use fcgi_gateway::server::{Config, Server};
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{LIMIT, Running, SHORT, get, http2};

/// A body of so many pieces, after which nothing comes. Tells when it is dropped.
struct Pieces {
    left: usize,
    dropped: Arc<Notify>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = core::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Pending };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.dropped.notify_one();
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_given_up_alone() {
    let (endless, waiting) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let body = |left: usize, dropped: &Arc<Notify>| {
        let dropped = Arc::clone(dropped);
        any(async move || Body::new(Pieces { left, dropped: Arc::clone(&dropped) }))
    };
    let service = Router::new()
        .route("/endless", body(usize::MAX, &endless))
        .route("/waiting", body(1, &waiting))
        .route("/early", any(|| async { "early" }));
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = Running::with(server.config(Config::default().write_timeout(SHORT)), service);
    let mut client = http2(server.connect().await).await;
    let mut ask = async |target: &str| {
        let request = http::Request::get(format!("http://x{target}")).body(Empty::new()).unwrap();
        client.send_request(request).await.unwrap().into_body()
    };
    let mut patient = ask("/waiting").await;
    patient.frame().await.unwrap().unwrap();
    let lazy = ask("/endless").await;
    tokio::time::timeout(LIMIT, endless.notified()).await.expect("it is kept for ever");
    // The client learns of it, and the rest of the connection goes on: also a stream that waits for its application.
    let error = lazy.collect().await.unwrap_err();
    assert!(format!("{error:?}").contains("Reset"), "{error:?}");
    assert_eq!(get(&mut client, "http://x/early").await, (200, "early".to_owned()));
    let dropped = tokio::time::timeout(SHORT, waiting.notified()).await;
    assert!(dropped.is_err(), "a stream was given up that waits for its application");
    drop(patient);
    tokio::time::timeout(LIMIT, waiting.notified()).await.expect("a reset stream is kept");
}

/// A frame of HTTP/2: its type, flags, stream and payload.
type RawFrame = (u8, u8, u32, Vec<u8>);

async fn read_frame(stream: &mut TcpStream) -> RawFrame {
    let mut head = [0; 9];
    let read = tokio::time::timeout(LIMIT, stream.read_exact(&mut head)).await;
    read.expect("no frame comes").unwrap();
    let [a, b, c, kind, flags, id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (kind, flags, u32::from_be_bytes(id), payload)
}

/// GET /never on a stream of this id, with the header fields as HPACK spells them.
fn get_never(id: u8) -> Vec<u8> {
    let fields = b"\x82\x86\x44\x06/never\x41\x01x";
    [&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, id], &fields[..]].concat()
}

const SETTINGS: u8 = 4;
const RST_STREAM: u8 = 3;
const MAX_CONCURRENT_STREAMS: u8 = 3;
const REFUSED_STREAM: u8 = 7;

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    for (config, limit) in [(Config::default(), 100_u8), (Config::default().max_streams(2), 2)] {
        let server = Running::start(config).await;
        let mut stream = server.connect().await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let (kind, _, _, settings) = read_frame(&mut stream).await;
        assert_eq!(kind, SETTINGS);
        let told = settings.chunks(6).find(|setting| setting[1] == MAX_CONCURRENT_STREAMS);
        assert_eq!(told.unwrap()[2..], [0, 0, 0, limit]);
        stream.write_all(b"\0\0\0\x04\x01\0\0\0\0").await.unwrap();
        let refused = 2 * limit + 1;
        for id in (1..=refused).step_by(2) {
            stream.write_all(&get_never(id)).await.unwrap();
        }
        let (id, reason) = loop {
            let (kind, _, id, payload) = read_frame(&mut stream).await;
            assert_ne!(kind, 7, "GOAWAY: {payload:?}");
            if kind == RST_STREAM {
                break (id, payload);
            }
        };
        assert_eq!((id, reason), (u32::from(refused), vec![0, 0, 0, REFUSED_STREAM]));
    }
}
