use crate::cgi::ResponseHead;

/// What an exchange has brought; data is lent from the input.
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
