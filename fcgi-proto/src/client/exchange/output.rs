use crate::cgi::ResponseHead;

/// What an exchange has brought; data is lent from the input.
///
/// ```
/// use core::time::Duration;
/// use fcgi_proto::client::{Config, Connection, Exchange, Output};
/// use fcgi_proto::{Request, Timeouts};
///
/// let mut conn = Connection::new(Config::default());
/// let (parts, ()) = Request::get("/srv/hello.php").into_parts()?;
/// let mut exchange = Exchange::begin(&mut conn, &parts, Timeouts::default(), Duration::ZERO)?;
/// # let read = b"\x01\x06\0\x01\0\x08\0\0A: b\n\nhi";
/// let event = conn.poll_event(&mut &read[..])?.expect("output");
/// let Some(Output::Head { head, body }) = exchange.handle_event(event)? else { panic!() };
/// assert_eq!((head.status(), body), (200, &b"hi"[..]));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<'b> {
    /// The response's head, once.
    Head {
        /// Status, reason and headers.
        head: ResponseHead,
        /// The first bytes of the body where they came with it, else empty.
        body: &'b [u8],
    },
    /// More of the body, at least one byte.
    Body(&'b [u8]),
    /// Error output has come; see [`super::Exchange::stderr`].
    Stderr,
    /// The response is complete.
    End(End),
}

/// How a response ended.
///
/// ```
/// use fcgi_proto::client::End;
///
/// /// What is worth a line in a log.
/// fn is_odd(end: End) -> bool {
///     end.app_status != 0 || end.body_excess > 0
/// }
/// # let _ = is_odd;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The exit status of a CGI program; most applications always say 0.
    pub app_status: u32,
    /// Whether the application was given the whole body. It need not wait for it.
    pub is_body_sent: bool,
    /// Bytes that came beyond the `Content-Length` of the response. They were dropped: what was delivered is complete.
    pub body_excess: u64,
}
