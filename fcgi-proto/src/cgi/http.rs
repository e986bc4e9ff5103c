//! The head of a response as the types of the `http` crate.

use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};

use super::{ResponseHead, is_about_connection};

impl ResponseHead {
    /// The head as that of an HTTP response, for whoever sends it to a client; `None` when the status is none of HTTP's,
    /// which go from 200 to 599 for an answer.
    ///
    /// Left out are fields about a connection (RFC 9110 section 7.6.1), as how a message is framed is up to who sends it,
    /// repeats of `Content-Length`, and what HTTP does not allow. Needs the feature `http`.
    ///
    /// ```
    /// use fcgi_proto::cgi::ResponseHead;
    ///
    /// let head = ResponseHead::parse(b"Location: /login\r\nConnection: close\r\nSet-Cookie: a=1\r\n\r\n")?;
    /// let parts = head.to_http().expect("a status of HTTP");
    /// assert_eq!((parts.status.as_u16(), parts.headers.len()), (302, 2));
    /// # Ok::<(), fcgi_proto::cgi::HeadError>(())
    /// ```
    #[must_use]
    pub fn to_http(&self) -> Option<Parts> {
        let status = StatusCode::from_u16(self.status()).ok();
        let status = status.filter(|status| (200..600).contains(&status.as_u16()))?;
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = status;
        parts.headers.reserve(self.headers().len());
        for (name, value) in self.headers() {
            let is_named = self.get_all("Connection").any(|names| is_about_connection(name, names));
            if is_named || is_about_connection(name, b"") {
                continue;
            }
            let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
            match header {
                (Ok(CONTENT_LENGTH), Ok(value)) => {
                    parts.headers.insert(CONTENT_LENGTH, value);
                }
                (Ok(name), Ok(value)) => {
                    parts.headers.append(name, value);
                }
                _ => {}
            }
        }
        Some(parts)
    }
}
