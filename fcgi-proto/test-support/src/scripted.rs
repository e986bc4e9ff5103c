//! Sockets for peers that follow a script.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fcgi_proto::scripted::{Action, Peer, Script};
use tempfile::TempDir;

use crate::temp;
use crate::wait::wait_until;

/// An application that does on each connection what a script says, until the test ends.
///
/// ```
/// use std::io::Read;
/// use fcgi_proto::scripted::Script;
/// use fcgi_test_support::{Scripted, Socket};
///
/// let application = Scripted::unix(|nth| Script::new().bytes(format!("number {nth}")));
/// let mut text = String::new();
/// Socket::connect(application.address())?.read_to_string(&mut text)?;
/// assert_eq!(text, "number 0");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Scripted {
    address: String,
    connections: Arc<Mutex<Vec<Connection>>>,
    _folder: Option<TempDir>,
}

#[derive(Clone, Debug, Default)]
struct Connection {
    received: Vec<u8>,
    is_over: bool,
}

impl Scripted {
    /// Listens on a unix socket; `script` says what to do on the nth connection, counted from 0.
    ///
    /// # Panics
    ///
    /// When there is no place for a socket.
    pub fn unix(script: impl Fn(usize) -> Script + Send + 'static) -> Self {
        let folder = temp::folder();
        let path = folder.path().join("peer.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let connections = Arc::default();
        let shared = Arc::clone(&connections);
        thread::spawn(move || {
            for (nth, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                serve(&shared, nth, script(nth), stream, |_| {});
            }
        });
        let address = format!("unix:{}", temp::text(&path));
        Self { address, connections, _folder: Some(folder) }
    }

    /// The same on a port of 127.0.0.1. Here [`Action::Reset`] is a reset, while a unix socket only closes.
    ///
    /// # Panics
    ///
    /// When there is no port.
    pub fn tcp(script: impl Fn(usize) -> Script + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let connections = Arc::default();
        let shared = Arc::clone(&connections);
        thread::spawn(move || {
            for (nth, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                serve(&shared, nth, script(nth), stream, reset);
            }
        });
        Self { address, connections, _folder: None }
    }

    /// Where it listens: `unix:/path` or `127.0.0.1:40001`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.connections).len()
    }

    /// All that came on the nth connection so far.
    #[must_use]
    pub fn received(&self, nth: usize) -> Vec<u8> {
        lock(&self.connections).get(nth).map(|conn| conn.received.clone()).unwrap_or_default()
    }

    /// Waits until the nth connection is over, and gives all that came on it.
    ///
    /// # Panics
    ///
    /// When that takes longer than a minute.
    #[must_use]
    pub fn wait_over(&self, nth: usize) -> Vec<u8> {
        let is_over = || lock(&self.connections).get(nth).is_some_and(|conn| conn.is_over);
        assert!(wait_until(LIMIT, is_over), "connection {nth} is not closed");
        self.received(nth)
    }
}

/// Plays a script on a connection, and gives all that came on it.
///
/// # Errors
///
/// When reading or writing fails, as when the other side has closed.
pub fn play(socket: &mut (impl Read + Write), script: Script) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    follow(socket, script, |bytes| received.extend_from_slice(bytes))?;
    Ok(received)
}

fn serve<S: Read + Write + Send + 'static>(
    connections: &Arc<Mutex<Vec<Connection>>>,
    nth: usize,
    script: Script,
    mut stream: S,
    reset: impl Fn(&S) + Send + 'static,
) {
    let connections = Arc::clone(connections);
    lock(&connections).push(Connection::default());
    thread::spawn(move || {
        let note = |bytes: &[u8]| {
            if let Some(conn) = lock(&connections).get_mut(nth) {
                conn.received.extend_from_slice(bytes);
            }
        };
        if let Ok(Action::Reset) = follow(&mut stream, script, note) {
            reset(&stream);
        }
        drop(stream);
        if let Some(conn) = lock(&connections).get_mut(nth) {
            conn.is_over = true;
        }
    });
}

/// Plays a script to its end.
fn follow(
    socket: &mut (impl Read + Write),
    script: Script,
    mut note: impl FnMut(&[u8]),
) -> io::Result<Action> {
    let mut peer = Peer::new(script);
    let mut buf = vec![0; 64 * 1024];
    loop {
        match peer.poll_action() {
            Action::Write(bytes) => socket.write_all(&bytes)?,
            Action::Pause(time) => thread::sleep(time),
            Action::Read => {
                let count = socket.read(&mut buf)?;
                note(&buf[..count]);
                match count {
                    0 => peer.handle_eof(),
                    count => peer.handle_input(&buf[..count]),
                }
            }
            // Until the test is over.
            Action::Stall => thread::sleep(LIMIT),
            end => return Ok(end),
        }
    }
}

fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

fn lock(connections: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

const LIMIT: Duration = Duration::from_secs(60);
