//! From the path of a URL to the script that answers it, without touching a file system.
//!
//! Three pure steps, each usable alone:
//!
//! 1. [`clean_path`]: percent-decoding, once, and removal of dot segments. What it returns names a place below the root
//!    and can be joined to it as it is.
//! 2. [`split`]: which part of that path is the script (`SCRIPT_NAME`) and which is left for it (`PATH_INFO`). Whether
//!    a script exists is for the caller to say.
//! 3. [`cgi::Environment`](super::Environment): the variables.
//!
//! # What is refused, and why
//! | in the path | outcome | reason |
//! |---|---|---|
//! | `%` without two hex digits | [`PathError::BadEscape`] | servers disagree about its meaning |
//! | NUL, raw or as `%00` | [`PathError::ControlCharacter`] | cuts the name in C programs: `x.jpg%00.php` |
//! | CR and LF, raw or encoded | [`PathError::ControlCharacter`] | PHP-FPM once executed code for them (CVE-2019-11043) |
//! | `..` above the root | [`PathError::AboveRoot`] | nothing up there is for the client |
//! | `%2F` | [`PathError::EncodedSlash`] | no file name holds a slash; decoded it would move other parts of the path |
//! | `\`, raw or as `%5C` | [`PathError::Backslash`] | a second slash on Windows |
//! | bytes that are not UTF-8 | [`PathError::NotUtf8`] | no portable file name |
//!
//! The first four are errors of the client (400). The others are good URLs that [name no file](PathError::names_no_file):
//! a front controller, which reads the untouched `REQUEST_URI`, can still answer them.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use memchr::memchr;

/// Suffixes of scripts unless told otherwise.
pub const DEFAULT_SUFFIXES: &[&str] = &[".php"];

/// How many places of one path [`split`] asks for at most.
pub const MAX_CANDIDATES: usize = 64;

/// The path of a request, decoded and without dot segments: safe to be joined to a root, as text.
///
/// `raw` is the path as it stood in the request, without the query, and begins with a slash. Empty segments are
/// removed, as by nginx, so that no result begins with two slashes, which a browser would take for a host. A slash at
/// the end stays. Symbolic links are another matter.
///
/// # Errors
/// See the [table](self#what-is-refused-and-why).
///
/// ```
/// use fcgi_proto::cgi::script::{PathError, clean_path};
///
/// assert_eq!(clean_path("/a%20b/./c/../d.php").as_deref(), Ok("/a b/d.php"));
/// assert_eq!(clean_path("//evil.example//x/").as_deref(), Ok("/evil.example/x/"));
/// assert_eq!(clean_path("/%2e%2e/etc/passwd"), Err(PathError::AboveRoot));
/// ```
pub fn clean_path(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let decoded = percent_decode(raw.as_bytes())?;
    if decoded.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
        return Err(PathError::ControlCharacter);
    }
    check_dots(&decoded)?;
    if decoded.contains(&b'\\') {
        return Err(PathError::Backslash);
    }
    if has_encoded_slash(raw) {
        return Err(PathError::EncodedSlash);
    }
    let decoded = match decoded {
        Cow::Borrowed(_) => Cow::Borrowed(raw),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?),
    };
    Ok(if is_clean(&decoded) { decoded } else { Cow::Owned(remove_dots(&decoded)) })
}

/// Decodes `%XX`, once: what decodes to a percent sign stays one. Borrows when there is nothing to decode.
///
/// # Errors
/// [`PathError::BadEscape`] for `%` without two hex digits behind it, [`PathError::ControlCharacter`] for `%00`.
///
/// ```
/// use fcgi_proto::cgi::script::{PathError, percent_decode};
///
/// assert_eq!(percent_decode(b"/%e4%252e").as_deref(), Ok(&b"/\xe4%2e"[..]));
/// assert_eq!(percent_decode(b"/%e"), Err(PathError::BadEscape));
/// ```
pub fn percent_decode(raw: &[u8]) -> Result<Cow<'_, [u8]>, PathError> {
    let Some(first) = memchr(b'%', raw) else {
        return Ok(Cow::Borrowed(raw));
    };
    let (plain, mut rest) = raw.split_at(first);
    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(plain);
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = after else {
            return Err(PathError::BadEscape);
        };
        rest = after;
        match (hex_digit(*high), hex_digit(*low)) {
            (Some(0), Some(0)) => return Err(PathError::ControlCharacter),
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
            _ => return Err(PathError::BadEscape),
        }
    }
    Ok(Cow::Owned(decoded))
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Escapes are known to be well-formed here, so that `%2F` can only be one.
fn has_encoded_slash(raw: &str) -> bool {
    memchr::memchr_iter(b'%', raw.as_bytes()).any(|at| {
        raw.as_bytes().get(at..at + 3).is_some_and(|escape| escape.eq_ignore_ascii_case(b"%2F"))
    })
}

/// No prefix of the path may lead above the root (RFC 3986 section 5.2.4 would stop there silently).
fn check_dots(decoded: &[u8]) -> Result<(), PathError> {
    let mut depth = 0_usize;
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => depth = depth.checked_sub(1).ok_or(PathError::AboveRoot)?,
            _ => depth += 1,
        }
    }
    Ok(())
}

/// Whether no segment but the last is empty, and none is a dot.
fn is_clean(path: &str) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if matches!(segment, "." | "..") || (segment.is_empty() && !is_last) {
            return false;
        }
    }
    true
}

fn remove_dots(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    let mut is_folder = true;
    for segment in path.split('/') {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
            _ => {
                clean.push('/');
                clean.push_str(segment);
            }
        }
    }
    if is_folder {
        clean.push('/');
    }
    clean
}

/// A path as script and rest.
///
/// ```
/// use fcgi_proto::cgi::script::{DEFAULT_SUFFIXES, split};
///
/// let found = split("/a.php/b", DEFAULT_SUFFIXES, |_| true)?.expect("it ends like a script");
/// assert_eq!((found.script_name, found.path_info), ("/a.php", "/b"));
/// # Ok::<(), fcgi_proto::cgi::script::PathError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptSplit<'p> {
    /// The script, with the slash it begins with: `SCRIPT_NAME`.
    pub script_name: &'p str,
    /// What follows it, empty or with a slash at its front: `PATH_INFO`.
    pub path_info: &'p str,
}

/// Finds the script in a decoded path: the shortest prefix that ends like a script, at a slash or at the end of the
/// path, and for which `exists` says yes. `None` when there is none.
///
/// Suffixes are compared as bytes, ASCII letters without case, and nothing else is folded: that `ﬀ` or `K` would fold
/// to ASCII must not make a script of an upload. Give them with their dot. The first 64 prefixes that end like a script
/// are tried ([`MAX_CANDIDATES`]).
///
/// # Errors
/// [`PathError::ControlCharacter`] when the path holds NUL, CR or LF, wherever.
///
/// ```
/// use fcgi_proto::cgi::script::{DEFAULT_SUFFIXES, ScriptSplit, split};
///
/// let on_disk = ["/a.php/b.php", "/index.php"];
/// let found = split("/a.php/b.php/c", DEFAULT_SUFFIXES, |script| on_disk.contains(&script))?;
/// assert_eq!(found, Some(ScriptSplit { script_name: "/a.php/b.php", path_info: "/c" }));
/// # Ok::<(), fcgi_proto::cgi::script::PathError>(())
/// ```
pub fn split<'p, S: AsRef<str>>(
    path: &'p str,
    suffixes: &[S],
    mut exists: impl FnMut(&str) -> bool,
) -> Result<Option<ScriptSplit<'p>>, PathError> {
    if path.contains(['\0', '\r', '\n']) {
        return Err(PathError::ControlCharacter);
    }
    Ok(candidates(path, suffixes)
        .take(MAX_CANDIDATES)
        .find(|candidate| exists(candidate.script_name)))
}

/// Every prefix of `path` that ends with a suffix at the end of a segment, the shortest first.
fn candidates<'p, S: AsRef<str>>(
    path: &'p str,
    suffixes: &[S],
) -> impl Iterator<Item = ScriptSplit<'p>> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(move |end| {
        let (script_name, path_info) = path.split_at_checked(end)?;
        let is_script = suffixes.iter().any(|suffix| has_suffix(script_name, suffix.as_ref()));
        is_script.then_some(ScriptSplit { script_name, path_info })
    })
}

/// Whether the name, which is more than the suffix alone, ends with it.
fn has_suffix(name: &str, suffix: &str) -> bool {
    let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
    let Some(start) = name.len().checked_sub(suffix.len()) else {
        return false;
    };
    !suffix.is_empty() && name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// A path that cannot be used.
///
/// ```
/// use fcgi_proto::cgi::script::{PathError, clean_path};
///
/// let error = clean_path("/a%2Fb").unwrap_err();
/// assert_eq!(error, PathError::EncodedSlash);
/// assert!(error.names_no_file()); // not an error of the client
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with a slash.
    NotAbsolute,
    /// `%` without two hex digits.
    BadEscape,
    /// NUL, CR or LF.
    ControlCharacter,
    /// `..` leads above the root.
    AboveRoot,
    /// `%2F`.
    EncodedSlash,
    /// A backslash.
    Backslash,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
}

impl PathError {
    /// Whether this is a good URL that just cannot be the name of a file. Otherwise the request itself is bad.
    #[must_use]
    pub const fn names_no_file(self) -> bool {
        matches!(self, Self::EncodedSlash | Self::Backslash | Self::NotUtf8)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "path does not begin with a slash",
            Self::BadEscape => "path has a percent sign without two hex digits",
            Self::ControlCharacter => "path holds NUL or a line break",
            Self::AboveRoot => "path leads above the root",
            Self::EncodedSlash => "path holds an encoded slash",
            Self::Backslash => "path holds a backslash",
            Self::NotUtf8 => "path is not UTF-8",
        })
    }
}

impl core::error::Error for PathError {}
