//! Paths as they may stand in a `Location` field or a request target.

use core::fmt::Write;

/// Escapes everything but the unreserved characters and `/`, so that neither a backslash nor a
/// quote can make a browser read the path as something else.
pub(crate) fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 8);
    for &byte in path.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_hides_what_a_browser_might_read_otherwise() {
        assert_eq!(percent_encode("/a b/\\evil?#%\u{fc}"), "/a%20b/%5Cevil%3F%23%25%C3%BC");
    }
}
