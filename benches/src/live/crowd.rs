//! Clients that are there and do little: those that are idle, and those that are slow.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::failed;

/// Connections that have asked once and are kept.
pub(super) const IDLE: usize = 10_000;
/// Connections that take 4 KiB of a response of 1 MiB each second, and connections that send a byte of a head.
pub(super) const SLOW: usize = 500;

/// They are there until this is dropped.
pub(super) struct Crowd {
    idle: Vec<TcpStream>,
    slow: Option<JoinHandle<usize>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    /// All of them at `port`.
    pub(super) fn gather(port: u16) -> Result<Self> {
        super::allow_many_files();
        let mut idle = Vec::with_capacity(IDLE);
        // In groups, so that no listener's queue is full.
        while idle.len() < IDLE {
            let mut group = (0..100).map(|_| ask(port, "/1k.bin")).collect::<Result<Vec<_>>>()?;
            for client in &mut group {
                read_file(client)?;
            }
            idle.append(&mut group);
        }
        let mut readers = Vec::with_capacity(SLOW);
        let mut writers = Vec::with_capacity(SLOW);
        for _ in 0..SLOW {
            readers.push(ask(port, "/null.php?size=1048576")?);
            writers.push(TcpStream::connect(("127.0.0.1", port))?);
        }
        // It is there once all of them are being served; what it is like when they come at once is another question.
        for client in &readers {
            client.peek(&mut [0])?;
        }
        for client in readers.iter().chain(&writers) {
            client.set_nonblocking(true)?;
        }
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let slow = thread::spawn(move || crawl(readers, writers, &stopped));
        Ok(Self { idle, slow: Some(slow), stop })
    }

    /// How many have lost their connections.
    pub(super) fn end(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let slow = self.slow.take().map(JoinHandle::join);
        let lost_slow = slow.unwrap_or(Ok(0)).map_err(|_| failed("the slow clients panicked"))?;
        let is_lost = |client: &mut TcpStream| {
            let asked = client.write_all(REQUEST_FOR_FILE);
            asked.and_then(|()| read_file(client)).is_err()
        };
        let lost_idle = self.idle.iter_mut().map(is_lost).filter(|lost| *lost).count();
        Ok(lost_slow + lost_idle)
    }
}

const REQUEST_FOR_FILE: &[u8] = b"GET /1k.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn ask(port: u16, target: &str) -> Result<TcpStream> {
    let mut client = TcpStream::connect(("127.0.0.1", port))?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(client, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    Ok(client)
}

/// The head and the 1 KiB of a file.
fn read_file(client: &mut TcpStream) -> Result<()> {
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => response.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
        let head = response.windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| response.len() >= head + 4 + 1024) {
            return Ok(());
        }
    }
}

/// A step each second. Returns how many connections broke.
fn crawl(mut readers: Vec<TcpStream>, mut writers: Vec<TcpStream>, stop: &AtomicBool) -> usize {
    let head = b"GET /1k.bin HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain([&b'x'; 1024]);
    let mut broken = 0;
    let mut buffer = [0; 4096];
    let is_alive = |result: Result<usize>| match result {
        Ok(count) => count > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    for byte in head {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let before = readers.len() + writers.len();
        readers.retain_mut(|client| is_alive(client.read(&mut buffer)));
        writers.retain_mut(|client| is_alive(client.write(&[*byte])));
        broken += before - readers.len() - writers.len();
        thread::sleep(Duration::from_secs(1));
    }
    broken
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
