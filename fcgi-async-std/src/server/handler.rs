use core::fmt::Display;

use super::Request;

/// Answers requests.
///
/// Every async function and closure from a [`Request`] to a `Result<u32, E>` is one; implement it for a type that has
/// state. The number is the exit status that a CGI program would have: 0 for success. Web servers log it at most.
///
/// The handlers of a connection run at the same time, in the task of the connection. A handler that returns an error or panics costs only its request: the text goes
/// to the web server's log, the exit status is 1, and the answer is a plain `500 Internal Server Error` if nothing was
/// written yet.
///
/// ```
/// use fcgi_async_std::server::{Handler, Request};
///
/// struct Greeter { greeting: String }
///
/// impl Handler for Greeter {
///     type Error = std::io::Error;
///
///     async fn handle(&self, mut request: Request) -> Result<u32, Self::Error> {
///         let text = format!("Content-Type: text/plain\r\n\r\n{}", self.greeting);
///         request.stdout.write(text).await?;
///         Ok(0)
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Is written to the web server's log.
    type Error: Display + Send;

    /// Answers one request; the answer is complete when the future is.
    ///
    /// The future is dropped when the connection fails under the output of a request on it.
    fn handle(&self, request: Request) -> impl Future<Output = Result<u32, Self::Error>> + Send;
}

impl<F, R, E> Handler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<u32, E>> + Send,
    E: Display + Send,
{
    type Error = E;

    fn handle(&self, request: Request) -> impl Future<Output = Result<u32, E>> + Send {
        self(request)
    }
}
