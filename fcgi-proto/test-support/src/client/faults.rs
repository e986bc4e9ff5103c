//! A client against peers that do wrong, or nothing at all.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::{Error, ErrorKind, Phase, Request, Timeouts};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tempfile::TempDir;

use super::peer::{HELLO, Peer, answers, peer, read_request, serve_on, until_closed};
use super::{Adapter, Client, Response};

fn get<A: Adapter>(peer: &Peer) -> Result<Bytes, Error> {
    Ok(A::call(&peer.client(), Request::get("/x.php"))?.into_body())
}

pub fn hello<A: Adapter>() {
    assert_eq!(get::<A>(&answers(HELLO)).unwrap(), "hey");
}

pub fn a_small_request_is_one_write<A: Adapter>() {
    let (seen, first_read) = mpsc::channel();
    let seen = Mutex::new(seen);
    let peer = peer(move |mut stream| {
        let mut buf = vec![0; 65536];
        let count = stream.read(&mut buf).expect("a request");
        buf.truncate(count);
        let _ = seen.lock().expect("no panic").send(buf);
        let _ = stream.write_all(HELLO);
    });
    let request = Request::post("/x.php").body("a body");
    assert_eq!(A::call(&peer.client(), request).unwrap().body(), "hey");
    assert!(first_read.recv().expect("a request").ends_with(b"\x01\x05\0\x01\0\0\0\0"));
}

pub fn an_early_answer_and_close_amid_the_upload_is_delivered<A: Adapter>() {
    let peer = peer(|mut stream| {
        let _ = stream.read_exact(&mut [0; 1000]);
        let _ = stream.write_all(HELLO);
    });
    let request = Request::post("/x.php").body(vec![b'u'; 8 << 20]);
    let mut response = A::execute(&peer.client(), request).unwrap();
    assert_eq!(response.chunk().unwrap().unwrap(), "hey");
    assert_eq!(response.chunk().unwrap(), None);
    assert!(!response.end().expect("ended").is_body_sent);
}

/// A reader that gives what is sent to it; without a sender it ends.
struct Pipe(mpsc::Receiver<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let data = self.0.recv().unwrap_or_default();
        data.as_slice().read(buf)
    }
}

pub fn an_answer_does_not_wait_for_a_body_that_never_comes<A: Adapter>() {
    let peer = peer(|mut stream| {
        let _ = stream.read_exact(&mut [0; 16]);
        let _ = stream.write_all(HELLO);
        until_closed(stream);
    });
    let (_body, pipe) = mpsc::channel();
    let request = Request::post("/x.php").body(A::reader(Pipe(pipe), Some(5)));
    assert_eq!(A::call(&peer.client(), request).unwrap().body(), "hey");
}

pub fn a_body_may_depend_on_the_response<A: Adapter>() {
    const PIECES: usize = 100;
    // Answers each byte `x` of the body with one.
    let peer = peer(|mut stream| {
        let _ = stream.write_all(b"\x01\x06\0\x01\0\x06\0\0A: b\n\n");
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut some) {
            let asked = some[..count].iter().filter(|byte| **byte == b'x').count();
            let _ = stream.write_all(&b"\x01\x06\0\x01\0\x01\0\0x".repeat(asked));
            if some[..count].ends_with(b"\x01\x05\0\x01\0\0\0\0") {
                let _ = stream.write_all(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
            }
        }
    });
    let (body, pipe) = mpsc::channel();
    let request = Request::from_params([("REQUEST_METHOD", "POST")].into_iter().collect())
        .body(A::reader(Pipe(pipe), Some(PIECES as u64)));
    let mut response = A::execute(&peer.client(), request).unwrap();
    for _ in 0..PIECES {
        body.send(b"x".to_vec()).expect("somebody reads");
        assert_eq!(response.chunk().unwrap().unwrap(), "x");
    }
    drop(body);
    assert_eq!(response.chunk().unwrap(), None);
    assert!(response.end().expect("ended").is_body_sent);
}

pub fn nothing_listens<A: Adapter>() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let address = format!("127.0.0.1:{port}");
    let error = A::call_form(&address, "/x.php", &[]).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)));
    assert!(error.is_safe_to_retry());
    assert!(error.to_string().contains(&address), "{error}");
    let error = A::call_form("unix:/nonexistent/fpm.sock", "/x.php", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(A::connect(&address).is_err());
    let error = A::call_form(&format!("localhost:{port}"), "/x.php", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}

pub fn a_host_name_is_resolved<A: Adapter>() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(HELLO);
    });
    // Where it is ::1 as well, that is tried in vain, and then this one.
    let address = format!("localhost:{port}");
    assert_eq!(A::call_form(&address, "/x.php", &[]).unwrap(), "hey");
}

pub fn the_limit_on_the_whole_holds_while_bytes_flow<A: Adapter>() {
    let floods = peer(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"\x01\x06\0\x01\0\x06\0\0A: b\n\n");
        let mut record = b"\x01\x06\0\x01\x7f\xf8\0\0".to_vec();
        record.resize(32 * 1024, b'x');
        while stream.write_all(&record).is_ok() {}
    });
    let client = floods.client().timeouts(Timeouts::NONE.with_total(Duration::from_millis(200)));
    let mut response = A::execute(&client, Request::get("/x.php")).unwrap();
    let error = loop {
        if let Err(error) = response.chunk() {
            break error;
        }
    };
    assert_eq!(error.phase(), Some(Phase::Total), "{error}");
}

pub fn the_limit_on_the_whole_holds_while_a_body_flows<A: Adapter>() {
    let swallows = peer(until_closed);
    let client = swallows.client().timeouts(Timeouts::NONE.with_total(Duration::from_millis(200)));
    let request = Request::post("/x.php").body(A::reader(io::repeat(b'u'), Some(1 << 40)));
    let error = A::call(&client, request).unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Total), "{error}");
}

pub fn a_slow_first_byte_is_not_an_idle_connection<A: Adapter>() {
    let slow = peer(|mut stream| {
        read_request(&mut stream);
        thread::sleep(Duration::from_millis(300));
        let _ = stream.write_all(HELLO);
    });
    let client = slow.client().timeouts(Timeouts::NONE.with_idle(Duration::from_millis(100)));
    assert_eq!(A::call(&client, Request::get("/x.php")).unwrap().body(), "hey");
}

/// A peer that tells all that it was sent.
fn recorder() -> (Peer, mpsc::Receiver<Vec<u8>>) {
    let (tell, seen) = mpsc::channel();
    let tell = Mutex::new(tell);
    let peer = peer(move |mut stream| {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let _ = tell.lock().expect("no panic").send(all);
    });
    (peer, seen)
}

// spec: S50, S82
pub fn a_body_that_is_not_as_long_as_it_says_is_never_ended<A: Adapter>() {
    let (peer, seen) = recorder();
    for (len, text) in [(10, "short"), (3, "longer")] {
        let body = A::reader(&b"12345"[..], Some(len));
        let error = A::call(&peer.client(), Request::post("/x.php").body(body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(!seen.recv().expect("a request").ends_with(b"\x01\x05\0\x01\0\0\0\0"));
    }
}

pub fn a_body_that_fails_is_never_ended<A: Adapter>() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let (peer, seen) = recorder();
    // One of unknown length may be read before anything is sent.
    for len in [Some(10), None] {
        let body = A::reader((&b"12345"[..]).chain(Fails), len);
        let error = A::call(&peer.client(), Request::post("/x.php").body(body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
        assert!(error.to_string().contains("disk on fire"), "{error}");
    }
    assert!(!seen.recv().expect("a request").ends_with(b"\x01\x05\0\x01\0\0\0\0"));
}

pub fn a_full_listen_queue_is_waited_for<A: Adapter>() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("full.sock");
    let listener = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None);
    let listener = listener.expect("a socket");
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).expect("short")).expect("bound");
    rustix::net::listen(&listener, 1).expect("listening");
    let waiting = fill(&path);
    let client = Client::new(path.to_str().expect("UTF-8"));
    // Nobody accepts: the connect limit it is.
    let limits = Timeouts::default().with_connect(Duration::from_millis(50));
    let hurried = client.clone().timeouts(limits);
    let error = A::call(&hurried, Request::get("/x.php")).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Connect)));
    // Somebody accepts after a while.
    let later = thread::spawn(move || A::call(&client, Request::get("/x.php")));
    thread::sleep(Duration::from_millis(50));
    serve_on(listener.into(), |mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(HELLO);
    });
    assert_eq!(later.join().expect("no panic").unwrap().body(), "hey");
    drop(waiting);
}

/// Connects until the listen queue is full.
fn fill(path: &std::path::Path) -> Vec<UnixStream> {
    use rustix::net::{SocketFlags, connect, socket_with};
    let address = SocketAddrUnix::new(path).expect("short");
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let socket = socket.expect("a socket");
        match connect(&socket, &address) {
            Ok(()) => waiting.push(socket.into()),
            Err(_full) => return waiting,
        }
    }
}

pub fn tcp_that_does_not_answer_is_given_up<A: Adapter>() {
    // Linux drops the first packet of a connection for which the queue has no place.
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
    let listener = listener.expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    rustix::net::bind(&listener, &any).expect("bound");
    rustix::net::listen(&listener, 0).expect("listening");
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
    {
        waiting.push(stream);
    }
    let limit = Duration::from_millis(50);
    let client = Client::new(&address.to_string());
    for (limits, phase) in [
        (Timeouts::NONE.with_connect(limit), Phase::Connect),
        (Timeouts::NONE.with_total(limit), Phase::Total),
    ] {
        let client = client.clone().timeouts(limits);
        let error = A::call(&client, Request::get("/x.php")).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{error}");
        assert!(error.is_safe_to_retry());
    }
}
