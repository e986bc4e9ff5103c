//! The application server holds little, and notices when a web server has gone.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use crate::support::{WIDTHS, pipe};
use bytes::Bytes;
use fcgi_tokio::server::{InputError, OutputError, Request, Server};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};

/// With the clock paused, time passes only when nobody can do anything any more.
async fn until_quiet() {
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_handler_down() {
    const CHUNK: usize = 32 * 1024;
    const CHUNKS: usize = 200;
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let server = Server::new(move |mut request: Request| {
        let count = Arc::clone(&count);
        async move {
            for _ in 0..CHUNKS {
                request.stdout.write(Bytes::from(vec![b'x'; CHUNK])).await?;
                count.fetch_add(CHUNK, Ordering::Relaxed);
            }
            Ok::<_, OutputError>(0)
        }
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.get(&[]);
    peer.flush().await;
    until_quiet().await;
    // 256 KiB of the connection, 64 KiB of the request, and one write beyond either.
    let held = accepted.load(Ordering::Relaxed);
    assert!((256 * 1024..=(256 + 64) * 1024 + 3 * CHUNK).contains(&held), "{held} bytes are held");
    assert_eq!(peer.answer(key).await.stdout.len(), CHUNK * CHUNKS);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_slows_the_web_server_down() {
    let read = Arc::new(Notify::new());
    let wait = Arc::clone(&read);
    let server = Server::new(move |mut request: Request| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            let body = request.stdin.collect(usize::MAX).await?;
            request.stdout.write(body.len().to_string()).await?;
            Ok::<_, io::Error>(0)
        }
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.begin(&[]);
    let body = vec![b'x'; 2 << 20];
    let sent = timeout(Duration::from_secs(1), peer.send(key, &body)).await;
    assert!(sent.is_err(), "all of the body was taken");
    // The window of 128 KiB and one piece beyond it, one read, and the pipe.
    let taken = peer.written;
    assert!((128 * 1024..=256 * 1024).contains(&taken), "{taken} bytes were taken");
    read.notify_one();
    // Where the client stood is lost with the future; what is certain is that everything moves on.
    peer.flush().await;
    peer.finish(key);
    let answer = peer.answer(key).await;
    let len: usize = String::from_utf8_lossy(&answer.stdout).parse().expect("a number");
    assert!(len >= 128 * 1024);
}

/// What a handler that waits for the worst has seen.
type Seen = (Result<Bytes, InputError>, Result<(), OutputError>);

/// Reads the body, waits for an abort, and then tries to write.
fn pessimist(report: mpsc::UnboundedSender<Seen>) -> impl fcgi_tokio::server::Handler {
    move |mut request: Request| {
        let report = report.clone();
        async move {
            let body = request.stdin.collect(100).await;
            request.aborted().await;
            let written = request.stdout.write("too late").await;
            let _ = report.send((body, written));
            Ok::<_, InputError>(5)
        }
    }
}

#[tokio::test]
async fn an_abort_reaches_the_handler() {
    for width in WIDTHS {
        let (report, mut seen) = mpsc::unbounded_channel();
        let mut peer = pipe(Server::new(pessimist(report)), width, true);
        let key = peer.begin(&[]);
        peer.send(key, b"half").await;
        peer.flush().await;
        peer.conn.request(key).expect("it is open").abort();
        assert_eq!(peer.answer(key).await.end.expect("it has ended").1, 5);
        let (body, written) = seen.recv().await.expect("the handler tells");
        assert_eq!(body, Err(InputError::Aborted { received: 4 }));
        assert_eq!(written, Err(OutputError::Aborted));
    }
}

// spec: S53
#[tokio::test]
async fn a_body_that_is_cut_off_is_an_error() {
    for width in WIDTHS {
        let (report, mut seen) = mpsc::unbounded_channel();
        let mut peer = pipe(Server::new(pessimist(report)), width, true);
        let key = peer.begin(&[("CONTENT_LENGTH", "8")]);
        peer.send(key, b"half").await;
        peer.flush().await;
        drop(peer);
        let (body, _) = seen.recv().await.expect("the handler tells");
        assert_eq!(body, Err(InputError::Aborted { received: 4 }));
    }
}

#[tokio::test]
async fn a_web_server_that_goes_aborts_what_it_asked_for() {
    for width in WIDTHS {
        let (report, mut seen) = mpsc::unbounded_channel();
        let mut peer = pipe(Server::new(pessimist(report)), width, true);
        peer.get(&[]);
        peer.flush().await;
        drop(peer);
        let (body, _) = seen.recv().await.expect("the handler tells");
        assert_eq!(body, Ok(Bytes::new()));
    }
}

#[tokio::test]
async fn a_failing_write_stops_the_handlers() {
    struct Report(mpsc::UnboundedSender<()>);
    impl Drop for Report {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (report, mut stopped) = mpsc::unbounded_channel();
    let server = Server::new(move |mut request: Request| {
        let report = Report(report.clone());
        async move {
            let _report = report;
            loop {
                if request.stdout.write(vec![b'x'; 10_000]).await.is_err() {
                    core::future::pending::<()>().await;
                }
            }
            #[expect(unreachable_code, reason = "says what type the handler has")]
            Ok::<_, InputError>(0)
        }
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.get(&[]);
    peer.until(key, |answer| answer.stdout.len() > 20_000).await;
    drop(peer);
    stopped.recv().await.expect("the handler was dropped");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed() {
    async fn nothing(_request: Request) -> Result<u32, InputError> {
        sleep(Duration::from_secs(100)).await;
        Ok(0)
    }
    let server = Server::new(nothing).idle_timeout(Duration::from_secs(10));
    let mut peer = pipe(server, 4096, true);
    let start = Instant::now();
    let key = peer.get(&[]);
    // A request may take longer than that.
    loop {
        match timeout(Duration::from_secs(30), peer.answer(key)).await {
            Ok(answer) => break answer.is("", 0),
            Err(_) => assert!(start.elapsed() < Duration::from_secs(100)),
        }
    }
    peer.eof().await;
    assert_eq!(start.elapsed().as_secs(), 110);
}

#[tokio::test]
async fn what_is_left_behind_cannot_write_any_more() {
    let (report, mut seen) = mpsc::unbounded_channel();
    let server = Server::new(move |request: Request| {
        let report = report.clone();
        async move {
            let Request { mut stdout, .. } = request;
            let full = vec![b'x'; 100_000];
            stdout.write(full).await?;
            tokio::spawn(async move {
                while stdout.write("more").await.is_ok() {
                    tokio::task::yield_now().await;
                }
                let _ = report.send(stdout.write("more").await);
            });
            Ok::<_, OutputError>(0)
        }
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.get(&[]);
    peer.answer(key).await;
    assert_eq!(seen.recv().await, Some(Err(OutputError::Ended)));
}
