//! What a client costs that keeps its connection for later.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use axum::Router;
use axum::routing::any;
use fcgi_gateway::server::Server;

/// How much is allocated.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CLIENTS: usize = 200;

/// For each client, in bytes: its task, its socket, and what is known of it.
const MOST: usize = 6 * 1024;

#[tokio::test]
async fn an_idle_connection_holds_no_buffers() {
    let service = Router::new().route("/", any(|| async { "hello" }));
    let server = Server::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("an address");
    let server = tokio::spawn(server.run(service, core::future::pending()));
    // The first has all made that is made once.
    let first = client(address).await;
    let before = LIVE.load(Ordering::Relaxed);
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(client(address).await);
    }
    let begun = Instant::now();
    loop {
        let each = LIVE.load(Ordering::Relaxed).saturating_sub(before) / CLIENTS;
        if each <= MOST {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{each} bytes for an idle client");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((first, clients));
    server.abort();
}

/// A client that has been answered once.
async fn client(address: core::net::SocketAddr) -> TcpStream {
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        let (mut answer, mut filled) = ([0; 1024], 0);
        while !answer[..filled].ends_with(b"hello") {
            let count = stream.read(&mut answer[filled..]).expect("read");
            assert_ne!(count, 0, "closed");
            filled += count;
        }
        stream
    });
    asking.await.expect("no panic")
}
