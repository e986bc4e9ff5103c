//! Answers of PHP-FPM and php-cgi that come from them and not from a script.

use core::fmt;

/// PHP-FPM ran no script.
///
/// It says so in an ordinary response only, which no client can tell from a page unless it knows the texts.
///
/// ```
/// use fcgi_proto::cgi::ScriptError;
///
/// assert_eq!(ScriptError::AccessDenied.status(), 403);
/// assert_eq!(ScriptError::AccessDenied.to_string(), "403 \"Access denied.\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScriptError {
    /// 404 `File not found.`: SCRIPT_FILENAME does not exist where php-fpm looks, or it may not read it.
    NotFound,
    /// 404 `No input file specified.`: the same, as php-cgi says it, or SCRIPT_FILENAME was not sent at all.
    NoInputFile,
    /// 403 `Access denied.`: the file's ending is not in `security.limit_extensions` of the pool, or the file cannot be
    /// read; then php-fpm says why on its error output.
    AccessDenied,
}

impl ScriptError {
    /// The status of that answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotFound | Self::NoInputFile => 404,
            Self::AccessDenied => 403,
        }
    }

    /// The text of that answer.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "File not found.",
            Self::NoInputFile => "No input file specified.",
            Self::AccessDenied => "Access denied.",
        }
    }

    /// What usually helps.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NotFound | Self::NoInputFile => {
                "the path must exist as php-fpm sees it: check its chroot or container, and that its user may read the file and enter each folder"
            }
            Self::AccessDenied => {
                "security.limit_extensions of the pool does not allow this ending (by default only .php and .phar), or its user may not read the file"
            }
        }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.status(), self.text())
    }
}

impl core::error::Error for ScriptError {}

/// Recognises the answers that mean that PHP-FPM ran no script, by status and body.
///
/// `body` is the whole body, or as much as came before the caller wants to know; 32 bytes decide. Texts that a site
/// uses itself are not mistaken unless they are the very same. Standard error does not help: current versions of
/// PHP-FPM say "Primary script unknown" only at log level debug.
///
/// ```
/// use fcgi_proto::cgi::{ScriptError, script_error};
///
/// assert_eq!(script_error(404, b"File not found.\n"), Some(ScriptError::NotFound));
/// assert_eq!(script_error(404, b"File not found. Try the <a href=/>start page</a>"), None);
/// ```
#[must_use]
pub fn script_error(status: u16, body: &[u8]) -> Option<ScriptError> {
    [ScriptError::NotFound, ScriptError::NoInputFile, ScriptError::AccessDenied]
        .into_iter()
        .find(|error| error.status() == status && error.text().as_bytes() == body.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (status, body, expected) in [
            (404, &b"File not found.\n"[..], Some(ScriptError::NotFound)),
            (404, b"File not found.", Some(ScriptError::NotFound)),
            (404, b"No input file specified.\n", Some(ScriptError::NoInputFile)),
            (403, b"Access denied.\n", Some(ScriptError::AccessDenied)),
            (200, b"File not found.\n", None),
            (403, b"File not found.\n", None),
            (404, b"Access denied.\n", None),
            (404, b"File not found.\n<p>Sorry", None),
            (404, b"<p>File not found.\n", None),
            (404, b"File not foun", None),
            (404, b"", None),
        ] {
            assert_eq!(script_error(status, body), expected, "{status} {}", body.escape_ascii());
        }
    }
}
