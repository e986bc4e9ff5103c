//! A response that is there as a whole.

use core::fmt;

use bytes::Bytes;

use super::head::ResponseHead;
use super::script_error::{ScriptError, script_error};

/// A whole response: head, body, and what the application wrote to its standard error.
///
/// ```
/// use bytes::Bytes;
/// use fcgi_proto::cgi::{FullResponse, ResponseHead, ScriptError};
///
/// let head = ResponseHead::parse(b"Status: 404 Not Found\n\n")?;
/// let response = FullResponse::new(head, Bytes::from("File not found.\n"), Bytes::new(), 0);
/// assert_eq!(response.script_error(), Some(ScriptError::NotFound));
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FullResponse {
    head: ResponseHead,
    body: Bytes,
    stderr: Bytes,
    app_status: u32,
}

impl FullResponse {
    /// Puts the parts together. `app_status` is that of END_REQUEST.
    #[must_use]
    pub const fn new(head: ResponseHead, body: Bytes, stderr: Bytes, app_status: u32) -> Self {
        Self { head, body, stderr, app_status }
    }

    /// Status, reason and headers.
    #[must_use]
    pub const fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The status code, see [`ResponseHead::status`].
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body without the rest.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// What came over STDERR, up to the cap of the client that read it.
    #[must_use]
    pub const fn stderr(&self) -> &Bytes {
        &self.stderr
    }

    /// The exit status of the application (section 5.5); PHP always says 0.
    #[must_use]
    pub const fn app_status(&self) -> u32 {
        self.app_status
    }

    /// Whether this is PHP-FPM saying that it ran no script.
    #[must_use]
    pub fn script_error(&self) -> Option<ScriptError> {
        script_error(self.status(), &self.body)
    }
}

impl fmt::Debug for FullResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullResponse")
            .field("head", &self.head)
            .field("body_len", &self.body.len())
            .field("stderr_len", &self.stderr.len())
            .field("app_status", &self.app_status)
            .finish()
    }
}
