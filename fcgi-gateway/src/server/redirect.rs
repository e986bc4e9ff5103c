//! The way from HTTP to HTTPS.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Response, StatusCode};

use crate::Body;
use crate::pages::Page;

/// Where requests that came without TLS are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Redirect {
    /// To another port, which speaks it: all requests to this one are to go there.
    ToPort(u16),
    /// To the port that they came to, which speaks it: somebody wrote `http:` in front of its address. What was to be sent
    /// there is refused, or it would go over the network in the clear for ever, and nobody notice.
    ToTls,
}

impl Redirect {
    /// The answer, unless the request is to be handled as it is.
    pub(super) fn answer(self, parts: &Parts) -> Option<Response<Body>> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let is_fetched = matches!(parts.method, Method::GET | Method::HEAD);
        if matches!(self, Self::ToPort(_)) && is_challenge(target) {
            return None;
        }
        if let Err(page) = crate::check::request(parts) {
            return Some(page.response(&parts.headers));
        }
        if matches!(self, Self::ToTls) && !is_fetched {
            return Some(Page::NEEDS_TLS.response(&parts.headers));
        }
        let location = authority(parts)
            .filter(|_| target.starts_with('/'))
            .and_then(|authority| self.location(&authority, target));
        let Some(location) = location else {
            return Some(Page::BAD_HOST.response(&parts.headers));
        };
        let mut response = Response::new(Body::full(Bytes::new()));
        *response.status_mut() = self.status(is_fetched);
        response.headers_mut().insert(header::LOCATION, location);
        Some(response)
    }

    fn location(self, authority: &Authority, target: &str) -> Option<HeaderValue> {
        let host = authority.host();
        let location = match self {
            Self::ToPort(443) => format!("https://{host}{target}"),
            Self::ToPort(port) => format!("https://{host}:{port}{target}"),
            Self::ToTls => match authority.port_u16() {
                Some(port) => format!("https://{host}:{port}{target}"),
                None => format!("https://{host}{target}"),
            },
        };
        HeaderValue::try_from(location).ok()
    }

    const fn status(self, is_fetched: bool) -> StatusCode {
        match self {
            // Not to be remembered: the port may speak HTTP tomorrow.
            Self::ToTls => StatusCode::TEMPORARY_REDIRECT,
            Self::ToPort(_) if is_fetched => StatusCode::MOVED_PERMANENTLY,
            // A form that was sent in the clear has been read already; 308 at least does not lose it.
            Self::ToPort(_) => StatusCode::PERMANENT_REDIRECT,
        }
    }
}

fn authority(parts: &Parts) -> Option<Authority> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => parts.headers.get(header::HOST).and_then(|host| host.as_bytes().try_into().ok()),
    }
}

/// Whether a certificate authority asks for a token (RFC 8555, section 8.3); anything else may lead elsewhere.
fn is_challenge(target: &str) -> bool {
    let token = target.strip_prefix("/.well-known/acme-challenge/");
    token
        .is_some_and(|token| token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::is_challenge;

    #[test]
    fn only_tokens_are_answered_in_the_clear() {
        assert!(is_challenge("/.well-known/acme-challenge/LoqXcYV8-q5_zM"));
        for target in [
            "/",
            "/.well-known/acme-challenge/../../index.php",
            "/.well-known/acme-challenge/%2e%2e/x",
        ] {
            assert!(!is_challenge(target), "{target}");
        }
    }
}
