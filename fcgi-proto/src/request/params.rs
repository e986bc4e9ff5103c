//! The variables of a [`Request`]: defaults, setters, and what is derived from what.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::Request;
use crate::cgi::{form_encode, percent_decode, percent_encode};
use crate::params::Params;

/// What `SERVER_SOFTWARE` says unless told otherwise.
pub(crate) const SERVER_SOFTWARE: &str = concat!("fcgi-rs/", env!("CARGO_PKG_VERSION"));

pub(super) fn defaults(method: &[u8], script: &[u8]) -> Params {
    let given = script;
    let (script, query) = split_query(script);
    let at = script.iter().rposition(|&byte| byte == b'/');
    // With its slash.
    let (root, name, uri) = match at.and_then(|at| Some((at, script.get(at..)?, given.get(at..)?)))
    {
        Some((at, name, uri)) => (script.get(..at.max(1)), Cow::Borrowed(name), Some(uri)),
        None => (Some(&b"."[..]), Cow::Owned([b"/", script].concat()), None),
    };
    // Mostly it stands in what was given.
    let uri = match uri {
        Some(uri) if name.iter().all(|&byte| !is_escaped(byte)) && !uri.ends_with(b"?") => {
            uri.into()
        }
        _ => Cow::Owned(request_uri(&name, query)),
    };
    // What is below comes to some 400 bytes and five times the script.
    let mut params = Params::with_capacity(640 + 5 * given.len());
    for (name, value) in [
        ("GATEWAY_INTERFACE", &b"CGI/1.1"[..]),
        ("REDIRECT_STATUS", b"200"),
        ("REQUEST_METHOD", method),
        ("SCRIPT_FILENAME", script),
        ("SCRIPT_NAME", &name),
        ("DOCUMENT_ROOT", root.unwrap_or_default()),
        ("DOCUMENT_URI", &name),
        ("REQUEST_URI", &uri),
        ("QUERY_STRING", query),
        ("REQUEST_SCHEME", b"http"),
        ("SERVER_PROTOCOL", b"HTTP/1.1"),
        ("SERVER_SOFTWARE", SERVER_SOFTWARE.as_bytes()),
        ("SERVER_NAME", b"localhost"),
        ("SERVER_ADDR", b"127.0.0.1"),
        ("SERVER_PORT", b"80"),
        ("REMOTE_ADDR", b"127.0.0.1"),
        ("REMOTE_PORT", b"0"),
    ] {
        params.push(name, value);
    }
    params
}

/// The last values of REQUEST_METHOD and SCRIPT_FILENAME, in one walk.
pub(super) fn method_and_script(params: &Params) -> (Option<&[u8]>, Option<&[u8]>) {
    let (mut method, mut script) = (None, None);
    for (name, value) in params {
        match name {
            b"REQUEST_METHOD" => method = Some(value),
            b"SCRIPT_FILENAME" => script = Some(value),
            _ => {}
        }
    }
    (method, script)
}

impl<B> Request<B> {
    /// Sets `REQUEST_METHOD`.
    #[must_use]
    pub fn method(self, method: impl AsRef<[u8]>) -> Self {
        self.param("REQUEST_METHOD", method)
    }

    /// Sets the URI that the client asked for, `/path?query`, where it differs from the script's: `REQUEST_URI` as it
    /// is, `QUERY_STRING` and, percent-decoded, `DOCUMENT_URI`. The script stays.
    ///
    /// For a front controller: `Request::get("/srv/index.php").uri("/var?foo=bar")`.
    #[must_use]
    pub fn uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        let uri = uri.as_ref();
        let uri = uri.split(|&byte| byte == b'#').next().unwrap_or_default();
        let (path, query) = split_query(uri);
        self.has_uri = true;
        self.params.set("REQUEST_URI", uri);
        self.params.set("QUERY_STRING", query);
        match percent_decode(path) {
            Ok(decoded) => self.params.set("DOCUMENT_URI", decoded),
            Err(_) => self.params.set("DOCUMENT_URI", path),
        }
        self
    }

    /// Appends pairs to the query, form-encoded.
    #[must_use]
    pub fn query<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut query = self.params.get("QUERY_STRING").unwrap_or_default().to_vec();
        form_encode(&mut query, pairs);
        self.query_string(query)
    }

    /// Sets the query as it is, without `?`: `QUERY_STRING`, and the end of `REQUEST_URI`.
    #[must_use]
    pub fn query_string(mut self, query: impl AsRef<[u8]>) -> Self {
        self.params.set("QUERY_STRING", query);
        self.derive_uri();
        self
    }

    /// Sets `REQUEST_URI` alone, as it is; [`uri`](Self::uri) sets all that belongs to it.
    #[must_use]
    pub fn request_uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.has_uri = true;
        self.param("REQUEST_URI", uri)
    }

    /// Sets `DOCUMENT_URI` alone, as it is.
    #[must_use]
    pub fn document_uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.has_uri = true;
        self.param("DOCUMENT_URI", uri)
    }

    /// Sets `SCRIPT_FILENAME` alone: the file that PHP runs.
    #[must_use]
    pub fn script_filename(self, path: impl AsRef<[u8]>) -> Self {
        self.param("SCRIPT_FILENAME", path)
    }

    /// Sets `SCRIPT_NAME`, the path of the script in URLs, and what is derived from it.
    #[must_use]
    pub fn script_name(mut self, name: impl AsRef<[u8]>) -> Self {
        self.params.set("SCRIPT_NAME", name);
        self.derive_uri();
        self
    }

    /// Sets `DOCUMENT_ROOT`, the folder of the site as the application sees it.
    #[must_use]
    pub fn document_root(mut self, root: impl AsRef<[u8]>) -> Self {
        self.params.set("DOCUMENT_ROOT", root);
        self
    }

    /// Sets `PATH_INFO`, what follows the script in the URL, and what is derived from it.
    #[must_use]
    pub fn path_info(mut self, path_info: impl AsRef<[u8]>) -> Self {
        self.params.set("PATH_INFO", path_info);
        self.derive_uri();
        self
    }

    /// Sets `CONTENT_TYPE`.
    #[must_use]
    pub fn content_type(self, content_type: impl AsRef<[u8]>) -> Self {
        self.param("CONTENT_TYPE", content_type)
    }

    /// Sets `HTTPS=on` and `REQUEST_SCHEME`, or takes them back; `SERVER_PORT` follows where it was the other default.
    #[must_use]
    pub fn https(mut self, is_https: bool) -> Self {
        let (scheme, from, to) =
            if is_https { ("https", "80", "443") } else { ("http", "443", "80") };
        self.params.set("REQUEST_SCHEME", scheme);
        if self.params.get_str("SERVER_PORT") == Some(from) {
            self.params.set("SERVER_PORT", to);
        }
        match is_https {
            // Absent otherwise: scripts ask whether it is empty, and "off" is not.
            false => _ = self.params.remove("HTTPS"),
            true => self.params.set("HTTPS", "on"),
        }
        self
    }

    /// Sets `REQUEST_SCHEME` alone; [`https`](Self::https) sets all that belongs to it.
    #[must_use]
    pub fn scheme(self, scheme: impl AsRef<[u8]>) -> Self {
        self.param("REQUEST_SCHEME", scheme)
    }

    /// Sets `SERVER_PROTOCOL`.
    #[must_use]
    pub fn protocol(self, protocol: impl AsRef<[u8]>) -> Self {
        self.param("SERVER_PROTOCOL", protocol)
    }

    /// Sets `SERVER_NAME`.
    #[must_use]
    pub fn server_name(self, name: impl AsRef<[u8]>) -> Self {
        self.param("SERVER_NAME", name)
    }

    /// Sets `SERVER_ADDR`.
    #[must_use]
    pub fn server_addr(self, address: impl AsRef<[u8]>) -> Self {
        self.param("SERVER_ADDR", address)
    }

    /// Sets `SERVER_PORT`.
    #[must_use]
    pub fn server_port(self, port: u16) -> Self {
        self.param("SERVER_PORT", alloc::format!("{port}"))
    }

    /// Sets `SERVER_SOFTWARE`.
    #[must_use]
    pub fn server_software(self, software: impl AsRef<[u8]>) -> Self {
        self.param("SERVER_SOFTWARE", software)
    }

    /// Sets `REMOTE_ADDR`.
    #[must_use]
    pub fn remote_addr(self, address: impl AsRef<[u8]>) -> Self {
        self.param("REMOTE_ADDR", address)
    }

    /// Sets `REMOTE_PORT`.
    #[must_use]
    pub fn remote_port(self, port: u16) -> Self {
        self.param("REMOTE_PORT", alloc::format!("{port}"))
    }

    /// Sets `GATEWAY_INTERFACE`.
    #[must_use]
    pub fn gateway_interface(self, version: impl AsRef<[u8]>) -> Self {
        self.param("GATEWAY_INTERFACE", version)
    }

    /// Sets `REDIRECT_STATUS`, by which php-cgi knows that a web server calls it.
    #[must_use]
    pub fn redirect_status(self, status: u16) -> Self {
        self.param("REDIRECT_STATUS", alloc::format!("{status}"))
    }

    /// Sets any variable as it is, in place of an earlier value.
    ///
    /// `CONTENT_LENGTH` is overwritten where the length of the body is known. `PHP_VALUE` and `PHP_ADMIN_VALUE` stay in
    /// force for later requests of the same PHP-FPM worker.
    #[must_use]
    pub fn param(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.params.set(name, value);
        self
    }

    /// The value of any variable, as it is now. Those that [`into_parts`](Self::into_parts) derives are not there yet.
    #[must_use]
    pub fn param_value(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.params.get(name)
    }

    /// Removes a variable. PHP-FPM ends a request without `REQUEST_METHOD` with no output.
    #[must_use]
    pub fn remove_param(mut self, name: impl AsRef<[u8]>) -> Self {
        self.params.remove(name);
        self
    }

    /// DOCUMENT_URI and REQUEST_URI from the script, or, once `uri` was called, only the query of the latter.
    fn derive_uri(&mut self) {
        let get = |name| self.params.get(name).unwrap_or_default();
        let query = get("QUERY_STRING");
        if self.has_uri {
            let (path, _) = split_query(get("REQUEST_URI"));
            let uri = with_query(path.to_vec(), query);
            return self.params.set("REQUEST_URI", uri);
        }
        let path = [get("SCRIPT_NAME"), get("PATH_INFO")].concat();
        let uri = request_uri(&path, query);
        self.params.set("DOCUMENT_URI", path);
        self.params.set("REQUEST_URI", uri);
    }
}

fn split_query(text: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = text.splitn(2, |&byte| byte == b'?');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

fn with_query(mut path: Vec<u8>, query: &[u8]) -> Vec<u8> {
    if !query.is_empty() {
        path.push(b'?');
        path.extend_from_slice(query);
    }
    path
}

/// Whether a client escapes it in a path.
const fn is_escaped(byte: u8) -> bool {
    match byte {
        b'?' | b'#' | b'%' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => true,
        _ => !matches!(byte, 0x21..=0x7e),
    }
}

/// A path of any bytes as a client would send it, and the query as it is.
fn request_uri(path: &[u8], query: &[u8]) -> Vec<u8> {
    let mut uri = Vec::with_capacity(path.len() + 1 + query.len());
    for &byte in path {
        if is_escaped(byte) {
            percent_encode(&mut uri, byte);
        } else {
            uri.push(byte);
        }
    }
    with_query(uri, query)
}
