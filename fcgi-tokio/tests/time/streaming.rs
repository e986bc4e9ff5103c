//! What comes is passed on at once, at any cut, and held only up to the limits.

use std::time::Duration;

use fcgi_proto::cgi::HeadError;
use fcgi_tokio::{Chunk, ErrorKind, Request};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::peer::{END, HEAD, peer, record, silence};

fn get() -> Request {
    Request::get("/x.php")
}

#[tokio::test(start_paused = true)]
async fn head_body_and_error_output_come_while_the_script_still_runs() {
    let peer = peer(|mut stream| async move {
        for piece in [HEAD, &record(7, b"a warning"), &record(6, b"a line")] {
            stream.write_all(piece).await.expect("written");
            sleep(Duration::from_secs(10)).await;
        }
        silence(stream).await;
    });
    let started = Instant::now();
    let mut response = peer.client().execute(get()).await.expect("a head");
    assert_eq!((response.header("a"), started.elapsed().as_secs()), (Some(&b"b"[..]), 0));
    for (secs, expected) in
        [(10, Chunk::Stderr("a warning".into())), (20, Chunk::Body("a line".into()))]
    {
        assert_eq!(response.output().await.expect("no error"), Some(expected));
        let late = started.elapsed() - Duration::from_secs(secs);
        assert!(late <= Duration::from_millis(10), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn error_output_that_nobody_takes_is_kept_up_to_256_kib_and_counted_beyond() {
    let peer = peer(|mut stream| async move {
        stream.write_all(HEAD).await.expect("written");
        for _ in 0..300 {
            stream.write_all(&record(7, &[b'e'; 1024])).await.expect("written");
        }
        stream.write_all(&record(6, b"done")).await.expect("written");
        stream.write_all(END).await.expect("written");
    });
    let mut response = peer.client().execute(get()).await.expect("a head");
    assert_eq!(response.chunk().await.expect("no error").expect("a piece"), "done");
    let body = response.body_mut();
    assert_eq!((body.stderr().len(), body.stderr_dropped()), (256 * 1024, 44 * 1024));
    // Taking it makes room.
    assert_eq!(body.take_stderr().len(), 256 * 1024);
    // Who takes it as it comes loses nothing, however much it is.
    let mut response = peer.client().execute(get()).await.expect("a head");
    let mut stderr = 0;
    while let Some(chunk) = response.output().await.expect("no error") {
        if let Chunk::Stderr(data) = chunk {
            stderr += data.len();
        }
    }
    assert_eq!((stderr, response.body().stderr_dropped()), (300 * 1024, 0));
}

#[tokio::test(start_paused = true)]
async fn a_head_of_more_than_256_kib_is_an_error() {
    let head = |size: usize| {
        let mut records = Vec::new();
        for name in 0..size / 1024 {
            let line = format!("X-{name:04}: {}\r\n", "v".repeat(1024 - 10));
            records.extend(record(6, line.as_bytes()));
        }
        records.extend(record(6, b"\r\nbody"));
        records.extend(END);
        records
    };
    let answers = |bytes: Vec<u8>| {
        peer(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.write_all(&bytes).await;
            }
        })
    };
    let answer = answers(head(255 * 1024)).client().call(get()).await.expect("within the limit");
    assert_eq!((answer.head().headers().count(), &answer.body()[..]), (255, &b"body"[..]));
    let error = answers(head(257 * 1024)).client().call(get()).await.unwrap_err();
    let ErrorKind::Head(HeadError::TooLarge { limit, .. }) = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(limit, 256 * 1024);
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_in_two_anywhere_is_the_same_answer() {
    let answer = [
        &record(6, b"Status: 404 Gone fishing\r\nA: b\r"),
        &record(7, b"oops"),
        &record(6, b"\n\r\nbody"),
        END,
    ]
    .concat();
    for cut in 0..=answer.len() {
        let bytes = answer.clone();
        let peer = peer(move |mut stream| {
            let (first, second) = bytes.split_at(cut);
            let (first, second) = (first.to_vec(), second.to_vec());
            async move {
                let _ = stream.write_all(&first).await;
                sleep(Duration::from_millis(1)).await; // until the client has nothing more to do
                let _ = stream.write_all(&second).await;
            }
        });
        let response = peer.client().execute(get()).await.expect("a head");
        assert_eq!((response.status(), response.reason()), (404, &b"Gone fishing"[..]), "{cut}");
        let answer = response.collect(100).await.expect("a body");
        assert_eq!(
            (&answer.body()[..], &answer.stderr()[..]),
            (&b"body"[..], &b"oops"[..]),
            "{cut}"
        );
        assert_eq!(answer.header("a"), Some(&b"b"[..]), "{cut}");
    }
}
