//! A gateway below a prefix of somebody else's paths.

use std::borrow::Cow;

use fcgi_proto::cgi::script::percent_decode;
use http::Uri;
use http::request::Parts;

/// The URI as the client sent it, for a gateway behind a router that takes a prefix off, as axum's `nest_service` does.
///
/// Put it into a request's extensions before the router has it. The folder of the site then stands for that prefix: `/php/a`
/// of the client is `/a` of the site. Scripts are told the client's path all the same, in `REQUEST_URI`, `SCRIPT_NAME` and
/// `DOCUMENT_URI`, so that the links they make lead back to them, and redirects go there. Without it, and where it is not the
/// request's path with something before it, a script is told what the router has left.
///
/// ```
/// use axum::{Router, extract::Request};
/// use axum::middleware::{Next, from_fn};
/// use fcgi_gateway::{Gateway, OriginalUri};
///
/// # fn f() -> Result<(), fcgi_gateway::BuildError> {
/// let php = Gateway::builder(".").fpm("unix:/run/php/php-fpm.sock").build()?;
/// let app: Router = Router::new().nest_service("/php", php).layer(from_fn(|mut request: Request, next: Next| {
///     let uri = OriginalUri(request.uri().clone());
///     request.extensions_mut().insert(uri);
///     next.run(request)
/// }));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalUri(pub Uri);

/// What was taken off the path of a request; mostly nothing.
pub(crate) fn prefix(parts: &Parts) -> &str {
    let Some(OriginalUri(original)) = parts.extensions.get() else { return "" };
    let path = original.path();
    match parts.uri.path() {
        // The prefix itself, with or without a slash behind it.
        "/" => path.strip_suffix('/').unwrap_or(path),
        left => path.strip_suffix(left).unwrap_or_default(),
    }
}

/// The target of a request as the client sent it, where something was taken off.
pub(crate) fn original_target<'a>(parts: &'a Parts, prefix: &str) -> Option<&'a str> {
    let OriginalUri(original) = parts.extensions.get().filter(|_| !prefix.is_empty())?;
    Some(original.path_and_query()?.as_str())
}

/// The URI as the client sent it, to be told to whoever watches.
pub(crate) fn client_uri(parts: &Parts) -> &Uri {
    match parts.extensions.get() {
        Some(OriginalUri(original)) if !prefix(parts).is_empty() => original,
        _ => &parts.uri,
    }
}

/// The name of a script with what was taken off before it.
pub(crate) fn script_name<'a>(prefix: &str, name: &'a str) -> Cow<'a, str> {
    // What cannot be read is no name of a script; the path behind it is.
    let prefix = percent_decode(prefix.as_bytes()).unwrap_or_default();
    match core::str::from_utf8(&prefix) {
        Ok(prefix) if !prefix.is_empty() => Cow::Owned([prefix, name].concat()),
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix_of(original: &str, left: &str) -> String {
        let uri = OriginalUri(original.parse().unwrap());
        let request = http::Request::builder().uri(left).extension(uri).body(()).unwrap();
        prefix(&request.into_parts().0).to_owned()
    }

    #[test]
    fn what_was_taken_off() {
        for (original, left, expected) in [
            ("/php/a.php/b?c", "/a.php/b?c", "/php"),
            ("/php/", "/", "/php"),
            ("/php", "/", "/php"),
            ("/", "/", ""),
            ("/a.php", "/a.php", ""),
            ("/php/a.php", "/b.php", ""),
            ("http://example.org/x/y/a", "/a", "/x/y"),
        ] {
            assert_eq!(prefix_of(original, left), expected, "{original} {left}");
        }
        let (parts, ()) = http::Request::builder().uri("/a").body(()).unwrap().into_parts();
        assert_eq!(prefix(&parts), "");
    }

    #[test]
    fn names_of_scripts() {
        assert_eq!(script_name("", "/a.php"), "/a.php");
        assert_eq!(script_name("/my%20site", "/a.php"), "/my site/a.php");
        assert_eq!(script_name("/%ff", "/a.php"), "/a.php");
    }
}
