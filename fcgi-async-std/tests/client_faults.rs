//! The client against peers that do wrong, or nothing at all.

use std::time::Duration;

use bytes::Bytes;
use fcgi_async_std::{Address, Body, Client, Error, ErrorKind, Phase, Request, Timeouts};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpListener;
use smol::net::unix::{UnixListener, UnixStream};
use smol::{Timer, block_on};
use tempfile::TempDir;

const HELLO: &[u8] =
    b"\x01\x06\0\x01\0\x0b\x05\0A: b\r\n\r\nhey\0\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";

struct Peer {
    address: Address,
    _folder: TempDir,
}

/// A peer that does what `serve` says with each connection.
fn peer<F>(serve: impl Fn(UnixStream) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("peer.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    smol::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            smol::spawn(serve(stream)).detach();
        }
    })
    .detach();
    Peer { address: Address::unix(path.to_str().expect("UTF-8")), _folder: folder }
}

/// A peer that reads the request and then writes these bytes and closes.
fn answers(bytes: impl Into<Vec<u8>>) -> Peer {
    let bytes = bytes.into();
    peer(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
        }
    })
}

/// Reads until the empty STDIN record of request 1.
async fn read_request(stream: &mut UnixStream) {
    let mut seen = Vec::new();
    let mut buf = [0; 4096];
    while !seen.ends_with(b"\x01\x05\0\x01\0\0\0\0") {
        match stream.read(&mut buf).await {
            Ok(count) if count > 0 => seen.extend_from_slice(&buf[..count]),
            _ => return,
        }
    }
}

async fn get(peer: &Peer) -> Result<Bytes, Error> {
    let client = Client::new(peer.address.clone());
    Ok(client.call(Request::get("/x.php")).await?.into_body())
}

#[test]
fn hello() {
    block_on(async {
        assert_eq!(get(&answers(HELLO)).await.unwrap(), "hey");
    });
}

#[test]
fn closing_at_every_byte_is_an_error_and_nothing_else() {
    block_on(async {
        // Complete is a response only with all of END_REQUEST.
        for cut in 0..HELLO.len() {
            let error = get(&answers(&HELLO[..cut])).await.expect_err("cut off");
            assert_eq!(error.kind(), ErrorKind::Reset, "cut at {cut}: {error}");
            assert!(!error.is_safe_to_retry());
        }
    });
}

#[test]
fn last_words_on_stderr_come_with_the_error() {
    block_on(async {
        let error = get(&answers(b"\x01\x07\0\x01\0\x04\0\0oops")).await.unwrap_err();
        assert_eq!((error.kind(), error.stderr()), (ErrorKind::Reset, &b"oops"[..]));
    });
}

#[test]
fn other_protocols_are_recognised() {
    block_on(async {
        for (bytes, name) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
            (b"\x15\x03\x01\0\x02\x02\x46", "TLS"),
            (b"-ERR unknown command\r\n", "Redis"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        ] {
            let error = get(&answers(bytes)).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::NotFastCgi(_)), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    });
}

#[test]
fn refusals_are_typed() {
    block_on(async {
        for (status, kind) in [
            (1, ErrorKind::CantMultiplex),
            (2, ErrorKind::Overloaded),
            (3, ErrorKind::UnknownRole),
            (9, ErrorKind::UnknownStatus(9)),
        ] {
            let end = [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, status, 0, 0, 0];
            assert_eq!(get(&answers(end)).await.unwrap_err().kind(), kind);
        }
    });
}

#[test]
fn a_body_shorter_than_announced_is_an_error() {
    block_on(async {
        let mut bytes = b"\x01\x06\0\x01\0\x18\0\0Content-Length: 9\r\n\r\nhey".to_vec();
        bytes.extend(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
        let error = get(&answers(bytes)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Body(_)), "{error}");
    });
}

#[test]
fn an_answer_to_another_request_reaches_nobody() {
    block_on(async {
        let mut bytes = b"\x01\x06\0\x02\0\x05\0\0A: b\n".to_vec();
        bytes.extend(HELLO);
        let error = get(&answers(bytes)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{error}");
    });
}

#[test]
fn an_early_answer_and_close_amid_the_upload_is_delivered() {
    block_on(async {
        let peer = peer(|mut stream| async move {
            let mut some = [0; 1000];
            let _ = stream.read_exact(&mut some).await;
            let _ = stream.write_all(HELLO).await;
        });
        let client = Client::new(peer.address.clone());
        let request = Request::post("/x.php").body(vec![b'u'; 8 << 20]);
        let mut response = client.execute(request).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "hey");
        assert_eq!(response.chunk().await.unwrap(), None);
        assert!(!response.body_mut().end().expect("ended").is_body_sent);
    });
}

#[test]
fn nothing_listens() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let address = format!("127.0.0.1:{port}");
        let none: [(&str, &str); 0] = [];
        let error = fcgi_async_std::call(&address, "/x.php", none).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)));
        assert!(error.is_safe_to_retry());
        assert!(error.to_string().contains(&address), "{error}");
        let error =
            fcgi_async_std::call("unix:/nonexistent/fpm.sock", "/x.php", none).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(Client::connect(&address).await.is_err());
    });
}

async fn timed_out(peer: &Peer, timeouts: Timeouts) -> Error {
    let client = Client::new(peer.address.clone()).timeouts(timeouts);
    let error = client.call(Request::get("/x.php")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    error
}

#[test]
fn each_limit_fires_and_says_which_it_was() {
    block_on(async {
        let short = Duration::from_millis(50);
        let silent = peer(|mut stream| async move {
            read_request(&mut stream).await;
            std::future::pending::<()>().await;
        });
        let error = timed_out(&silent, Timeouts::NONE.with_first_byte(short)).await;
        assert_eq!((error.phase(), error.limit()), (Some(Phase::FirstByte), Some(short)));
        assert!(error.is_begun() && error.bytes_received() == 0);

        let stalls = peer(|mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&HELLO[..20]).await;
            std::future::pending::<()>().await;
        });
        let error = timed_out(&stalls, Timeouts::NONE.with_idle(short)).await;
        assert_eq!(error.phase(), Some(Phase::Idle));
        assert_eq!(error.bytes_received(), 20);

        // One byte now and then is progress, and only the limit on the whole stops it.
        let drips = peer(|mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"\x01\x06\0\x01\xff\xff\0\0A: b\n\n").await;
            while stream.write_all(b"x").await.is_ok() {
                Timer::after(Duration::from_millis(5)).await;
            }
        });
        let limits = Timeouts::NONE.with_idle(Duration::from_secs(60)).with_total(short * 4);
        assert_eq!(timed_out(&drips, limits).await.phase(), Some(Phase::Total));
    });
}

#[test]
fn the_limit_on_the_whole_holds_while_bytes_flow() {
    block_on(async {
        let floods = peer(|mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"\x01\x06\0\x01\0\x06\0\0A: b\n\n").await;
            let mut record = b"\x01\x06\0\x01\x7f\xf8\0\0".to_vec();
            record.resize(32 * 1024, b'x');
            while stream.write_all(&record).await.is_ok() {}
        });
        let limits = Timeouts::NONE.with_total(Duration::from_millis(200));
        let client = Client::new(floods.address.clone()).timeouts(limits);
        let mut response = client.execute(Request::get("/x.php")).await.unwrap();
        let error = loop {
            if let Err(error) = response.chunk().await {
                break error;
            }
        };
        assert_eq!(error.phase(), Some(Phase::Total), "{error}");
    });
}

#[test]
fn a_slow_first_byte_is_not_an_idle_connection() {
    block_on(async {
        let slow = peer(|mut stream| async move {
            read_request(&mut stream).await;
            Timer::after(Duration::from_millis(300)).await;
            let _ = stream.write_all(HELLO).await;
        });
        let limits = Timeouts::NONE.with_idle(Duration::from_millis(100));
        let client = Client::new(slow.address.clone()).timeouts(limits);
        assert_eq!(client.call(Request::get("/x.php")).await.unwrap().body(), "hey");
    });
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_never_ended() {
    block_on(async {
        let peer = peer(|mut stream| async move {
            let mut seen = Vec::new();
            let _ = stream.read_to_end(&mut seen).await;
            assert!(!seen.ends_with(b"\x01\x05\0\x01\0\0\0\0"), "the cut body was ended");
        });
        let client = Client::new(peer.address.clone());
        for (len, text) in [(10, "short"), (3, "longer")] {
            let body = Body::reader(&b"12345"[..], Some(len));
            let error = client.call(Request::post("/x.php").body(body)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBody, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    });
}

#[test]
fn a_full_listen_queue_is_waited_for() {
    block_on(async {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("full.sock");
        let listener = UnixListener::bind(&path).expect("listening");
        rustix::net::listen(&listener, 1).expect("a shorter queue");
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        let address = Address::unix(path.to_str().expect("UTF-8"));
        // Nobody accepts: the connect limit it is.
        let limits = Timeouts::default().with_connect(Duration::from_millis(50));
        let client = Client::new(address.clone()).timeouts(limits);
        let error = client.call(Request::get("/x.php")).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Connect)));
        // Somebody accepts after a while.
        let serving = smol::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                smol::spawn(async move {
                    read_request(&mut stream).await;
                    let _ = stream.write_all(HELLO).await;
                })
                .detach();
            }
        });
        let answer = Client::new(address).call(Request::get("/x.php")).await.unwrap();
        assert_eq!(answer.body(), "hey");
        drop((waiting, serving));
    });
}

#[test]
fn dropping_closes_the_connection() {
    block_on(async {
        let (closed, is_closed) = smol::channel::bounded(1);
        let peer = peer(move |mut stream| {
            let closed = closed.clone();
            async move {
                let mut seen = Vec::new();
                let _ = stream.write_all(&HELLO[..24]).await;
                let _ = stream.read_to_end(&mut seen).await;
                let _ = closed.send(()).await;
            }
        });
        let client = Client::new(peer.address.clone());
        let response = client.execute(Request::get("/x.php")).await.unwrap();
        drop(response);
        is_closed.recv().await.expect("the peer saw the end");
    });
}
