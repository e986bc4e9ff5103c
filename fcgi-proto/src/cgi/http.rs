//! The head of a response as the types of the `http` crate.

use alloc::vec::Vec;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};

use super::{FullResponse, ResponseHead, is_about_connection};

impl ResponseHead {
    /// The head as that of an HTTP response, for whoever sends it to a client; `None` when the status is none of HTTP's,
    /// which go from 200 to 599 for an answer, or there are more headers than the type takes, which is some 24,000.
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
        parts.headers.try_reserve(self.headers().len()).ok()?;
        let connection: Vec<_> = self.get_all("Connection").collect();
        for (name, value) in self.headers() {
            let is_named = connection.iter().any(|names| is_about_connection(name, names));
            if is_named || is_about_connection(name, b"") {
                continue;
            }
            let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
            match header {
                (Ok(CONTENT_LENGTH), Ok(value)) => {
                    parts.headers.try_insert(CONTENT_LENGTH, value).ok()?;
                }
                (Ok(name), Ok(value)) => {
                    parts.headers.try_append(name, value).ok()?;
                }
                _ => {}
            }
        }
        Some(parts)
    }
}

impl FullResponse {
    /// The response for an HTTP client; `None` as with [`ResponseHead::to_http`]. What came over STDERR, and the exit
    /// status, stay behind. Needs the feature `http`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use fcgi_proto::cgi::{FullResponse, ResponseHead};
    ///
    /// let head = ResponseHead::parse(b"Content-Type: text/plain\r\n\r\n")?;
    /// let response = FullResponse::new(head, Bytes::from("hello"), Bytes::new(), 0).into_http().expect("200");
    /// assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"hello"[..]));
    /// # Ok::<(), fcgi_proto::cgi::HeadError>(())
    /// ```
    #[must_use]
    pub fn into_http(self) -> Option<Response<Bytes>> {
        let parts = self.head().to_http()?;
        Some(Response::from_parts(parts, self.into_body()))
    }
}
