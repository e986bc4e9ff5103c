//! Which `Range` field is obeyed.

use http::header::{self, HeaderMap, HeaderValue};

/// The one range of bytes that is asked for, in its plainest form. `None` when there is none to obey: a server ignores
/// ranges in units it does not know, malformed ones, and sets of them (RFC 9110, 14.2; sets cost more than they are
/// worth, and overlapping ones are an attack).
pub(super) fn only(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(header::RANGE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let (unit, range) = field.to_str().ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let plain = match (position(first), position(last)) {
        (Position::At(first), Position::Absent) => format!("bytes={first}-"),
        (Position::At(first), Position::At(last)) if first <= last => {
            format!("bytes={first}-{last}")
        }
        (Position::Absent, Position::At(count)) => format!("bytes=-{count}"),
        _ => return None,
    };
    HeaderValue::try_from(plain).ok()
}

/// Whether a range as [`only`] gives it asks for some of the last bytes.
pub(super) fn is_suffix(range: &HeaderValue) -> bool {
    range.as_bytes().starts_with(b"bytes=-") && range != "bytes=-0"
}

enum Position {
    Absent,
    At(u64),
    Malformed,
}

/// What does not fit is beyond every file.
fn position(digits: &str) -> Position {
    if digits.is_empty() {
        Position::Absent
    } else if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Position::At(digits.parse().unwrap_or(FARTHEST))
    } else {
        Position::Malformed
    }
}

/// Signed counters of positions still hold it.
const FARTHEST: u64 = i64::MAX.unsigned_abs();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed() {
        for (field, obeyed) in [
            ("bytes=0-1", Some("bytes=0-1")),
            ("Bytes=0-1", Some("bytes=0-1")),
            ("bytes= 007-8 ", Some("bytes=7-8")),
            ("bytes=5-", Some("bytes=5-")),
            ("bytes=-5", Some("bytes=-5")),
            ("bytes=-0", Some("bytes=-0")),
            ("bytes=2-1", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes", None),
            ("bytes=+1-2", None),
            ("bytes=1-2-3", None),
            ("bytes=0-1,3-4", None),
            ("pages=0-1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, field.parse().unwrap())]);
            assert_eq!(
                only(&headers).as_ref().map(|value| value.to_str().unwrap()),
                obeyed,
                "{field}"
            );
        }
        let twice = [(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=0-1")];
        let mut headers = HeaderMap::new();
        for (name, value) in twice {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(only(&headers), None);
    }
}
