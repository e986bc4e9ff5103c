//! The application server answers requests, over pipes of several widths.

use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use crate::support::{Peer, WIDTHS, pipe};
use fcgi_async_std::server::{Config, InputError, Request, Server};
use fcgi_proto::{ProtocolStatus, Role};
use smol::block_on;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::pipe::duplex;

const HEAD: &str = "Content-Type: text/plain\r\n\r\n";

async fn hello(mut request: Request) -> io::Result<u32> {
    let name = request.param("NAME").unwrap_or("World");
    let text = format!("Hello {name}");
    request.stdout.write(HEAD).await?;
    request.stdout.write(text).await?;
    Ok(0)
}

/// Sends the body back as it comes.
async fn echo(mut request: Request) -> io::Result<u32> {
    while let Some(chunk) = request.stdin.chunk().await? {
        request.stdout.write(chunk).await?;
    }
    Ok(0)
}

fn body(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn hello_at_every_width() {
    block_on(async {
        for width in WIDTHS {
            let mut peer = pipe(Server::new(hello), width, false);
            let key = peer.get(&[("NAME", "FastCGI")]);
            peer.answer(key).await.is(&format!("{HEAD}Hello FastCGI"), 0);
            peer.eof().await;
        }
    });
}

#[test]
fn a_body_comes_back() {
    block_on(async {
        for (width, len) in [(1, 5_000), (37, 100_000), (4096, 1 << 20), (1 << 16, 1 << 20)] {
            let mut peer = pipe(Server::new(echo), width, true);
            let sent = body(len);
            let key = peer.begin(&[]);
            peer.send(key, &sent).await;
            peer.finish(key);
            let answer = peer.answer(key).await;
            assert!(answer.stdout == sent, "width {width}");
            // And the connection is still good.
            let key = peer.get(&[]);
            peer.answer(key).await.is("", 0);
        }
    });
}

#[test]
fn requests_on_one_connection_do_not_wait_for_each_other() {
    block_on(async {
        for width in WIDTHS {
            let mut peer = pipe(Server::new(echo), width, true);
            let (first, second) = (peer.begin(&[]), peer.begin(&[]));
            peer.send(first, b"a").await;
            peer.send(second, b"1").await;
            peer.until(first, |answer| answer.stdout == b"a").await;
            peer.until(second, |answer| answer.stdout == b"1").await;
            peer.send(first, b"b").await;
            peer.send(second, b"2").await;
            peer.finish(second);
            peer.answer(second).await.is("12", 0);
            peer.finish(first);
            peer.answer(first).await.is("ab", 0);
        }
    });
}

#[test]
fn small_answers_are_one_write_each() {
    async fn chatty(mut request: Request) -> io::Result<u32> {
        request.stdin.collect(100).await?;
        request.stdout.write_all(b"Status: 200 OK\r\n").await?;
        request.stdout.write_all(b"Content-Type: text/html\r\n\r\n").await?;
        // Time for another thread to get ahead, if it could.
        std::thread::sleep(Duration::from_millis(1));
        request.stderr.write("a word for the log").await?;
        request.stdout.write(vec![b'x'; 8000]).await?;
        Ok(0)
    }
    block_on(async {
        let (ours, theirs) = duplex(1 << 18);
        let writes = Arc::new(AtomicUsize::new(0));
        let counting = Counting { io: theirs, writes: Arc::clone(&writes) };
        smol::spawn(Server::new(chatty).serve_connection(counting)).detach();
        let mut peer = Peer::new(ours, true);
        for round in 1..=20 {
            let key = peer.begin(&[]);
            peer.send(key, b"body").await;
            peer.flush().await;
            peer.finish(key);
            let answer = peer.answer(key).await;
            assert_eq!(answer.stderr, b"a word for the log");
            assert_eq!(answer.stdout.len(), 43 + 8000);
            assert_eq!(writes.load(Ordering::Relaxed), round);
        }
    });
}

#[test]
fn an_error_is_an_answer() {
    block_on(async {
        async fn failing(request: Request) -> Result<u32, String> {
            let mut stdout = request.stdout;
            match request.params.get("MODE") {
                Some(b"late") => {
                    stdout.write("Content-Type: text/plain\r\n\r\nhalf").await.expect("sent");
                }
                Some(b"panic") => panic!("a handler's panic, on purpose"),
                _ => {}
            }
            Err("out of luck".to_owned())
        }
        const PAGE: &str = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\n";
        let mut peer = pipe(Server::new(failing), 4096, true);

        let key = peer.get(&[]);
        let answer = peer.answer(key).await;
        answer.is(&format!("{PAGE}Internal Server Error\n"), 1);
        assert_eq!(answer.stderr, b"out of luck\n");

        let key = peer.get(&[("REQUEST_METHOD", "HEAD")]);
        peer.answer(key).await.is(PAGE, 1);

        let key = peer.get(&[("MODE", "late")]);
        peer.answer(key).await.is("Content-Type: text/plain\r\n\r\nhalf", 1);

        let key = peer.get(&[("MODE", "panic")]);
        let answer = peer.answer(key).await;
        answer.is(&format!("{PAGE}Internal Server Error\n"), 1);
        assert_eq!(answer.stderr, b"handler panicked: a handler's panic, on purpose\n");

        let key = peer.get(&[]);
        assert_eq!(peer.answer(key).await.end, Some((ProtocolStatus::RequestComplete, 1)));
    });
}

#[test]
fn the_body_in_every_way() {
    block_on(async {
        async fn read(request: Request) -> Result<u32, Box<dyn core::error::Error + Send + Sync>> {
            let Request { params, mut stdin, mut stdout, .. } = request;
            let len = match params.get("WAY") {
                Some(b"reader") => {
                    let mut text = String::new();
                    stdin.read_to_string(&mut text).await?;
                    text.len()
                }
                Some(b"whole") => stdin.collect(1000).await?.len(),
                _ => {
                    let error = stdin.collect(999).await.expect_err("it is longer");
                    assert_eq!(error, InputError::TooLarge { limit: 999 });
                    0
                }
            };
            stdout.write(len.to_string()).await?;
            Ok(7)
        }
        for width in WIDTHS {
            let mut peer = pipe(Server::new(read), width, true);
            for (way, seen) in [("reader", "1000"), ("whole", "1000"), ("limit", "0")] {
                let key = peer.begin(&[("WAY", way)]);
                peer.send(key, &[b'x'; 1000]).await;
                peer.finish(key);
                peer.answer(key).await.is(seen, 7);
            }
        }
    });
}

#[test]
fn the_rest_of_a_body_is_thrown_away_behind_the_answer() {
    block_on(async {
        async fn answer_first(mut request: Request) -> io::Result<u32> {
            request.stdout.write("done").await?;
            Ok(0)
        }
        for width in WIDTHS {
            let mut peer = pipe(Server::new(answer_first), width, true);
            let early = peer.begin(&[]);
            peer.answer(early).await.is("done", 0);
            // Whoever has not seen the end yet sends on; the core of the client would refuse to.
            let record =
                [&[1, 5, 0, 1, 0x10, 0, 0, 0][..], &[b'x'; 0x1000], &[1, 5, 0, 1, 0, 0, 0, 0]];
            let late = record.concat();
            peer.io.write_all(&late).await.expect("it is taken");
            let next = peer.get(&[]);
            peer.answer(next).await.is("done", 0);
        }
    });
}

#[test]
fn a_body_that_nobody_wants_does_not_stall() {
    block_on(async {
        async fn drop_stdin(request: Request) -> io::Result<u32> {
            drop(request.stdin);
            request.aborted.wait().await;
            Ok(3)
        }
        let mut peer = pipe(Server::new(drop_stdin), 4096, true);
        let key = peer.begin(&[]);
        peer.send(key, &body(1 << 20)).await;
        peer.conn.request(key).expect("it is open").abort();
        let answer = peer.answer(key).await;
        assert_eq!(answer.end, Some((ProtocolStatus::RequestComplete, 3)));
    });
}

#[test]
fn roles() {
    block_on(async {
        async fn filter(mut request: Request) -> io::Result<u32> {
            let stdin = request.stdin.collect(100).await?;
            let data = request.data.collect(100).await?;
            request.stdout.write([stdin, data].concat()).await?;
            Ok(0)
        }
        let mut peer = pipe(Server::new(filter), 4096, true);
        let key = peer.begin_as(Role::Authorizer, &[]);
        peer.finish(key);
        assert_eq!(peer.answer(key).await.end, Some((ProtocolStatus::UnknownRole, 0)));

        let server = Server::new(filter).roles([Role::Responder, Role::Filter]);
        let mut peer = pipe(server, 4096, true);
        let key = peer.begin_as(Role::Filter, &[]);
        peer.send(key, b"in").await;
        peer.finish(key);
        let mut request = peer.conn.request(key).expect("it is open");
        request.data(&b"file"[..]).expect("there is room");
        request.finish_data().expect("once");
        peer.answer(key).await.is("infile", 0);
        let key = peer.get(&[]);
        peer.answer(key).await.is("", 0);
    });
}

#[test]
fn more_requests_than_allowed() {
    block_on(async {
        let one = Config::default().max_requests(core::num::NonZeroU16::MIN);
        let mut peer = pipe(Server::new(echo).config(one), 4096, true);
        let first = peer.begin(&[]);
        let second = peer.get(&[]);
        assert_eq!(peer.answer(second).await.end, Some((ProtocolStatus::CantMultiplex, 0)));
        peer.send(first, b"x").await;
        peer.finish(first);
        peer.answer(first).await.is("x", 0);
    });
}

/// Counts the writes of a socket.
struct Counting<IO> {
    io: IO,
    writes: Arc<AtomicUsize>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counting<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counting<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Before, as the peer counts as soon as it has the data; a write that has to wait is none.
        self.writes.fetch_add(1, Ordering::Relaxed);
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        if written.is_pending() {
            self.writes.fetch_sub(1, Ordering::Relaxed);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let data: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}
