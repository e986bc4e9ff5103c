//! Ways to give and take a body that only this client has.

use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

use fcgi_blocking::{Body, Client, Error, ErrorKind, Request};

use fcgi_test_support::client::peer::{HELLO, Peer, answers, peer, until_closed};

fn client(peer: &Peer) -> Client {
    Client::new(peer.address.parse().expect("an address"))
}

/// HELLO with this body, and its end if it is to have one.
fn answer(body: &str, is_whole: bool) -> Vec<u8> {
    let mut bytes = b"\x01\x06\0\x01\0\x06\0\0A: b\n\n".to_vec();
    for byte in body.bytes() {
        bytes.extend([1, 6, 0, 1, 0, 1, 0, 0, byte]);
    }
    if is_whole {
        bytes.extend(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
    }
    bytes
}

#[test]
fn a_response_is_a_reader() {
    let peer = answers(answer("one\ntwo\n\nthree", true));
    let read = || client(&peer).execute(Request::get("/x.php")).unwrap().into_parts().1;
    let mut text = String::new();
    read().read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n\nthree");
    let lines: Result<Vec<_>, _> = read().lines().collect();
    assert_eq!(lines.unwrap(), ["one", "two", "", "three"]);
    assert_eq!(read().take(2).bytes().map(Result::unwrap).collect::<Vec<_>>(), b"on");
    let mut body = read();
    let mut count = 0;
    for chunk in &mut body {
        count += chunk.unwrap().len();
    }
    assert_eq!((count, body.read(&mut [0; 9]).unwrap()), (14, 0));
}

#[test]
fn a_cut_response_ends_no_reader_cleanly() {
    let peer = answers(answer("some", false));
    let (_, mut body) = client(&peer).execute(Request::get("/x.php")).unwrap().into_parts();
    let mut seen = Vec::new();
    let error = body.read_to_end(&mut seen).unwrap_err();
    assert_eq!((&seen[..], error.kind()), (&b"some"[..], io::ErrorKind::ConnectionReset));
    let inner = error.into_inner().and_then(|error| error.downcast::<Error>().ok());
    assert_eq!(inner.expect("the client's error is inside").kind(), ErrorKind::Reset);
    // A reader that tries again is not told that this was the end.
    assert_eq!(body.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(body.chunk().unwrap().is_none());

    let (_, body) = client(&peer).execute(Request::get("/x.php")).unwrap().into_parts();
    let pieces: Vec<_> = body.into_iter().collect();
    assert_eq!(pieces.iter().filter(|piece| piece.is_err()).count(), 1);
    assert!(pieces.last().expect("something").is_err());
}

#[test]
fn a_file_is_sent_from_where_it_stands() {
    let peer = peer(|mut stream| {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\x01\x05\0\x01\0\0\0\0") {
            let mut some = [0; 4096];
            let count = stream.read(&mut some).expect("a request");
            seen.extend_from_slice(&some[..count]);
        }
        assert!(seen.windows(9).any(|window| window == b"ends here"));
        assert!(!seen.windows(9).any(|window| window == b"begins so"));
        let _ = stream.write_all(HELLO);
    });
    let mut file = tempfile::tempfile().expect("a file");
    let text = format!("begins so{}ends here", "x".repeat(100_000));
    file.write_all(text.as_bytes()).expect("written");
    file.seek(SeekFrom::Start(9)).expect("there");
    let body = Body::file(file).unwrap();
    assert_eq!(format!("{body:?}"), "Body(100009 bytes)");
    let answer = client(&peer).call(Request::post("/x.php").body(body)).unwrap();
    assert_eq!(answer.body(), "hey");
}

#[test]
fn a_reader_that_panics_is_an_error() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
    }
    let peer = peer(until_closed);
    let request = Request::post("/x.php").body(Body::reader(Panics, Some(9)));
    let error = client(&peer).call(request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
}

#[test]
fn a_reader_is_let_go_once_the_answer_is_there() {
    struct Counts(std::sync::mpsc::Sender<()>);
    impl Read for Counts {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(buf.len())
        }
    }
    impl Drop for Counts {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let peer = peer(|mut stream| {
        let _ = stream.write_all(HELLO);
        until_closed(stream);
    });
    let (dropped, is_dropped) = std::sync::mpsc::channel();
    let request = Request::post("/x.php").body(Body::reader(Counts(dropped), Some(1 << 40)));
    let mut response = client(&peer).execute(request).unwrap();
    while response.chunk().unwrap().is_some() {}
    is_dropped.recv().expect("its thread has ended");
    assert!(response.body().end().is_some());
}

#[test]
fn a_response_that_is_over_holds_no_connection() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let peer = peer(move |mut stream| {
        let _ = stream.write_all(HELLO);
        until_closed(stream);
        let _ = closed.lock().expect("no panic").send(());
    });
    let mut response = client(&peer).execute(Request::get("/x.php")).unwrap();
    while response.chunk().unwrap().is_some() {}
    is_closed.recv().expect("the peer saw the end");
    assert!(response.chunk().unwrap().is_none());
}
