//! Sending requests and reading responses.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::framing::{Framing, read_line};
use super::{Request, Response};

/// A connection for one request after the other.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    /// Connects. Reads and writes fail after 60 s, so that a test ends where it would hang.
    ///
    /// # Panics
    ///
    /// When nothing listens there.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        stream.set_nodelay(true).expect("a TCP socket has no delay");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a limit can be set");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a limit can be set");
        Self { stream: BufReader::new(stream), address }
    }

    /// Its own end.
    ///
    /// # Panics
    ///
    /// Practically never.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().expect("a connected socket has an address")
    }

    /// Sends a request, without asking the server to close, and reads the whole response.
    ///
    /// # Panics
    ///
    /// When no response head comes, as on a connection that the server has closed.
    #[must_use]
    pub fn send(&mut self, request: &Request) -> Response {
        self.write(request, true);
        self.response(request.method == "HEAD")
    }

    /// Sends bytes as they are; for requests that no honest client makes.
    ///
    /// # Errors
    ///
    /// What the system says, as when the server has closed the connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Closes our direction, as a client that has said everything.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Reads the next response, to the end of its body.
    ///
    /// # Panics
    ///
    /// When no head comes.
    #[must_use]
    pub fn response(&mut self, answers_head: bool) -> Response {
        let (mut response, mut framing) = read_head(&mut self.stream, answers_head);
        read_body(&mut self.stream, &mut framing, &mut response);
        response
    }

    /// Whether the server has closed the connection; waits for it to do so or to send something.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        !matches!(io::BufRead::fill_buf(&mut self.stream), Ok(more) if !more.is_empty())
    }

    /// Reads the response's head and hands over the connection with the rest of it.
    ///
    /// # Panics
    ///
    /// When no head comes.
    #[must_use]
    pub fn into_exchange(mut self, answers_head: bool) -> Exchange {
        let (response, framing) = read_head(&mut self.stream, answers_head);
        Exchange { stream: self.stream, framing, response }
    }

    /// Writes the head here and the body beside, because a server may answer before it has read all.
    pub(super) fn write(&self, request: &Request, keep_alive: bool) {
        let mut stream = self.stream.get_ref().try_clone().expect("a socket can be cloned");
        let head = request.head(self.address, keep_alive);
        let body = request.body.clone().unwrap_or_default();
        if body.is_empty() && request.chunk.is_none() {
            // If the server has gone, reading the response tells.
            let _ = stream.write_all(head.as_bytes());
            return;
        }
        let chunk = request.chunk;
        thread::spawn(move || write_all(&mut stream, head, &body, chunk));
    }
}

/// A response whose head is there, and whose body is read piece by piece. Dropping it closes the
/// connection.
#[derive(Debug)]
pub struct Exchange {
    stream: BufReader<TcpStream>,
    framing: Framing,
    response: Response,
}

impl Exchange {
    /// The response so far: its head, and what was read of its body.
    #[must_use]
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Waits for more of the body and returns what came; empty at its end, or when it was cut.
    pub fn more(&mut self) -> &[u8] {
        let before = self.response.body.len();
        if self.response.cut.is_none() {
            let read = self.framing.read(&mut self.stream, &mut self.response.body);
            self.response.cut = read.err();
        }
        &self.response.body[before..]
    }

    /// Reads the rest.
    #[must_use]
    pub fn finish(mut self) -> Response {
        read_body(&mut self.stream, &mut self.framing, &mut self.response);
        self.response
    }
}

fn write_all(stream: &mut TcpStream, head: String, body: &[u8], chunk: Option<usize>) {
    let write = || -> io::Result<()> {
        let Some(size) = chunk else {
            let mut bytes = head.into_bytes();
            bytes.extend_from_slice(body);
            return stream.write_all(&bytes);
        };
        stream.write_all(head.as_bytes())?;
        for part in body.chunks(size) {
            let mut bytes = format!("{:x}\r\n", part.len()).into_bytes();
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
            stream.write_all(&bytes)?;
        }
        stream.write_all(b"0\r\n\r\n")
    };
    // A server that has answered may stop reading; the response is what counts.
    let _ = write();
}

/// Reads a head, skipping interim ones (1xx).
fn read_head(stream: &mut BufReader<TcpStream>, answers_head: bool) -> (Response, Framing) {
    loop {
        let response = read_one_head(stream);
        if !matches!(response.status, 100 | 102..=199) {
            let framing = Framing::of(response.status, &response.headers, answers_head);
            return (response, framing);
        }
    }
}

fn read_one_head(stream: &mut BufReader<TcpStream>) -> Response {
    let mut next = || match read_line(stream) {
        Ok(Some(line)) => line,
        Ok(None) => panic!("the server closed the connection before the end of a response's head"),
        Err(error) => panic!("no response head: {error}"),
    };
    let first = next();
    let (status, reason) =
        status_line(&first).unwrap_or_else(|| panic!("not a status line: {first:?}"));
    let mut headers = Vec::new();
    loop {
        let line = next();
        if line.is_empty() {
            return Response { status, reason, headers, body: Vec::new(), cut: None };
        }
        let (name, value) =
            line.split_once(':').unwrap_or_else(|| panic!("not a header field: {line:?}"));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn status_line(line: &str) -> Option<(u16, String)> {
    let rest = line.strip_prefix("HTTP/1.")?.get(2..)?;
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((status.parse().ok()?, reason.to_owned()))
}

fn read_body(stream: &mut BufReader<TcpStream>, framing: &mut Framing, response: &mut Response) {
    while response.cut.is_none() && !framing.is_end() {
        response.cut = framing.read(stream, &mut response.body).err();
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);
