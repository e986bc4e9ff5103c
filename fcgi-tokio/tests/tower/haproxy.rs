//! HAProxy, the only web server that sends several requests at once over one connection.

use core::time::Duration;
use std::sync::Arc;
use std::thread;

use fcgi_test_support::WebServer;
use fcgi_test_support::http::{Connection, Request};
use fcgi_tokio::server::{Listener, Request as Incoming, Server};
use tokio::runtime::Runtime;
use tokio::sync::{Barrier, mpsc};

use crate::app::App;
use crate::front::{Front, bodies, check_aborts};

/// Bodies by their hash, and a client that leaves amid an answer. HAProxy has its own mind of the rest: it makes a 302 of
/// every answer with a `Location`.
fn check(lines: &[&str]) {
    let mut app = App::on_tcp();
    let server = WebServer::haproxy(&app.address.to_string(), lines);
    bodies(server.address(), Front::HAPROXY);
    check_aborts(&server, &mut app, false);
    assert_eq!(Request::get("/hello").send(server.address()).text(), "Hello");
}

#[test]
fn one_request_at_a_time() {
    check(&["option keep-conn"]);
}

#[test]
fn multiplexed() {
    check(&["option keep-conn", "option mpxs-conns", "option max-reqs 40"]);
}

const AT_ONCE: usize = 8;

/// Answers `/together` once eight of them are there, and says when another is given up while its body comes.
async fn handle(
    mut request: Incoming,
    together: Arc<Barrier>,
    events: mpsc::UnboundedSender<String>,
) -> std::io::Result<u32> {
    let target = request.params.get_str("REQUEST_URI").unwrap_or_default().to_owned();
    if target.starts_with("/together") {
        together.wait().await;
    }
    if target == "/upload" {
        let _ = events.send("begun".to_owned());
        let end = loop {
            match request.stdin.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => break "whole".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        let _ = events.send(end);
    }
    request.stdout.write(format!("Content-Type: text/plain\r\n\r\n{target}")).await?;
    Ok(0)
}

/// HAProxy in front of an application that takes so many connections.
fn front(connections: u32) -> (Runtime, WebServer, mpsc::UnboundedReceiver<String>) {
    let runtime = Runtime::new().expect("a runtime");
    let together = Arc::new(Barrier::new(AT_ONCE));
    let (say, events) = mpsc::unbounded_channel();
    let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_address().expect("it has one").to_string();
    let server = Server::new(move |request| handle(request, Arc::clone(&together), say.clone()));
    runtime.spawn(server.max_connections(connections).serve(listener));
    let lines = ["option keep-conn", "option mpxs-conns", "option max-reqs 40"];
    (runtime, WebServer::haproxy(&address, &lines), events)
}

#[test]
fn eight_requests_at_once_share_the_only_connection() {
    // With one connection there is one way for eight requests to be there at once.
    let (_runtime, front, _) = front(1);
    let to = front.address();
    // So that the connection is there before eight ask for one.
    assert_eq!(Request::get("/first").send(to).text(), "/first");
    let all = (0..AT_ONCE).map(|i| {
        thread::spawn(move || (i, Request::get(&format!("/together?{i}")).send(to).text()))
    });
    for one in all.collect::<Vec<_>>() {
        let (i, answer) = one.join().expect("no panic");
        assert_eq!(answer, format!("/together?{i}"));
    }
}

#[test]
fn an_upload_that_is_given_up_is_aborted() {
    let (runtime, front, mut events) = front(10);
    let to = front.address();
    let mut event = || {
        let next = async { tokio::time::timeout(Duration::from_secs(30), events.recv()).await };
        runtime.block_on(next).expect("nothing happens").expect("the application lives")
    };
    let mut leaving = Connection::open(to);
    // HAProxy waits for a buffer's worth.
    let mut part = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    part.resize(100_000, b'u');
    leaving.send_raw(&part).expect("it is sent");
    assert_eq!(event(), "begun");
    drop(leaving);
    let end = event();
    assert!(end.contains("abort"), "{end}");
    assert_eq!(Request::get("/after").send(to).text(), "/after");
}
