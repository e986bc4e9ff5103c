//! The path of a request: decoded once, checked, and free of empty segments.

use core::fmt;

/// A decoded request path that is safe to look up below the document root.
///
/// It starts with `/`, holds no empty, `.` or `..` segment, no NUL and no other control character.
/// Bytes above 0x7f are kept as they came, whether UTF-8 or not.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestPath(Vec<u8>);

/// Why a request path was refused. All of them are answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not start with `/` (`OPTIONS *`, or a CONNECT request).
    NotAbsolute,
    /// A `%` is not followed by two hexadecimal digits.
    Escape,
    /// A control character. A NUL cuts the path short for the operating system, and a newline in
    /// PATH_INFO has crashed PHP-FPM behind other servers (CVE-2019-11043).
    Control(u8),
    /// A `..` segment. Browsers and tools resolve these before they send a path.
    Traversal,
}

impl RequestPath {
    /// Decodes the path of a request target (without its query).
    ///
    /// Percent escapes are decoded exactly once, so `%252e` stays the text `%2e`. An escaped slash
    /// (`%2F`) separates segments like any other slash. Repeated slashes count as one and `.`
    /// segments are dropped, as in nginx.
    ///
    /// # Errors
    ///
    /// The reason to answer 400.
    ///
    /// ```
    /// use fcgi_gateway::routing::{PathError, RequestPath};
    ///
    /// assert_eq!(RequestPath::decode("//caf%C3%A9/./menu")?.as_bytes(), "/café/menu".as_bytes());
    /// assert_eq!(RequestPath::decode("/a/%2e%2e/etc/passwd"), Err(PathError::Traversal));
    /// # Ok::<(), PathError>(())
    /// ```
    pub fn decode(path: &str) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        normalise(&percent_decode(path.as_bytes())?)
    }

    /// The path's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it ends with a slash, and so names a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.0.ends_with(b"/")
    }
}

impl fmt::Debug for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestPath({:?})", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the request target is not a path"),
            Self::Escape => f.write_str("a % in the path is not followed by two hexadecimal digits"),
            Self::Control(byte) => write!(f, "the path holds the control character 0x{byte:02x}"),
            Self::Traversal => f.write_str("the path holds a .. segment"),
        }
    }
}

impl core::error::Error for PathError {}

fn percent_decode(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let byte = if byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>().ok_or(PathError::Escape)?;
            rest = after;
            let [high, low] = digits.map(hex_digit);
            16 * high.ok_or(PathError::Escape)? + low.ok_or(PathError::Escape)?
        } else {
            byte
        };
        if byte.is_ascii_control() {
            return Err(PathError::Control(byte));
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn normalise(decoded: &[u8]) -> Result<RequestPath, PathError> {
    let mut path = Vec::with_capacity(decoded.len());
    let mut is_folder = true;
    for segment in decoded.split(|&byte| byte == b'/') {
        is_folder = matches!(segment, b"" | b".");
        match segment {
            b"" | b"." => {}
            b".." => return Err(PathError::Traversal),
            _ => {
                path.push(b'/');
                path.extend_from_slice(segment);
            }
        }
    }
    if is_folder {
        path.push(b'/');
    }
    Ok(RequestPath(path))
}

/// Writes a path so that it can stand in a `Location` field or a request target: everything but
/// the unreserved characters and `/` is escaped, so neither a backslash nor a second slash at the
/// start can make a browser read it as another host.
pub(crate) fn percent_encode(path: &[u8]) -> String {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let mut encoded = String::with_capacity(path.len() + 8);
    for &byte in path {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                encoded.push(HEX[usize::from(byte >> 4)]);
                encoded.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        for (path, decoded) in [
            ("/", Ok("/")),
            ("/a", Ok("/a")),
            ("/a/", Ok("/a/")),
            ("//", Ok("/")),
            ("//evil.example//x", Ok("/evil.example/x")),
            ("/./a/./", Ok("/a/")),
            ("/a/.", Ok("/a/")),
            ("/a%20b+c", Ok("/a b+c")),
            ("/%2541", Ok("/%41")),
            ("/a%2Fb", Ok("/a/b")),
            ("/a...b/..c", Ok("/a...b/..c")),
            ("", Err(PathError::NotAbsolute)),
            ("*", Err(PathError::NotAbsolute)),
            ("a/b", Err(PathError::NotAbsolute)),
            ("/%", Err(PathError::Escape)),
            ("/%4", Err(PathError::Escape)),
            ("/%zz", Err(PathError::Escape)),
            ("/a%00.php", Err(PathError::Control(0))),
            ("/index.php/%0a", Err(PathError::Control(10))),
            ("/index.php/%0D", Err(PathError::Control(13))),
            ("/%7f", Err(PathError::Control(127))),
            ("/..", Err(PathError::Traversal)),
            ("/a/../b", Err(PathError::Traversal)),
            ("/%2e%2E/x", Err(PathError::Traversal)),
            ("/..%2fetc", Err(PathError::Traversal)),
            ("/index.php/..", Err(PathError::Traversal)),
        ] {
            let found = RequestPath::decode(path);
            let found = found.as_ref().map(|path| core::str::from_utf8(path.as_bytes()).unwrap());
            assert_eq!(found, decoded.as_ref().copied(), "{path}");
        }
        assert_eq!(RequestPath::decode("/%ff").unwrap().as_bytes(), b"/\xff");
    }

    #[test]
    fn encoding_hides_what_a_browser_might_read_otherwise() {
        assert_eq!(percent_encode(b"/a b/\\evil?#%\xff"), "/a%20b/%5Cevil%3F%23%25%FF");
    }
}
