//! The application server holds little, and notices when a web server has gone.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use crate::support::{WIDTHS, pipe};
use bytes::Bytes;
use fcgi_async_std::server::{InputError, OutputError, Request, Server};
use smol::channel::{Sender, bounded, unbounded};
use smol::{Timer, block_on};
use std::time::Instant;

use crate::timeout::timeout;
use crate::wait::wait_until;

#[test]
fn a_slow_reader_slows_the_handler_down() {
    block_on(async {
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
        wait_until(|| accepted.load(Ordering::Relaxed) >= 256 * 1024).await;
        // Not proof, but what would be taken now would be taken at once.
        Timer::after(Duration::from_millis(100)).await;
        // 256 KiB of the connection, 64 KiB of the request, and one write beyond either.
        let held = accepted.load(Ordering::Relaxed);
        assert!(
            (256 * 1024..=(256 + 64) * 1024 + 3 * CHUNK).contains(&held),
            "{held} bytes are held"
        );
        assert_eq!(peer.answer(key).await.stdout.len(), CHUNK * CHUNKS);
    });
}

#[test]
fn a_slow_handler_slows_the_web_server_down() {
    block_on(async {
        let (read, wait) = bounded::<()>(1);
        let server = Server::new(move |mut request: Request| {
            let wait = wait.clone();
            async move {
                let _ = wait.recv().await;
                let body = request.stdin.collect(usize::MAX).await?;
                request.stdout.write(body.len().to_string()).await?;
                Ok::<_, io::Error>(0)
            }
        });
        let mut peer = pipe(server, 4096, true);
        let key = peer.begin(&[]);
        let piece = vec![b'x'; 30_000];
        let mut sent = 0;
        while sent < 2 << 20 {
            if peer.conn.request(key).expect("it is open").stdin_slice(&piece).is_ok() {
                sent += piece.len();
            } else if timeout(Duration::from_millis(100), peer.step()).await.is_none()
                && peer.written >= 128 * 1024
            {
                break;
            }
        }
        assert!(sent < 2 << 20, "all of the body was taken");
        // The window of 128 KiB and one piece beyond it, one read, and the pipe.
        let taken = peer.written;
        assert!((128 * 1024..=256 * 1024).contains(&taken), "{taken} bytes were taken");
        read.try_send(()).expect("it waits for this");
        peer.finish(key);
        peer.answer(key).await.is(&sent.to_string(), 0);
    });
}

/// What a handler that waits for the worst has seen.
type Seen = (Result<Bytes, InputError>, Result<(), OutputError>);

/// Reads the body, waits for an abort, and then tries to write.
fn pessimist(report: Sender<Seen>) -> impl fcgi_async_std::server::Handler {
    move |mut request: Request| {
        let report = report.clone();
        async move {
            let body = request.stdin.collect(100).await;
            request.aborted().await;
            let written = request.stdout.write("too late").await;
            let _ = report.try_send((body, written));
            Ok::<_, InputError>(5)
        }
    }
}

#[test]
fn an_abort_reaches_the_handler() {
    block_on(async {
        for width in WIDTHS {
            let (report, seen) = unbounded();
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
    });
}

#[test]
fn a_body_that_is_cut_off_is_an_error() {
    block_on(async {
        for width in WIDTHS {
            let (report, seen) = unbounded();
            let mut peer = pipe(Server::new(pessimist(report)), width, true);
            let key = peer.begin(&[("CONTENT_LENGTH", "8")]);
            peer.send(key, b"half").await;
            peer.flush().await;
            drop(peer);
            let (body, _) = seen.recv().await.expect("the handler tells");
            assert_eq!(body, Err(InputError::Aborted { received: 4 }));
        }
    });
}

#[test]
fn a_web_server_that_goes_aborts_what_it_asked_for() {
    block_on(async {
        for width in WIDTHS {
            let (report, seen) = unbounded();
            let mut peer = pipe(Server::new(pessimist(report)), width, true);
            peer.get(&[]);
            peer.flush().await;
            drop(peer);
            let (body, _) = seen.recv().await.expect("the handler tells");
            assert_eq!(body, Ok(Bytes::new()));
        }
    });
}

#[test]
fn a_failing_write_stops_the_handlers() {
    block_on(async {
        struct Report(Sender<()>);
        impl Drop for Report {
            fn drop(&mut self) {
                let _ = self.0.try_send(());
            }
        }
        let (report, stopped) = unbounded();
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
    });
}

#[test]
fn idle_connections_are_closed() {
    async fn nothing(_request: Request) -> Result<u32, InputError> {
        Timer::after(Duration::from_millis(400)).await;
        Ok(0)
    }
    block_on(async {
        let server = Server::new(nothing).idle_timeout(Duration::from_millis(100));
        let mut peer = pipe(server, 4096, true);
        let start = Instant::now();
        let key = peer.get(&[]);
        // A request may take longer than that.
        peer.answer(key).await.is("", 0);
        peer.eof().await;
        assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    });
}

#[test]
fn what_is_left_behind_cannot_write_any_more() {
    block_on(async {
        let (report, seen) = unbounded();
        let server = Server::new(move |request: Request| {
            let report = report.clone();
            async move {
                let Request { mut stdout, .. } = request;
                let full = vec![b'x'; 100_000];
                stdout.write(full).await?;
                smol::spawn(async move {
                    while stdout.write("more").await.is_ok() {
                        smol::future::yield_now().await;
                    }
                    let _ = report.try_send(stdout.write("more").await);
                })
                .detach();
                Ok::<_, OutputError>(0)
            }
        });
        let mut peer = pipe(server, 4096, true);
        let key = peer.get(&[]);
        peer.answer(key).await;
        assert_eq!(seen.recv().await, Ok(Err(OutputError::Ended)));
    });
}
