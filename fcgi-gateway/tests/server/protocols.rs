//! HTTP/1.1, HTTP/2, TLS, and the kinds of listeners.

use fcgi_gateway::server::{Config, Listener, Server, Tls};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::certificate::Certificate;
use crate::support::{Running, get, http2, read_until, rest};

#[tokio::test]
async fn http1_and_http2_share_a_port() {
    let server = Running::start(Config::default()).await;
    let answer = server.answers("GET /seen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("HTTP/1.1 https=false remote=127.0.0.1"), "{answer}");
    let mut client = http2(server.connect().await).await;
    let seen = get(&mut client, "http://x/seen").await;
    assert_eq!(seen, (200, "HTTP/2.0 https=false remote=127.0.0.1".to_owned()));
}

#[tokio::test]
async fn tls_by_alpn() {
    let certificate = Certificate::new();
    let server = certificate.server(Config::default()).await;
    let stream = certificate.connect(&server, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = http2(stream).await;
    let seen = get(&mut client, "https://localhost/seen").await;
    assert_eq!(seen, (200, "HTTP/2.0 https=true remote=127.0.0.1".to_owned()));
    for alpn in [&["http/1.1"][..], &[]] {
        let mut stream = certificate.connect(&server, alpn).await;
        stream
            .write_all(b"GET /seen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.ends_with("HTTP/1.1 https=true remote=127.0.0.1"), "{answer}");
    }
}

#[tokio::test]
async fn who_speaks_plainly_to_tls_is_told_so() {
    let certificate = Certificate::new();
    let server = certificate.server(Config::default()).await;
    for (request, status, location) in [
        (
            "GET /a?b HTTP/1.1\r\nHost: site.example:8443",
            "307",
            Some("https://site.example:8443/a?b"),
        ),
        ("HEAD / HTTP/1.1\r\nHost: site.example", "307", Some("https://site.example/")),
        (
            "GET /.well-known/acme-challenge/t HTTP/1.1\r\nHost: [::1]:1",
            "307",
            Some("https://[::1]:1/.well-known/acme-challenge/t"),
        ),
        // What was to be sent stays where it is.
        ("POST /login HTTP/1.1\r\nHost: site.example\r\nContent-Length: 0", "400", None),
        ("GET / HTTP/1.1\r\nHost: a@b", "400", None),
    ] {
        let answer = server.answers(format!("{request}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(!answer.contains("seen"), "{answer}");
        match location {
            Some(location) => {
                assert!(answer.contains(&format!("location: {location}\r\n")), "{answer}");
            }
            None => assert!(!answer.contains("location:"), "{answer}"),
        }
    }
    let login = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(server.answers(login).await.contains("this port speaks HTTPS"));
    // What is neither is closed without a word, and others are still served.
    assert_eq!(
        server.answers("\0\x01\x02\x03 no protocol at all\r\n\r\n").await.find("HTTP"),
        None
    );
    certificate.connect(&server, &[]).await;
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let certificate = Certificate::new();
    let server = certificate.server(Config::default().http2(false)).await;
    let stream = certificate.connect(&server, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_self_signed_certificate_is_a_certificate() {
    let tls = Tls::self_signed(["dev.example"]).unwrap();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(tls);
    assert!(listener.to_string().starts_with("https://127.0.0.1:"));
}

#[tokio::test]
async fn plain_http_leads_to_https() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap().redirect_to_https(8443);
    let server = Running::run(Server::new(listener));
    for (request, status, location) in [
        (
            "GET /a?b=//c HTTP/1.1\r\nHost: site.example:80",
            "301",
            "https://site.example:8443/a?b=//c",
        ),
        (
            "POST /form HTTP/1.1\r\nHost: site.example\r\nContent-Length: 0",
            "308",
            "https://site.example:8443/form",
        ),
        (
            "GET http://other.example/x HTTP/1.1\r\nHost: other.example",
            "301",
            "https://other.example:8443/x",
        ),
        (
            "GET //evil.example/ HTTP/1.1\r\nHost: [::1]:80",
            "301",
            "https://[::1]:8443//evil.example/",
        ),
    ] {
        let answer = server.answers(format!("{request}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(&format!("location: {location}\r\n")), "{answer}");
    }
    for request in
        ["GET / HTTP/1.0", "GET / HTTP/1.1\r\nHost: a@b", "OPTIONS * HTTP/1.1\r\nHost: a"]
    {
        let answer = server.answers(format!("{request}\r\nConnection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{answer}"
        );
    }
    let request =
        "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(server.answers(request).await.ends_with("token"));
}

#[tokio::test]
async fn several_listeners_one_of_them_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    // Left behind by somebody who was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let unix = Listener::bind_unix(&path).unwrap();
    assert_eq!(Listener::bind_unix(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let mut server =
        Running::run(Server::new(Listener::bind("127.0.0.1:0").await.unwrap()).listen(unix));
    let request = "GET /seen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.ends_with("remote=none"));
    assert!(server.answers(request).await.ends_with("remote=127.0.0.1"));
    server.stop();
    server.ended().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Running::start(Config::default()).await;
    let answer = server
        .answers(
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none\
             POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\nX-Trailer: 1\r\n\r\n\
             GET /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
    let places = ["one", "two", "early"].map(|text| answer.find(text).expect(text));
    assert!(places.is_sorted(), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_wanted() {
    let server = Running::start(Config::default()).await;
    let mut stream = server.connect().await;
    let head = b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"body").await.unwrap();
    assert!(rest(&mut stream).await.ends_with("body"));
    // And not when it is not.
    let head =
        "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let answer = server.answers(head).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("early"), "{answer}");
}

#[tokio::test]
async fn an_early_answer_survives_the_rest_of_the_body() {
    let server = Running::start(Config::default()).await;
    let mut stream = server.connect().await;
    let head = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let block = [0; 65_536];
    // A client that writes first and reads later must still find the answer, so the rest is read for a while.
    for _ in 0..64 {
        stream.write_all(&block).await.unwrap();
    }
    assert!(rest(&mut stream).await.ends_with("early"));
}
