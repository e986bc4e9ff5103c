use std::fmt::Display;

use super::Request;

/// Answers requests.
///
/// Every function and closure from a [`Request`] to a `Result<u32, E>` is one; implement it for a type that has state. The
/// number is the exit status that a CGI program would have: 0 for success. Web servers log it at most.
///
/// Each request gets a thread. A handler that returns an error or panics costs only its request: the text goes to the web
/// server's log, the exit status is 1, and the answer is a plain `500 Internal Server Error` if nothing was written yet.
///
/// ```
/// use fcgi_blocking::server::{Handler, Request};
///
/// struct Greeter { greeting: String }
///
/// impl Handler for Greeter {
///     type Error = std::io::Error;
///
///     fn handle(&self, mut request: Request) -> Result<u32, Self::Error> {
///         let text = format!("Content-Type: text/plain\r\n\r\n{}", self.greeting);
///         request.stdout.write(text)?;
///         Ok(0)
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Is written to the web server's log.
    type Error: Display;

    /// Answers one request; the answer is complete when this returns.
    ///
    /// It cannot be stopped from outside: one that may take long should look at [`aborted`](Request::aborted) now and then,
    /// and notices in any case that its writes fail.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    fn handle(&self, request: Request) -> Result<u32, Self::Error>;
}

impl<F, E> Handler for F
where
    F: Fn(Request) -> Result<u32, E> + Send + Sync + 'static,
    E: Display,
{
    type Error = E;

    fn handle(&self, request: Request) -> Result<u32, E> {
        self(request)
    }
}
