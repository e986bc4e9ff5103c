//! Paths: decoding, dot segments, and the split in script and rest.

use std::borrow::Cow;

use fcgi_proto::cgi::script::{
    DEFAULT_SUFFIXES, MAX_CANDIDATES, PathError, ScriptSplit, clean_path, percent_decode, split,
};
use proptest::prelude::*;

// spec: S68
#[test]
fn decoding() {
    for (raw, decoded) in [
        (&b"/a/b"[..], Ok(&b"/a/b"[..])),
        (b"", Ok(b"")),
        (b"/%41%62%2f", Ok(b"/Ab/")),
        (b"%25", Ok(b"%")),
        (b"%2541", Ok(b"%41")), // once
        (b"%e9%FF", Ok(b"\xe9\xff")),
        (b"a+b", Ok(b"a+b")), // a plus is a plus in a path
        (b"%", Err(PathError::BadEscape)),
        (b"%4", Err(PathError::BadEscape)),
        (b"%g0", Err(PathError::BadEscape)),
        (b"%0g", Err(PathError::BadEscape)),
        (b"%%41", Err(PathError::BadEscape)),
        (b"%-1", Err(PathError::BadEscape)),
        (b"%u0041", Err(PathError::BadEscape)),
        (b"a%00", Err(PathError::ControlCharacter)),
    ] {
        assert_eq!(percent_decode(raw), decoded.map(Cow::Borrowed), "{}", raw.escape_ascii());
    }
}

// spec: S68, S105
#[test]
fn clean_paths() {
    for (raw, clean) in [
        ("/", Ok("/")),
        ("/a", Ok("/a")),
        ("/a/", Ok("/a/")),
        ("/a/b.php/c", Ok("/a/b.php/c")),
        ("/.", Ok("/")),
        ("/./", Ok("/")),
        ("/a/.", Ok("/a/")),
        ("/a/..", Ok("/")),
        ("/a/../", Ok("/")),
        ("/a/../b", Ok("/b")),
        ("/a/./b", Ok("/a/b")),
        ("/a/b/../../c", Ok("/c")),
        ("/%61%20b", Ok("/a b")),
        ("/a%2e", Ok("/a.")),
        ("/a/%2e%2e/b", Ok("/b")),
        ("/a/.%2E/b", Ok("/b")),
        ("/%2561", Ok("/%61")),
        ("//", Ok("/")),
        ("//evil.example/x", Ok("/evil.example/x")),
        ("/a//b///", Ok("/a/b/")),
        ("/...", Ok("/...")),
        ("/..a/b..", Ok("/..a/b..")),
        ("/.well-known/x", Ok("/.well-known/x")),
        ("/caf%C3%A9", Ok("/caf\u{e9}")),
        ("/caf\u{e9}", Ok("/caf\u{e9}")),
        ("/a;b=c", Ok("/a;b=c")),
        ("", Err(PathError::NotAbsolute)),
        ("a", Err(PathError::NotAbsolute)),
        ("*", Err(PathError::NotAbsolute)),
        ("%2Fa", Err(PathError::NotAbsolute)),
        ("/..", Err(PathError::AboveRoot)),
        ("/../", Err(PathError::AboveRoot)),
        ("/a/../../a", Err(PathError::AboveRoot)),
        ("/%2e%2e/x", Err(PathError::AboveRoot)),
        ("/./..", Err(PathError::AboveRoot)),
        ("/a//../..", Err(PathError::AboveRoot)),
        ("/..%2fx", Err(PathError::AboveRoot)),
        ("/..\\x", Err(PathError::AboveRoot)),
        ("/%2e%2e%5cx", Err(PathError::AboveRoot)),
        ("/a%2fb", Err(PathError::EncodedSlash)),
        ("/a%2Fb", Err(PathError::EncodedSlash)),
        ("/a%5cb", Err(PathError::Backslash)),
        ("/a\\b", Err(PathError::Backslash)),
        ("/%ff", Err(PathError::NotUtf8)),
        ("/%c0%ae%c0%ae/", Err(PathError::NotUtf8)), // overlong dots
        ("/a%00.php", Err(PathError::ControlCharacter)),
        ("/a\0.php", Err(PathError::ControlCharacter)),
        ("/a%0a", Err(PathError::ControlCharacter)),
        ("/a%0D", Err(PathError::ControlCharacter)),
        ("/a%", Err(PathError::BadEscape)),
        ("/%zz", Err(PathError::BadEscape)),
    ] {
        assert_eq!(clean_path(raw), clean.map(Cow::Borrowed), "{raw:?}");
    }
}

#[test]
fn which_refusals_are_bad_requests() {
    for error in [PathError::EncodedSlash, PathError::Backslash, PathError::NotUtf8] {
        assert!(error.names_no_file(), "{error}");
    }
    for error in [
        PathError::NotAbsolute,
        PathError::BadEscape,
        PathError::ControlCharacter,
        PathError::AboveRoot,
    ] {
        assert!(!error.names_no_file(), "{error}");
    }
}

const ALL: &str = "*";

/// `exists` is a list, or `*` for everything.
fn parts<'p>(path: &'p str, suffixes: &[&str], exists: &[&str]) -> Option<(&'p str, &'p str)> {
    split(path, suffixes, |script| exists == [ALL] || exists.contains(&script))
        .expect("a path without control characters")
        .map(|ScriptSplit { script_name, path_info }| (script_name, path_info))
}

// spec: S63
#[test]
fn splits() {
    let php = DEFAULT_SUFFIXES;
    for (path, suffixes, exists, found) in [
        ("/index.php", php, &[ALL][..], Some(("/index.php", ""))),
        ("/index.php/", php, &[ALL], Some(("/index.php", "/"))),
        ("/index.php/a/b", php, &[ALL], Some(("/index.php", "/a/b"))),
        ("/blog/index.php/a.php", php, &[ALL], Some(("/blog/index.php", "/a.php"))),
        ("/a.php/b.php/c", php, &["/a.php/b.php"], Some(("/a.php/b.php", "/c"))),
        ("/a.php/b.php/c", php, &["/a.php", "/a.php/b.php"], Some(("/a.php", "/b.php/c"))),
        ("/a.php/b.php/c", php, &[], None),
        ("/A.PHP/x", php, &[ALL], Some(("/A.PHP", "/x"))),
        ("/a.phP", php, &[ALL], Some(("/a.phP", ""))),
        ("/a.php5", php, &[ALL], None),
        ("/a.phps/x", php, &[ALL], None),
        ("/a.php.bak", php, &[ALL], None),
        ("/a.php~", php, &[ALL], None),
        ("/a.php ", php, &[ALL], None),
        ("/aphp", php, &[ALL], None),
        ("/php", php, &[ALL], None),
        ("/a.jpg/b.php", php, &[ALL], Some(("/a.jpg/b.php", ""))),
        ("/a.jpg/b.php", php, &["/a.jpg"], None),
        ("/", php, &[ALL], None),
        ("", php, &[ALL], None),
        ("/a", php, &[ALL], None),
        ("/a.phtml/x", &[".php", ".phtml"], &[ALL], Some(("/a.phtml", "/x"))),
        ("/a.phtml/x.php", &[".php", ".phtml"], &["/a.phtml/x.php"], Some(("/a.phtml/x.php", ""))),
        ("/a.php", &[], &[ALL], None),
        ("/a.php", &[""], &[ALL], None),
        // U+212A KELVIN SIGN lower-cases to k, U+017F LONG S upper-cases to S: not here.
        ("/a.\u{212a}", &[".k"], &[ALL], None),
        ("/a.php\u{17f}", &[".phps"], &[ALL], None),
        ("/a.\u{ff50}hp", php, &[ALL], None),
        ("/\u{e9}.php/\u{e9}", php, &[ALL], Some(("/\u{e9}.php", "/\u{e9}"))),
        ("/\u{2126}.php/x", php, &[ALL], Some(("/\u{2126}.php", "/x"))),
    ] {
        assert_eq!(parts(path, suffixes, exists), found, "{path:?}");
    }
}

#[test]
fn control_characters_are_refused_wherever_they_are() {
    for path in ["/a.php\n", "/a.php/b\nc", "\n/a.php", "/a.php/\r", "/x\0.php", "/x.jpg\0/a.php"] {
        let split = split(path, DEFAULT_SUFFIXES, |_| panic!("asked for {path:?}"));
        assert_eq!(split, Err(PathError::ControlCharacter), "{path:?}");
    }
}

#[test]
fn the_shortest_is_asked_for_first_and_not_for_ever() {
    let mut asked = Vec::new();
    let path = "/a.php".repeat(3);
    assert_eq!(
        split(&path, DEFAULT_SUFFIXES, |script| {
            asked.push(script.len());
            false
        }),
        Ok(None)
    );
    assert_eq!(asked, [6, 12, 18]);

    let mut asked = 0;
    let path = "/a.php".repeat(10_000);
    assert_eq!(
        split(&path, DEFAULT_SUFFIXES, |_| {
            asked += 1;
            false
        }),
        Ok(None)
    );
    assert_eq!(asked, MAX_CANDIDATES);
}

proptest! {
    // spec: S99
    #[test]
    fn a_clean_path_stays_below_the_root(raw in "/([a.%2eEfF5cC/\\\\]|\\.\\.|%2e|/){0,12}") {
        if let Ok(clean) = clean_path(&raw) {
            prop_assert!(clean.starts_with('/') && !clean.starts_with("//"));
            prop_assert!(clean.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(!clean.contains("//") && !clean.contains('\\'));
        }
    }

    #[test]
    fn any_text_is_survived(raw: String) {
        let raw = format!("/{raw}");
        if let Ok(clean) = clean_path(&raw) {
            // Cleaning again changes nothing, once what decodes to a percent sign is encoded again.
            let encoded = clean.replace('%', "%25");
            let again = clean_path(&encoded);
            prop_assert_eq!(again.as_deref(), Ok(&*clean));
        }
    }

    // spec: S63, S101
    #[test]
    fn both_parts_make_the_path(path in "(/[a-c]{0,2}(\\.php|\\.PHP|\\.)?){0,6}") {
        if let Ok(Some(found)) = split(&path, DEFAULT_SUFFIXES, |script| script.len() % 2 == 0) {
            let again = [found.script_name, found.path_info].concat();
            prop_assert_eq!(&again, &path);
            let exists = |script: &str| script.len() % 2 == 0;
            prop_assert_eq!(split(&again, DEFAULT_SUFFIXES, exists), Ok(Some(found)));
            prop_assert!(found.script_name.to_ascii_lowercase().ends_with(".php"));
            prop_assert!(found.path_info.is_empty() || found.path_info.starts_with('/'));
        }
    }
}
