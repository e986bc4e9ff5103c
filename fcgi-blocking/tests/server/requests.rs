//! Requests are answered, whatever the size of the pieces that a web server reads and writes.

use std::io::{self, BufRead, Read, Write};
use std::num::NonZeroU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fcgi_blocking::Role;
use fcgi_blocking::server::{Config, InputError, Request, Server};
use fcgi_proto::ProtocolStatus;

use crate::peer::{WIDTHS, pipe};

const HEAD: &str = "Content-Type: text/plain\r\n\r\n";

fn hello(mut request: Request) -> io::Result<u32> {
    let name = request.param("NAME").unwrap_or("World");
    let text = format!("Hello {name}");
    request.stdout.write(HEAD)?;
    request.stdout.write(text)?;
    Ok(0)
}

/// Sends the body back as it comes.
fn echo(mut request: Request) -> io::Result<u32> {
    while let Some(chunk) = request.stdin.chunk()? {
        request.stdout.write(chunk)?;
    }
    Ok(0)
}

fn body(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn hello_at_every_width() {
    for width in WIDTHS {
        let mut peer = pipe(Server::new(hello), width, false);
        let key = peer.get(&[("NAME", "FastCGI")]);
        peer.answer(key).is(&format!("{HEAD}Hello FastCGI"), 0);
        peer.eof();
    }
}

#[test]
fn a_body_comes_back() {
    for (width, len) in [(1, 20_000), (37, 300_000), (4096, 1 << 20), (1 << 16, 8 << 20)] {
        let mut peer = pipe(Server::new(echo), width, true);
        let sent = body(len);
        let key = peer.begin(&[]);
        peer.send(key, &sent);
        peer.finish(key);
        let answer = peer.answer(key);
        assert!(answer.stdout == sent, "width {width}");
        // And the connection is still good.
        let key = peer.get(&[]);
        peer.answer(key).is("", 0);
    }
}

#[test]
fn requests_on_one_connection_do_not_wait_for_each_other() {
    for width in WIDTHS {
        let mut peer = pipe(Server::new(echo), width, true);
        let (first, second) = (peer.begin(&[]), peer.begin(&[]));
        peer.send(first, b"a");
        peer.send(second, b"1");
        peer.until(first, |answer| answer.stdout == b"a");
        peer.until(second, |answer| answer.stdout == b"1");
        peer.send(first, b"b");
        peer.send(second, b"2");
        peer.finish(second);
        peer.answer(second).is("12", 0);
        peer.finish(first);
        peer.answer(first).is("ab", 0);
    }
}

#[test]
fn a_small_answer_is_one_write() {
    fn chatty(mut request: Request) -> io::Result<u32> {
        request.stdout.write_all(b"Status: 200 OK\r\n")?;
        let content_type = "text/html";
        write!(request.stdout, "Content-Type: {content_type}\r\n\r\n")?;
        request.stderr.write("a word for the log")?;
        request.stdout.write(vec![b'x'; 8000])?;
        Ok(0)
    }
    let mut peer = pipe(Server::new(chatty), 1 << 16, true);
    for round in 1..=3 {
        let key = peer.get(&[]);
        let answer = peer.answer(key);
        assert_eq!(answer.stderr, b"a word for the log");
        assert_eq!(answer.stdout.len(), 43 + 8000);
        // Several writes could be read as one, but never one as several.
        assert_eq!(peer.reads.load(Ordering::Relaxed), round);
    }
}

#[test]
fn flushed_pieces_come_at_once() {
    fn stream(mut request: Request) -> io::Result<u32> {
        request.stdout.write("one")?;
        request.stdout.flush()?;
        // The web server has it before it says so.
        let mut line = String::new();
        request.stdin.read_line(&mut line)?;
        write!(request.stdout, "{line}")?;
        // Waiting for anything sends what was written.
        assert!(!request.aborted.wait_timeout(Duration::from_millis(1)));
        request.stdin.read_line(&mut line)?;
        Ok(0)
    }
    for width in WIDTHS {
        let mut peer = pipe(Server::new(stream), width, true);
        let key = peer.begin(&[]);
        peer.until(key, |answer| answer.stdout == b"one");
        peer.send(key, b"two\n");
        peer.until(key, |answer| answer.stdout == b"onetwo\n");
        peer.finish(key);
        peer.answer(key).is("onetwo\n", 0);
    }
}

#[test]
fn an_error_is_an_answer() {
    fn failing(request: Request) -> Result<u32, String> {
        let mut stdout = request.stdout;
        match request.params.get("MODE") {
            Some(b"late") => stdout.write("Content-Type: text/plain\r\n\r\nhalf").expect("taken"),
            Some(b"panic") => panic!("a handler's panic, on purpose"),
            _ => {}
        }
        Err("out of luck".to_owned())
    }
    const PAGE: &str = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\n";
    let mut peer = pipe(Server::new(failing), 4096, true);

    let key = peer.get(&[]);
    let answer = peer.answer(key);
    answer.is(&format!("{PAGE}Internal Server Error\n"), 1);
    assert_eq!(answer.stderr, b"out of luck\n");

    let key = peer.get(&[("REQUEST_METHOD", "HEAD")]);
    peer.answer(key).is(PAGE, 1);

    let key = peer.get(&[("MODE", "late")]);
    peer.answer(key).is("Content-Type: text/plain\r\n\r\nhalf", 1);

    let key = peer.get(&[("MODE", "panic")]);
    let answer = peer.answer(key);
    answer.is(&format!("{PAGE}Internal Server Error\n"), 1);
    assert_eq!(answer.stderr, b"handler panicked: a handler's panic, on purpose\n");

    let key = peer.get(&[]);
    assert_eq!(peer.answer(key).end, Some((ProtocolStatus::RequestComplete, 1)));
}

#[test]
fn the_body_in_every_way() {
    fn read(request: Request) -> Result<u32, Box<dyn std::error::Error>> {
        let Request { params, mut stdin, mut stdout, .. } = request;
        let len = match params.get("WAY") {
            Some(b"reader") => {
                let mut text = String::new();
                stdin.read_to_string(&mut text)?;
                text.len()
            }
            Some(b"lines") => stdin.lines().count(),
            Some(b"bytes") => stdin.bytes().map_while(Result::ok).count(),
            Some(b"whole") => stdin.collect(1000)?.len(),
            _ => {
                let error = stdin.collect(999).expect_err("it is longer");
                assert_eq!(error, InputError::TooLarge { limit: 999 });
                0
            }
        };
        stdout.write(len.to_string())?;
        Ok(7)
    }
    for width in WIDTHS {
        let mut peer = pipe(Server::new(read), width, true);
        for (way, seen) in [
            ("reader", "1000"),
            ("lines", "100"),
            ("bytes", "1000"),
            ("whole", "1000"),
            ("limit", "0"),
        ] {
            let key = peer.begin(&[("WAY", way)]);
            peer.send(key, &b"xxxxxxxxx\n".repeat(100));
            peer.finish(key);
            peer.answer(key).is(seen, 7);
        }
    }
}

#[test]
fn one_thread_reads_while_another_writes() {
    fn both(request: Request) -> io::Result<u32> {
        let Request { mut stdin, mut stdout, .. } = request;
        std::thread::scope(|scope| {
            let read = scope.spawn(move || io::copy(&mut stdin, &mut io::sink()));
            for _ in 0..100 {
                stdout.write_all(&[b'x'; 10_000])?;
            }
            assert_eq!(read.join().expect("no panic")?, 1_000_000);
            Ok(0)
        })
    }
    let mut peer = pipe(Server::new(both), 1 << 16, true);
    let key = peer.begin(&[]);
    peer.send(key, &body(1_000_000));
    peer.finish(key);
    assert_eq!(peer.answer(key).stdout.len(), 1_000_000);
}

#[test]
fn the_rest_of_a_body_is_thrown_away_behind_the_answer() {
    fn answer_first(mut request: Request) -> io::Result<u32> {
        request.stdout.write("done")?;
        Ok(0)
    }
    for width in WIDTHS {
        let mut peer = pipe(Server::new(answer_first), width, true);
        let early = peer.begin(&[]);
        peer.answer(early).is("done", 0);
        // Whoever has not seen the end yet sends on; the core of the client would refuse to.
        let record = [&[1, 5, 0, 1, 0x10, 0, 0, 0][..], &[b'x'; 0x1000], &[1, 5, 0, 1, 0, 0, 0, 0]];
        let late = record.concat();
        assert_eq!((&peer.socket).write(&late).expect("it is taken"), late.len());
        let next = peer.get(&[]);
        peer.answer(next).is("done", 0);
    }
}

#[test]
fn a_body_that_nobody_wants_does_not_stall() {
    fn drop_stdin(request: Request) -> io::Result<u32> {
        drop(request.stdin);
        request.aborted.wait();
        Ok(3)
    }
    let mut peer = pipe(Server::new(drop_stdin), 4096, true);
    let key = peer.begin(&[]);
    peer.send(key, &body(1 << 20));
    peer.abort(key);
    let answer = peer.answer(key);
    assert_eq!(answer.end, Some((ProtocolStatus::RequestComplete, 3)));
}

#[test]
fn roles() {
    fn filter(mut request: Request) -> io::Result<u32> {
        let stdin = request.stdin.collect(100)?;
        let data = request.data.collect(100)?;
        request.stdout.write([stdin, data].concat())?;
        Ok(0)
    }
    let mut peer = pipe(Server::new(filter), 4096, true);
    let key = peer.begin_as(Role::Authorizer, &[]);
    peer.finish(key);
    assert_eq!(peer.answer(key).end, Some((ProtocolStatus::UnknownRole, 0)));

    let server = Server::new(filter).roles([Role::Responder, Role::Filter]);
    let mut peer = pipe(server, 4096, true);
    let key = peer.begin_as(Role::Filter, &[]);
    peer.send(key, b"in");
    peer.finish(key);
    let mut request = peer.conn.request(key).expect("it is open");
    request.data(&b"file"[..]).expect("there is room");
    request.finish_data().expect("once");
    peer.answer(key).is("infile", 0);
    let key = peer.get(&[]);
    peer.answer(key).is("", 0);
}

#[test]
fn more_requests_than_allowed() {
    let one = Config::default().max_requests(NonZeroU16::MIN);
    let mut peer = pipe(Server::new(echo).config(one), 4096, true);
    let first = peer.begin(&[]);
    let second = peer.get(&[]);
    assert_eq!(peer.answer(second).end, Some((ProtocolStatus::CantMultiplex, 0)));
    peer.send(first, b"x");
    peer.finish(first);
    peer.answer(first).is("x", 0);
}

#[test]
fn more_requests_than_threads() {
    let mut peer = pipe(Server::new(echo).max_multiplexed(1), 4096, true);
    let (first, second) = (peer.begin(&[]), peer.begin(&[]));
    let third = peer.get(&[]);
    peer.answer(third).is("Status: 503 Service Unavailable\r\n\r\n", 1);
    for key in [first, second] {
        peer.send(key, b"x");
        peer.finish(key);
        peer.answer(key).is("x", 0);
    }
    // Their places are free again.
    for _ in 0..100 {
        let keys = [peer.get(&[]), peer.get(&[])];
        for key in keys {
            peer.answer(key).is("", 0);
        }
    }
}
