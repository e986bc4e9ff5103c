//! Who may see the page.

use std::net::IpAddr;

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::uri::Authority;

/// Whether a request comes from the page itself, or from somebody who opens it.
///
/// The page is for those who can reach the port, which is this machine unless told otherwise. What remains are pages of
/// others in a browser on it: those that reach us by a name of theirs (DNS rebinding), and those that ask across origins.
pub(super) fn check(parts: &Parts) -> Result<(), &'static str> {
    let headers = &parts.headers;
    let host = only(headers, header::HOST.as_str()).ok_or("there is no Host field")?;
    if parts.uri.authority().is_some() || !is_own(host) {
        return Err("the page is to be opened by the address of this machine, or as localhost");
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let is_same =
            origin.to_str().is_ok_and(|origin| origin.strip_prefix("http://") == Some(host));
        if !is_same {
            return Err("pages of other origins may not read this one");
        }
    }
    match only(headers, "sec-fetch-site") {
        None if headers.contains_key("sec-fetch-site") => {
            Err("the field Sec-Fetch-Site is malformed")
        }
        None | Some("same-origin" | "none") => Ok(()),
        // A link to the page, which shows nothing of it to where the link was.
        Some(_) if is_opening(parts) => Ok(()),
        Some(_) => Err("pages of other origins may not read this one"),
    }
}

fn is_opening(parts: &Parts) -> bool {
    parts.uri.path() == "/"
        && only(&parts.headers, "sec-fetch-mode") == Some("navigate")
        && only(&parts.headers, "sec-fetch-dest") == Some("document")
}

/// Whether it is an address or the name of this machine, which nobody else can make theirs.
fn is_own(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn is_let_in(target: &str, headers: &[(&str, &str)]) -> bool {
        let request = headers
            .iter()
            .fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn hosts() {
        for (host, is_good) in [
            ("127.0.0.1:8079", true),
            ("localhost:8079", true),
            ("LOCALHOST", true),
            ("[::1]:8079", true),
            ("192.168.0.7:1", true),
            ("evil.example:8079", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_let_in("/events", &[("host", host)]), is_good, "{host}");
        }
        assert!(!is_let_in("/", &[]));
        assert!(!is_let_in("/", &[("host", "127.0.0.1"), ("host", "127.0.0.1")]));
        assert!(!is_let_in("http://evil.example/", &[("host", "127.0.0.1")]));
    }

    #[test]
    fn other_origins() {
        let host = ("host", "127.0.0.1:8079");
        for (origin, is_good) in [
            ("http://127.0.0.1:8079", true),
            ("http://127.0.0.1:8080", false),
            ("http://evil.example", false),
            ("https://127.0.0.1:8079", false),
            ("null", false),
        ] {
            assert_eq!(is_let_in("/events", &[host, ("origin", origin)]), is_good, "{origin}");
        }
        for (site, is_good) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            assert_eq!(is_let_in("/events", &[host, ("sec-fetch-site", site)]), is_good, "{site}");
        }
        let link = [
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(is_let_in("/", &link) && !is_let_in("/events", &link));
        let frame = [link[0], link[1], link[2], ("sec-fetch-dest", "iframe")];
        assert!(!is_let_in("/", &frame));
    }
}
