//! What the client holds while 100 MiB go up and 100 MiB come down: measured by the allocator.
#![expect(unsafe_code, reason = "a global allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use fcgi_async_std::{Body, Client, Request};
use fcgi_test_support::{PhpFpm, Scripts};
use smol::block_on;
use smol::io::AsyncReadExt;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_hundred_mib_each_way_take_a_few_hundred_kib() {
    block_on(async {
        const SIZE: u64 = 100 * 1024 * 1024;
        let scripts = Scripts::new();
        let fpm = PhpFpm::builder().workers(1).listen_unix().start();
        let client = Client::new(fpm.address().parse().expect("an address"));
        let body = Body::reader(smol::io::repeat(b'u').take(SIZE), Some(SIZE));
        let request = Request::post(scripts.path("answer-first.php?mib=100"))
            .content_type("application/octet-stream")
            .body(body);

        let before = LIVE.load(Relaxed);
        PEAK.store(before, Relaxed);
        let mut response = client.execute(request).await.expect("a head");
        let mut count = 0;
        while let Some(chunk) = response.chunk().await.expect("the whole body") {
            count += chunk.len() as u64;
        }
        let held = PEAK.load(Relaxed) - before;
        assert!(count > SIZE, "{count} bytes came");
        assert!(response.body_mut().end().expect("it ended").is_body_sent);
        assert!(held < 400 * 1024, "{held} bytes were held at once");
        println!("{held} bytes were held at once");
    });
}
