use std::sync::Arc;

use fcgi_proto::server::{Aborted, Incoming, InputStream};
use fcgi_proto::{Params, Role};

use super::{Stderr, Stdin, Stdout};

/// One request, with all that a handler needs to answer it.
///
/// The fields can be borrowed, moved and dropped apart, for instance to read the body in one future while another
/// writes the answer.
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
    pub(super) fn new(incoming: Incoming) -> Self {
        let Incoming { role, params, exchange, .. } = incoming;
        Self {
            role,
            params,
            stdin: Stdin::new(Arc::clone(&exchange), InputStream::Stdin),
            data: Stdin::new(Arc::clone(&exchange), InputStream::Data),
            stdout: Stdout::new(Arc::clone(&exchange)),
            stderr: Stderr::new(Arc::clone(&exchange)),
            aborted: Aborted::new(exchange),
        }
    }

    /// The last parameter of this name, if it is there and UTF-8.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get_str(name)
    }

    /// Resolves when the web server has lost interest; see [`Aborted`]. The future borrows nothing.
    ///
    /// ```
    /// # use fcgi_async_std::server::Request;
    /// # async fn work(request: &mut Request) -> Result<u32, std::io::Error> { Ok(0) }
    /// async fn handle(mut request: Request) -> Result<u32, std::io::Error> {
    ///     let aborted = request.aborted();
    ///     smol::future::or(work(&mut request), async {
    ///         aborted.await;
    ///         Ok(1)
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn aborted(&self) -> impl Future<Output = ()> + Send + use<> {
        self.aborted.clone()
    }
}
