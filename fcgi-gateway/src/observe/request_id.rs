//! Names for requests, which lead from a visitor's complaint to the lines of every log.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Names one request in logs, in the `X-Request-Id` field of the answer, and for the application (`HTTP_X_REQUEST_ID`).
///
/// Made by the gateway, it is 32 hexadecimal digits that no other request has; taken from a trusted proxy, it is what that
/// sent: up to 128 letters, digits and marks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The field that carries it.
    pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    fn random() -> Self {
        let digit =
            |number: u8| char::from_digit(number.into(), 16).map_or(b'0', |digit| digit as u8);
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(random_u128().to_be_bytes()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
        // Hexadecimal digits are a value.
        Self(HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown")))
    }

    fn from_header(value: &HeaderValue) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte);
        let is_valid = matches!(value.len(), 1..=128) && value.as_bytes().iter().all(is_plain);
        is_valid.then(|| Self(value.clone()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How requests get their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identify {
    /// They have none: nothing is added to the request or the answer.
    Off,
    /// As the documentation of [`RequestId`] says.
    On,
}

impl Identify {
    /// The name of a request, which its head carries from now on. What a client says that is not trusted is replaced.
    pub(crate) fn identify(self, headers: &mut HeaderMap, is_trusted: bool) -> RequestId {
        let given = headers.get(&RequestId::HEADER).filter(|_| is_trusted);
        let id = given.and_then(RequestId::from_header).unwrap_or_else(RequestId::random);
        if self == Self::On {
            headers.insert(RequestId::HEADER, id.to_header());
        }
        id
    }
}

/// The trace that a request belongs to, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceContext {
    /// Passed on as it came, unless it is malformed.
    PassOn,
    /// The same, and one is begun where there is none.
    Begin,
}

impl TraceContext {
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let is_valid = match (given.next(), given.next()) {
            (Some(value), None) => is_traceparent(value.as_bytes()),
            _ => false,
        };
        if is_valid {
            return;
        }
        // Half of it would be worse than none: section 3.2.
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        if self == Self::Begin {
            let trace = random_u128().max(1);
            let parent = (random_u128() >> 64).max(1);
            if let Ok(value) = HeaderValue::try_from(format!("00-{trace:032x}-{parent:016x}-01")) {
                headers.insert(TRACEPARENT, value);
            }
        }
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `version-trace-parent-flags`, all lower-case hexadecimal, where neither id is zero. Later versions may add to it.
fn is_traceparent(value: &[u8]) -> bool {
    let Some((head, rest)) = value.split_at_checked(55) else { return false };
    let fields = Vec::from_iter(head.split(|byte| *byte == b'-'));
    let is_hex = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |field: &[u8]| field.iter().all(|byte| *byte == b'0');
    let [version, trace, parent, flags] = fields[..] else { return false };
    let lengths = [version.len(), trace.len(), parent.len(), flags.len()];
    let may_follow = rest.is_empty() || version != b"00" && rest.first() == Some(&b'-');
    lengths == [2, 32, 16, 2]
        && fields.iter().all(|field| is_hex(field))
        && version != b"ff"
        && !is_zero(trace)
        && !is_zero(parent)
        && may_follow
}

/// Numbers that do not repeat in one process or between two, by SipHash with keys of its own. They are no secrets.
fn random_u128() -> u128 {
    static KEYS: LazyLock<(RandomState, RandomState)> =
        LazyLock::new(|| (RandomState::new(), RandomState::new()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    u128::from(KEYS.0.hash_one(count)) << 64 | u128::from(KEYS.1.hash_one(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_trusted_proxy_names_requests() {
        for (value, is_trusted, is_taken) in [
            ("abc-1", true, true),
            ("abc-1", false, false),
            ("a b", true, false),
            ("a\tb", true, false),
            ("\"", true, false),
            ("", true, false),
        ] {
            let mut headers = headers("x-request-id", value);
            let id = Identify::On.identify(&mut headers, is_trusted);
            assert_eq!(id.as_str() == value, is_taken, "{value:?}");
            assert_eq!(headers["x-request-id"], id.as_str());
        }
        let mut long = HeaderMap::new();
        long.insert("x-request-id", HeaderValue::try_from("x".repeat(129)).unwrap());
        assert_eq!(Identify::On.identify(&mut long, true).as_str().len(), 32);
    }

    #[test]
    fn names_do_not_repeat() {
        let names = (0..10_000).map(|_| RequestId::random().to_string());
        assert_eq!(names.collect::<HashSet<_>>().len(), 10_000);
    }

    #[test]
    fn traces_are_passed_on_or_begun() {
        const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (value, is_valid) in [
            (GOOD, true),
            ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false),
            ("nonsense", false),
        ] {
            for begin in [TraceContext::PassOn, TraceContext::Begin] {
                let mut headers = headers("traceparent", value);
                headers.insert(TRACESTATE, HeaderValue::from_static("a=1"));
                begin.apply(&mut headers);
                let found = headers.get(TRACEPARENT).map(HeaderValue::as_bytes);
                assert_eq!(found == Some(value.as_bytes()), is_valid, "{value}");
                assert_eq!(headers.contains_key(TRACESTATE), is_valid);
                if begin == TraceContext::Begin {
                    assert!(found.is_some_and(is_traceparent));
                } else {
                    assert_eq!(found.is_some(), is_valid);
                }
            }
        }
    }
}
