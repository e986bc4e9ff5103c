//! Listening, many connections, and the end of a server.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fcgi_blocking::server::{Handler, Listener, Request, Server, Shutdown, serve};
use fcgi_blocking::{Address, Client};
use fcgi_test_support::wait_until;
use tempfile::TempDir;

use crate::peer::Peer;

fn hello(mut request: Request) -> io::Result<u32> {
    request.stdout.write("Content-Type: text/plain\r\n\r\nHello")?;
    Ok(0)
}

struct Running {
    address: Address,
    shutdown: Shutdown,
    served: JoinHandle<io::Result<()>>,
}

impl Running {
    fn start<H: Handler>(server: Server<H>, address: &str) -> Self {
        let listener = Listener::bind(address).expect("it can be listened on");
        let address = listener.local_address().expect("it has an address");
        let shutdown = server.shutdown_handle();
        let served = thread::spawn(move || server.serve(listener));
        Self { address, shutdown, served }
    }

    fn get(&self) -> Result<bytes::Bytes, fcgi_blocking::Error> {
        let client = Client::new(self.address.clone());
        Ok(client.call(fcgi_blocking::Request::get("/x"))?.into_body())
    }

    fn connect(&self) -> Peer<UnixStream> {
        let Address::Unix(path) = &self.address else { panic!("a unix socket") };
        Peer::new(UnixStream::connect(path).expect("it listens"), 4096, true)
    }

    fn end(self) {
        self.shutdown.shutdown();
        self.served.join().expect("no panic").expect("no error");
    }
}

#[test]
fn tcp_and_unix() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock");
    for address in ["127.0.0.1:0".to_owned(), format!("unix:{}", path.display())] {
        let running = Running::start(Server::new(hello), &address);
        assert_eq!(running.get().expect("an answer"), "Hello");
        let address = running.address.clone();
        running.end();
        assert!(Client::connect(&address.to_string()).is_err());
    }
    assert!(!path.exists());
}

#[test]
fn a_socket_file_that_was_left_behind_is_replaced() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock");
    let address = format!("unix:{}", path.display());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    let running = Running::start(Server::new(hello), &address);
    let error = Listener::bind(address.as_str()).expect_err("somebody listens");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(running.get().expect("an answer"), "Hello");
    running.end();
    fs::write(&path, "precious").expect("written");
    assert!(Listener::bind(address.as_str()).is_err());
    assert_eq!(fs::read(&path).expect("it is there"), b"precious");
}

#[test]
fn addresses_that_are_none() {
    for address in ["nonsense", "127.0.0.1", "http://127.0.0.1:80"] {
        let error = Listener::bind(address).expect_err(address);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(address), "{error}");
    }
}

/// Serves on a TCP port, for ever, and connects to it.
fn on_tcp(web_server: IpAddr, keep_conn: bool) -> Peer<TcpStream> {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port").web_servers([web_server]);
    let address = listener.local_address().expect("it has one").to_string();
    thread::spawn(move || serve(listener, hello));
    Peer::new(TcpStream::connect(address).expect("it listens"), 1 << 16, keep_conn)
}

#[test]
fn other_web_servers_are_turned_away() {
    on_tcp(IpAddr::from([10, 9, 8, 7]), true).eof();
    let mut peer = on_tcp(IpAddr::from([127, 0, 0, 1]), true);
    let key = peer.get(&[]);
    peer.answer(key).is("Content-Type: text/plain\r\n\r\nHello", 0);
}

#[test]
fn an_answer_reaches_a_web_server_that_is_still_sending() {
    let mut peer = on_tcp(IpAddr::from([127, 0, 0, 1]), false);
    let key = peer.begin(&[]);
    // More than the sockets hold, so that the answer comes amid it; and then nothing has been lost.
    let body = vec![b'x'; 4 << 20];
    for piece in body.chunks(1 << 16) {
        let Some(mut request) = peer.conn.request(key) else { break };
        let _ = request.stdin_slice(piece);
        peer.step();
    }
    peer.answer(key).is("Content-Type: text/plain\r\n\r\nHello", 0);
    peer.eof();
}

#[test]
fn connections_are_served_at_the_same_time_up_to_a_limit() {
    let both = Arc::new(Barrier::new(2));
    let server = Server::new(move |_: Request| {
        // Nobody passes alone.
        both.wait();
        Ok::<_, io::Error>(0)
    });
    let folder = TempDir::new().expect("a folder");
    let address = format!("unix:{}", folder.path().join("app.sock").display());
    let running = Running::start(server.max_connections(2), &address);
    let mut peers = [running.connect(), running.connect(), running.connect(), running.connect()];
    let keys: Vec<_> = peers.iter_mut().map(|peer| peer.get(&[])).collect();
    for peer in &mut peers {
        peer.flush();
    }
    for (peer, key) in peers.iter_mut().zip(&keys).take(2) {
        peer.answer(*key).is("", 0);
    }
    // Two kept connections take all of the places; the others wait until those go.
    assert!(!peers[2].step_within(Duration::from_millis(100)), "it is served");
    let [first, second, mut third, mut fourth] = peers;
    drop((first, second));
    third.answer(keys[2]).is("", 0);
    fourth.answer(keys[3]).is("", 0);
    running.end();
}

#[test]
fn a_shutdown_lets_requests_end_and_closes_idle_connections() {
    let (may_end, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::new(move |mut request: Request| {
        request.stdout.write("begun ")?;
        request.stdout.flush()?;
        if request.param("QUICK").is_some() {
            return Ok(0);
        }
        let _ = wait.lock().expect("no panic").recv();
        request.stdout.write("ended")?;
        Ok::<_, io::Error>(0)
    });
    let folder = TempDir::new().expect("a folder");
    let address = format!("unix:{}", folder.path().join("app.sock").display());
    let running = Running::start(server, &address);
    let (mut busy, mut idle) = (running.connect(), running.connect());
    let key = idle.get(&[("QUICK", "yes")]);
    idle.answer(key).is("begun ", 0);
    let key = busy.get(&[]);
    busy.until(key, |answer| answer.stdout == b"begun ");
    let served = running.served;
    running.shutdown.shutdown();
    idle.eof();
    assert!(!served.is_finished());
    may_end.send(()).expect("the handler waits");
    busy.answer(key).is("begun ended", 0);
    busy.eof();
    served.join().expect("no panic").expect("no error");
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Server::new(move |request: Request| {
        let _ = tell.lock().expect("no panic").send("begun");
        request.aborted.wait();
        let _ = tell.lock().expect("no panic").send("aborted");
        Ok::<_, io::Error>(0)
    });
    let folder = TempDir::new().expect("a folder");
    let address = format!("unix:{}", folder.path().join("app.sock").display());
    let running = Running::start(server.drain_timeout(Duration::from_millis(100)), &address);
    let mut peer = running.connect();
    peer.get(&[]);
    peer.flush();
    assert_eq!(told.recv(), Ok("begun"));
    running.end();
    assert_eq!(told.recv(), Ok("aborted"));
    peer.eof();
}

#[test]
fn threads_are_used_again() {
    fn threads() -> usize {
        fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
    }
    let running = Running::start(Server::new(hello), "127.0.0.1:0");
    for _ in 0..200 {
        assert_eq!(running.get().expect("an answer"), "Hello");
    }
    // Other tests have theirs; without reuse these would be 400 more.
    assert!(wait_until(Duration::from_secs(10), || threads() < 200), "{} threads", threads());
    running.end();
}
