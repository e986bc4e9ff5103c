//! A small HTTP/1.1 client for tests of HTTP servers.
//!
//! It reports what it sees instead of repairing it: header fields in order with repeats, and whether
//! the body came to its proper end. It does not follow redirects, keep cookies or decompress.
//!
//! ```no_run
//! use fcgi_test_support::http::Request;
//!
//! let address = "127.0.0.1:8080".parse().unwrap();
//! let response = Request::post("/form.php").header("X-Test", "1").body("a=1").send(address);
//! assert_eq!(response.status, 200);
//! assert!(response.is_complete());
//! ```

mod connection;
mod framing;
mod response;

use core::net::SocketAddr;

pub use connection::{Connection, Exchange};
pub use response::{Cut, Response};

/// A request to send.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `send` or `start`"]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunk: Option<usize>,
}

impl Request {
    /// A GET without a body; `target` goes into the request line as it is.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST, with an empty body until [`Request::body`] gives one.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target).body("")
    }

    /// A request of any method.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
            chunk: None,
        }
    }

    /// Adds a header field. Without one of that name, `Host` is the address, and the length of a body
    /// is announced by itself.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body, sent with `Content-Length` unless [`Request::chunked`] is called.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// An HTML form as the body: names and values as they are, so they must be encoded already.
    pub fn form(self, encoded: &str) -> Self {
        self.header("Content-Type", "application/x-www-form-urlencoded").body(encoded)
    }

    /// Sends the body in chunks of `size` bytes, without saying how long it is.
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunk = Some(size.max(1));
        self
    }

    /// Sends it over a connection of its own and reads the whole response, while the body is still
    /// being sent if the server answers early.
    ///
    /// # Panics
    ///
    /// When nothing listens there or no response head comes. A body that breaks off is no panic but
    /// [`Response::cut`].
    #[must_use]
    pub fn send(&self, address: SocketAddr) -> Response {
        self.start(address).finish()
    }

    /// Sends it over a connection of its own and returns as soon as the response's head is there.
    ///
    /// # Panics
    ///
    /// As [`Request::send`].
    #[must_use]
    pub fn start(&self, address: SocketAddr) -> Exchange {
        let connection = Connection::open(address);
        connection.write(self, false);
        connection.into_exchange(self.method == "HEAD")
    }

    /// The head as it goes over the wire.
    fn head(&self, address: SocketAddr, keep_alive: bool) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut add = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        if !self.has("host") {
            add("Host", &address.to_string());
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        match (&self.body, self.chunk) {
            (Some(_), Some(_)) => add("Transfer-Encoding", "chunked"),
            (Some(body), None) if !self.has("content-length") => {
                add("Content-Length", &body.len().to_string());
            }
            _ => {}
        }
        if !keep_alive && !self.has("connection") {
            add("Connection", "close");
        }
        head.push_str("\r\n");
        head
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }
}
