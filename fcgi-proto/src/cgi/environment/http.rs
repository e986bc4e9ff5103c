//! From the types of the `http` crate.

use alloc::borrow::Cow;

use http::{Version, request};

use super::{Environment, EnvironmentError};

impl<'a> Environment<'a> {
    /// Begins with the head of a request: method, target, version and headers.
    ///
    /// The host of the target counts before `Host`, whether it came with HTTP/2 or in absolute-form. Who asked, how, and
    /// for which script is for the caller to say.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`EnvironmentError::Target`] for the target of CONNECT, which names no path.
    ///
    /// ```
    /// use fcgi_proto::cgi::Environment;
    ///
    /// let request = http::Request::get("http://example.org/a.php?x=1").header("Accept", "text/html").body(())?;
    /// let (parts, ()) = request.into_parts();
    /// let params = Environment::from_http(&parts)?.document_root("/srv").script_name("/a.php").params()?;
    /// assert_eq!(params.get_str("SCRIPT_FILENAME"), Some("/srv/a.php"));
    /// assert_eq!(params.get_str("REQUEST_URI"), Some("/a.php?x=1"));
    /// assert_eq!(params.get_str("HTTP_HOST"), Some("example.org"));
    /// assert_eq!(params.get_str("HTTP_ACCEPT"), Some("text/html"));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn from_http(parts: &'a request::Parts) -> Result<Self, EnvironmentError> {
        let path = parts.uri.path_and_query().ok_or(EnvironmentError::Target)?.as_str();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        // A URL may have no path: `http://host?query`.
        let has_path = !path.starts_with('?');
        let mut environment = Self::new(parts.method.as_str(), if has_path { path } else { "/" })?;
        if !has_path {
            environment.target.uri = Cow::Owned([b"/", path.as_bytes()].concat());
        }
        let environment = environment.headers(headers).protocol(version_name(parts.version));
        Ok(match parts.uri.authority() {
            None => environment,
            Some(authority) => {
                let host = authority.as_str().rsplit('@').next().unwrap_or_default();
                environment.authority(host)
            }
        })
    }
}

const fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
