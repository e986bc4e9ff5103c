//! Clients that are slow to take an answer, and the application that has written it.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fcgi_gateway::{Builder, Gateway};
use fcgi_test_support::http::{Exchange, Request};
use fcgi_test_support::wait_until;

use crate::support::{Application, LIMIT, Running};

/// More than all systems between application and client keep.
const LONG: usize = 32 << 20;

/// Bytes that tell where they are.
fn pattern() -> Vec<u8> {
    (0..251).flat_map(|byte| [byte; 7]).cycle().take(LONG).collect()
}

/// An application with one long answer, who asks for it and does not read, and how many answers were written in full.
struct Site {
    _application: Application,
    running: Running,
    written: Arc<AtomicUsize>,
}

impl Site {
    fn start(fields: &'static str, settings: impl FnOnce(Builder) -> Builder) -> Self {
        let written = Arc::<AtomicUsize>::default();
        let (done, body) = (Arc::clone(&written), Arc::new(pattern()));
        let handle = move |mut request: fcgi_tokio::server::Request| {
            let (done, body) = (Arc::clone(&done), Arc::clone(&body));
            async move {
                let breaks = request.params.get_str("REQUEST_URI") == Some("/breaks");
                request.stdout.write(format!("Content-Type: text/plain\r\n{fields}\r\n")).await?;
                let length = if breaks { LONG / 2 } else { LONG };
                // In pieces: one alone would count as written as soon as it is in line.
                for piece in body[..length].chunks(64 * 1024) {
                    request.stdout.write(piece.to_vec()).await?;
                }
                done.fetch_add(1, Ordering::SeqCst);
                if breaks {
                    request.stdout.cut();
                }
                Ok::<_, std::io::Error>(0)
            }
        };
        let application = Application::start(handle);
        let running = Running::start(settings(Gateway::to_application(application.address())));
        Self { _application: application, running, written }
    }

    fn ask(&self, target: &str) -> Exchange {
        Request::get(target).start(self.running.address)
    }

    fn has_written(&self, answers: usize) -> bool {
        self.written.load(Ordering::SeqCst) == answers
    }
}

/// The application has written all of it while its client reads nothing, and the client gets all of it.
fn is_free(settings: impl FnOnce(Builder) -> Builder) {
    let site = Site::start("", settings);
    let client = site.ask("/");
    assert!(wait_until(LIMIT, || site.has_written(1)), "the application waits for the client");
    let broken = site.ask("/breaks");
    assert!(wait_until(LIMIT, || site.has_written(2)));
    let response = client.finish();
    assert!(response.is_complete() && response.body == pattern(), "{} bytes", response.body.len());
    // What came before the end of the broken one comes first, and it is not taken for whole.
    let response = broken.finish();
    assert!(!response.is_complete());
    assert!(pattern().starts_with(&response.body), "{} bytes", response.body.len());
    // What they took is free again.
    let again = site.ask("/");
    assert!(wait_until(LIMIT, || site.has_written(3)));
    drop(again);
}

#[test]
fn the_application_is_free_while_its_client_reads() {
    is_free(|gateway| gateway.response_buffer(LONG).response_memory(2 * LONG).response_disk(0));
}

#[test]
fn what_finds_no_room_in_memory_is_in_a_file() {
    is_free(|gateway| gateway);
    is_free(|gateway| gateway.response_memory(0).response_disk(2 * LONG as u64));
}

/// Whether the application still waits some time later; slowness of the machine cannot change that.
fn waits(fields: &'static str, settings: impl FnOnce(Builder) -> Builder) -> bool {
    let site = Site::start(fields, settings);
    let client = site.ask("/");
    std::thread::sleep(Duration::from_millis(500));
    let waits = site.has_written(0);
    assert!(client.finish().body == pattern());
    waits
}

#[test]
fn it_waits_beyond_the_limits_and_where_it_wants_to() {
    assert!(waits("", |gateway| gateway.response_disk(0)), "1 MiB in memory is the default");
    assert!(waits("", |gateway| gateway.response_buffer(0)));
    assert!(waits("", |gateway| {
        gateway.response_buffer(LONG).response_memory(0).response_disk(1 << 20)
    }));
    assert!(waits("X-Accel-Buffering: no\r\n", |gateway| gateway.response_buffer(LONG)));
}
