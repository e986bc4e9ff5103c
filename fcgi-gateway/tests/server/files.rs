//! Large files, which the system sends by itself where nobody is in between.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use fcgi_gateway::Gateway;
use fcgi_gateway::server::{Config, Listener, Server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tower_http::compression::CompressionLayer;

use crate::certificate::Certificate;
use crate::support::{LIMIT, Running, SHORT, http2, read_until};

const LARGE: usize = 3 * 1024 * 1024 + 17;

/// A folder with files, each of which has other content at each place.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, len) in [LARGE, LARGE, LARGE, 100].into_iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.txt")), content(number, len)).unwrap();
    }
    folder
}

fn content(number: usize, len: usize) -> Vec<u8> {
    let words = (0..).flat_map(|at: usize| format!("{number}:{at} ").into_bytes());
    words.take(len).collect()
}

fn gateway(folder: &Path) -> Gateway {
    Gateway::builder(folder).fpm("unix:/nobody").build().unwrap()
}

async fn start(folder: &Path, config: Config) -> Running {
    let server = Server::new(Listener::bind("127.0.0.1:0").await.unwrap()).config(config);
    Running::with(server, gateway(folder))
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

/// The next answer: its head, and its body by the length that is announced.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let len = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        let mut body = vec![0; len.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        (head, body)
    };
    tokio::time::timeout(LIMIT, read).await.unwrap()
}

#[tokio::test]
async fn one_after_the_other() {
    let folder = folder();
    let server = start(folder.path(), Config::default()).await;
    let mut stream = server.connect().await;
    let all = [
        get("/0.txt", ""),
        get("/3.txt", ""),
        get("/1.txt", "Range: bytes=1000000-2999999\r\n"),
        get("/none.txt", ""),
        get("/2.txt", "Range: bytes=-100000\r\n"),
        get("/2.txt", ""),
    ];
    // All at once, as pipelined requests come.
    stream.write_all(all.concat().as_bytes()).await.unwrap();
    let second = content(2, LARGE);
    for (status, body) in [
        (200, content(0, LARGE)),
        (200, content(3, 100)),
        (206, content(1, LARGE)[1_000_000..3_000_000].to_vec()),
        (404, Vec::new()),
        (206, second[LARGE - 100_000..].to_vec()),
        (200, second),
    ] {
        let (head, found) = answer(&mut stream).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(found == body || status == 404, "{head}");
    }
}

#[tokio::test]
async fn nothing_is_left_behind_by_an_answer_without_a_body() {
    let folder = folder();
    let server = start(folder.path(), Config::default()).await;
    let mut stream = server.connect().await;
    let head = get("/0.txt", "").replacen("GET", "HEAD", 1);
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.contains(&format!("content-length: {LARGE}\r\n")), "{head}");
    let etag = head.split("etag: ").nth(1).unwrap().split('\r').next().unwrap();
    let unchanged = get("/0.txt", &format!("If-None-Match: {etag}\r\n"));
    stream.write_all(unchanged.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 304 "));
    stream.write_all(get("/1.txt", "").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.1 == content(1, LARGE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_each_get_their_own() {
    let folder = folder();
    let server = Arc::new(start(folder.path(), Config::default()).await);
    let contents = Arc::new([0, 1, 2].map(|number| content(number, LARGE)));
    let clients = Vec::from_iter((0..24).map(|client| {
        let (server, contents) = (Arc::clone(&server), Arc::clone(&contents));
        tokio::spawn(async move {
            let mut stream = server.connect().await;
            for round in 0..4 {
                let number = (client + round) % 3;
                stream.write_all(get(&format!("/{number}.txt"), "").as_bytes()).await.unwrap();
                let (_, body) = answer(&mut stream).await;
                assert!(body == contents[number], "{number}");
            }
        })
    }));
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_not_in_memory() {
    let folder = folder();
    let file = File::open(folder.path().join("0.txt")).unwrap();
    file.sync_all().unwrap();
    let advice = rustix::fs::Advice::DontNeed;
    rustix::fs::fadvise(&file, 0, None, advice).unwrap();
    let server = start(folder.path(), Config::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(get("/0.txt", "").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.1 == content(0, LARGE));
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = folder();
    let path = folder.path().join("http.sock");
    let _server =
        Running::with(Server::new(Listener::bind_unix(&path).unwrap()), gateway(folder.path()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(get("/1.txt", "").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.1 == content(1, LARGE));
}

/// With TLS, HTTP/2, or a layer around, other bytes are written than those of the file.
#[tokio::test]
async fn where_somebody_is_in_between() {
    let folder = folder();
    let certificate = Certificate::new();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(certificate.tls());
    let server = Running::with(Server::new(listener), gateway(folder.path()));
    let mut stream = certificate.connect(&server, &[]).await;
    for number in [0, 1] {
        stream.write_all(get(&format!("/{number}.txt"), "").as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.1 == content(number, LARGE), "TLS");
    }

    let server = start(folder.path(), Config::default()).await;
    let mut client = http2(server.connect().await).await;
    let (status, body) = crate::support::get(&mut client, "http://x/2.txt").await;
    assert!(status == 200 && body.as_bytes() == content(2, LARGE), "HTTP/2");

    let layered =
        Router::new().fallback_service(gateway(folder.path())).layer(CompressionLayer::new());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = Running::with(Server::new(listener), layered);
    let mut stream = server.connect().await;
    stream.write_all(get("/1.txt", "").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.1 == content(1, LARGE), "a layer");
    let fields = "Accept-Encoding: gzip\r\nConnection: close\r\n";
    stream.write_all(get("/1.txt", fields).as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("content-encoding: gzip"));
    assert!(rest.len() < LARGE, "it was compressed");

    let compressing =
        Gateway::builder(folder.path()).fpm("unix:/nobody").compress(true).build().unwrap();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = Running::with(Server::new(listener), compressing);
    let answer = server.answers(get("/1.txt", fields)).await;
    assert!(answer.contains("content-encoding: gzip") && answer.len() < LARGE);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let folder = folder();
    fs::write(folder.path().join("huge.bin"), vec![b'x'; 64 << 20]).unwrap();
    let server = start(folder.path(), Config::default().write_timeout(SHORT)).await;
    let mut stream = server.connect().await;
    stream.write_all(get("/huge.bin", "").as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    tokio::time::sleep(2 * SHORT).await; // the time under test
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 << 20, "{}", rest.len());
}

#[tokio::test]
async fn a_file_that_shrinks_is_cut_off() {
    let folder = folder();
    let path = folder.path().join("huge.bin");
    fs::write(&path, vec![b'x'; 64 << 20]).unwrap();
    let server = start(folder.path(), Config::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(get("/huge.bin", "").as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the server does not close");
    assert!(rest.len() < 64 << 20, "{}", rest.len());
}
