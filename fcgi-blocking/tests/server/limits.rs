//! The application server holds little, and notices when a web server has gone.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_blocking::server::{Handler, InputError, OutputError, Request, Server};
use fcgi_test_support::wait_until;

use crate::peer::{Peer, WIDTHS, pipe};

/// Waits until a count has not changed for a while.
fn settle(count: impl Fn() -> usize) -> usize {
    let mut last = (count(), Instant::now());
    let is_settled = wait_until(Duration::from_secs(60), || {
        if count() != last.0 {
            last = (count(), Instant::now());
        }
        last.0 > 0 && last.1.elapsed() > Duration::from_millis(500)
    });
    assert!(is_settled, "it goes on and on");
    last.0
}

#[test]
fn a_slow_reader_slows_the_handler_down() {
    const CHUNK: usize = 32 * 1024;
    const CHUNKS: usize = 200;
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let server = Server::new(move |mut request: Request| {
        for _ in 0..CHUNKS {
            request.stdout.write(Bytes::from(vec![b'x'; CHUNK]))?;
            count.fetch_add(CHUNK, Ordering::Relaxed);
        }
        Ok::<_, OutputError>(0)
    });
    let mut peer = pipe(server, 4096, true);
    rustix::net::sockopt::set_socket_send_buffer_size(&peer.socket, 4096).expect("it can be set");
    let key = peer.get(&[]);
    while peer.conn.has_outgoing() {
        peer.step();
    }
    // 256 KiB of the connection, 64 KiB of the request, one write beyond either, and what the system holds.
    let held = settle(|| accepted.load(Ordering::Relaxed));
    assert!((256 * 1024..=1024 * 1024).contains(&held), "{held} bytes are held");
    assert_eq!(peer.answer(key).stdout.len(), CHUNK * CHUNKS);
}

#[test]
fn a_slow_handler_slows_the_web_server_down() {
    let (read, may_read) = mpsc::channel::<()>();
    let may_read = Mutex::new(may_read);
    let server = Server::new(move |mut request: Request| {
        let _ = may_read.lock().expect("no panic").recv();
        let body = request.stdin.collect(usize::MAX)?;
        request.stdout.write(body.len().to_string())?;
        Ok::<_, io::Error>(0)
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.begin(&[]);
    let body = vec![b'x'; 4 << 20];
    // As much as is taken without being read.
    let mut sent = 0;
    let is_taken = body.chunks(30_000).all(|piece| {
        while peer.conn.request(key).expect("it is open").stdin_slice(piece).is_err() {
            if !peer.step_within(Duration::from_millis(500)) {
                return false;
            }
        }
        sent += piece.len();
        true
    });
    assert!(!is_taken, "all of the body was taken");
    // The window of 128 KiB and one piece beyond it, one read, and what the system holds.
    let taken = peer.written;
    assert!((128 * 1024..=1024 * 1024).contains(&taken), "{taken} bytes were taken");
    read.send(()).expect("the handler waits");
    peer.flush();
    peer.finish(key);
    let answer = peer.answer(key);
    let len: usize = String::from_utf8_lossy(&answer.stdout).parse().expect("a number");
    assert_eq!(len, sent);
}

/// What a handler that waits for the worst has seen.
type Seen = (Result<Bytes, InputError>, Result<(), OutputError>);

/// Reads the body, waits for an abort, and then tries to write.
fn pessimist() -> (impl Handler, mpsc::Receiver<Seen>) {
    let (report, seen) = mpsc::channel();
    let report = Mutex::new(report);
    let handler = move |mut request: Request| {
        let body = request.stdin.collect(100);
        request.aborted.wait();
        let written = request.stdout.write("too late");
        let _ = report.lock().expect("no panic").send((body, written));
        Ok::<_, InputError>(5)
    };
    (handler, seen)
}

#[test]
fn an_abort_reaches_the_handler() {
    for width in WIDTHS {
        let (handler, seen) = pessimist();
        let mut peer = pipe(Server::new(handler), width, true);
        let key = peer.begin(&[]);
        peer.send(key, b"half");
        peer.flush();
        peer.abort(key);
        assert_eq!(peer.answer(key).end.expect("it has ended").1, 5);
        let (body, written) = seen.recv().expect("the handler tells");
        assert_eq!(body, Err(InputError::Aborted { received: 4 }));
        assert_eq!(written, Err(OutputError::Aborted));
    }
}

#[test]
fn a_body_that_is_cut_off_is_an_error() {
    for width in WIDTHS {
        let (handler, seen) = pessimist();
        let mut peer = pipe(Server::new(handler), width, true);
        let key = peer.begin(&[("CONTENT_LENGTH", "8")]);
        peer.send(key, b"half");
        peer.flush();
        drop(peer);
        let (body, _) = seen.recv().expect("the handler tells");
        assert_eq!(body, Err(InputError::Aborted { received: 4 }));
    }
}

#[test]
fn a_web_server_that_goes_aborts_what_it_asked_for() {
    for width in WIDTHS {
        let (handler, seen) = pessimist();
        let mut peer = pipe(Server::new(handler), width, true);
        peer.get(&[]);
        peer.flush();
        drop(peer);
        let (body, _) = seen.recv().expect("the handler tells");
        assert_eq!(body, Ok(Bytes::new()));
    }
}

#[test]
fn writing_to_nobody_fails() {
    let (report, failed) = mpsc::channel();
    let report = Mutex::new(report);
    let server = Server::new(move |mut request: Request| {
        loop {
            if let Err(error) = request.stdout.write(vec![b'x'; 10_000]) {
                let _ = report.lock().expect("no panic").send(error);
                return Err(error);
            }
        }
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.get(&[]);
    peer.until(key, |answer| answer.stdout.len() > 20_000);
    drop(peer);
    assert_eq!(failed.recv(), Ok(OutputError::Disconnected));
}

#[test]
fn a_broken_protocol_ends_the_connection_alone() {
    use std::io::Write;
    let (handler, seen) = pessimist();
    let server = Server::new(handler);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let served = thread::spawn(move || server.serve_connection(theirs));
    let mut peer = Peer::new(ours, 4096, true);
    peer.get(&[]);
    peer.flush();
    (&peer.socket).write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is taken");
    assert_eq!(seen.recv().expect("the handler tells").1, Err(OutputError::Disconnected));
    drop(peer);
    let error = served.join().expect("no panic").expect_err("that is no FastCGI");
    assert!(error.to_string().contains("broke the FastCGI protocol"), "{error}");
}

#[test]
fn idle_connections_are_closed() {
    const LIMIT: Duration = Duration::from_millis(200);
    fn nothing(_: Request) -> Result<u32, InputError> {
        thread::sleep(3 * LIMIT);
        Ok(0)
    }
    let mut peer = pipe(Server::new(nothing).idle_timeout(LIMIT), 4096, true);
    // A request may take longer than that.
    let key = peer.get(&[]);
    peer.answer(key).is("", 0);
    let idle_since = Instant::now();
    peer.eof();
    // The server's clock has started a moment before ours.
    let idled = idle_since.elapsed();
    assert!(idled > LIMIT / 2, "closed after {idled:?}");
}

#[test]
fn what_is_left_behind_cannot_write_any_more() {
    let (report, seen) = mpsc::channel();
    let report = Mutex::new(report);
    let server = Server::new(move |request: Request| {
        let report = report.lock().expect("no panic").clone();
        let Request { mut stdout, .. } = request;
        stdout.write(vec![b'x'; 100_000])?;
        thread::spawn(move || {
            while stdout.write("more").is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
            let _ = report.send(stdout.write("more"));
        });
        Ok::<_, OutputError>(0)
    });
    let mut peer = pipe(server, 4096, true);
    let key = peer.get(&[]);
    peer.answer(key);
    assert_eq!(seen.recv(), Ok(Err(OutputError::Ended)));
}
