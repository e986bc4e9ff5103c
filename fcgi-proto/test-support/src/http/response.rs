//! What came back.

/// A response, read to its end or to where it broke off.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase, which may be empty.
    pub reason: String,
    /// The header fields in order, repeats kept, spaces around values removed.
    pub headers: Vec<(String, String)>,
    /// The body, decoded if it came in chunks.
    pub body: Vec<u8>,
    /// How the body broke off, or `None` if it came to its end.
    pub cut: Option<Cut>,
}

/// How a body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// The connection was closed with bytes of `Content-Length` missing.
    Short {
        /// How many bytes are missing.
        missing: u64,
    },
    /// The connection was closed before the last chunk.
    NoLastChunk,
    /// A chunk's frame was not one.
    BadChunk(String),
    /// Reading failed, as when the connection was reset or nothing came for a minute.
    Failed(std::io::ErrorKind),
}

impl Response {
    /// The first header field of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Every header field of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.headers.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the body came to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cut.is_none()
    }
}
