use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fcgi_proto::server::{self, Incoming, InputStream};
use fcgi_proto::{Params, Role};

use super::handling::Handling;
use super::{Stderr, Stdin, Stdout};

/// One request, with all that a handler needs to answer it.
///
/// The fields can be borrowed, moved and dropped apart, for instance to read the body in one thread while another writes
/// the answer. They are of use until the handler returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// What is asked; a [`Responder`](Role::Responder) unless the server was told to serve
    /// [other roles](super::Server::roles).
    pub role: Role,
    /// The CGI environment.
    pub params: Params,
    /// The body.
    pub stdin: Stdin,
    /// The file that a Filter is given (FCGI_DATA, section 6.4), to be read after stdin; empty in other roles.
    pub data: Stdin,
    /// Takes the response.
    pub stdout: Stdout,
    /// Takes messages for the web server's log.
    pub stderr: Stderr,
    /// Tells when the web server has lost interest.
    pub aborted: Aborted,
}

impl Request {
    pub(super) fn new(handling: &Arc<Handling>, incoming: Incoming) -> Self {
        let Incoming { role, params, exchange, .. } = incoming;
        let one = || Arc::clone(handling);
        Self {
            role,
            params,
            stdin: Stdin::new(one(), InputStream::Stdin),
            data: Stdin::new(one(), InputStream::Data),
            stdout: Stdout::new(one()),
            stderr: Stderr::new(one()),
            aborted: Aborted { handling: one(), inner: server::Aborted::new(exchange) },
        }
    }

    /// The last parameter of this name, if it is there and UTF-8.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get_str(name)
    }
}

/// Tells when the web server has lost interest in a request: by ABORT_REQUEST (section 5.4), or by closing its direction
/// of the connection, which most web servers do instead.
///
/// It is a signal: a handler that does not look at it goes on to its end. A web server that is behind a full
/// [window](super::Stdin) of a body is not heard.
#[derive(Clone)]
pub struct Aborted {
    handling: Arc<Handling>,
    inner: server::Aborted,
}

impl Aborted {
    /// Whether it has happened.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.inner.is_aborted()
    }

    /// Waits until it happens, or the request has ended. What was written so far is sent.
    pub fn wait(&self) {
        let mut aborted = self.inner.clone();
        self.handling.wait_for(|cx| Pin::new(&mut aborted).poll(cx));
    }

    /// [`wait`](Self::wait) for so long at most, in place of sleeping; says whether it has happened.
    #[must_use]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let mut aborted = self.inner.clone();
        // A limit beyond what a clock can tell is none.
        let deadline = Instant::now().checked_add(limit);
        self.handling.wait_until(deadline, &mut |cx| Pin::new(&mut aborted).poll(cx)).is_some()
    }
}

impl fmt::Debug for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aborted").field(&self.is_aborted()).finish()
    }
}
