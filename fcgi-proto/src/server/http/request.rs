use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::Params;
use crate::cgi::{is_about_connection, parse_decimal, percent_encode};

/// The client's address, as the web server says (REMOTE_ADDR and REMOTE_PORT); the port is 0 when that is not told.
///
/// ```
/// use fcgi_proto::Params;
/// use fcgi_proto::server::http::{RemoteAddr, remote_addr};
///
/// let params = Params::from_iter([("REMOTE_ADDR", "203.0.113.9"), ("REMOTE_PORT", "5000")]);
/// let RemoteAddr(client) = remote_addr(&params).expect("it was told");
/// assert_eq!(client.to_string(), "203.0.113.9:5000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// The head of the HTTP request that a web server has turned into these parameters.
///
/// - The target is REQUEST_URI, as the client sent it; without it, it is put together from SCRIPT_NAME, PATH_INFO and
///   QUERY_STRING. A prefix that the web server has matched (`location /app/` of nginx) is a part of it and stays. Bytes
///   that an [`Uri`] cannot hold are percent-encoded.
/// - The version is SERVER_PROTOCOL, HTTP/1.1 when that is unknown.
/// - Headers are the parameters `HTTP_*`, repeats kept, with CONTENT_TYPE and CONTENT_LENGTH where they are not empty (nginx
///   sends them always). Left out are fields about the connection to the client (RFC 9110 section 7.6.1), `Proxy` (see
///   httpoxy), a CONTENT_LENGTH that is no number (Caddy sends -1), and what HTTP does not allow.
///
/// # Errors
/// The parameters are no HTTP request: answer with status 400.
pub fn request_head(params: &Params) -> Result<Parts, RequestHeadError> {
    let method = params.get("REQUEST_METHOD").filter(|method| !method.is_empty());
    let method = method.ok_or(RequestHeadError::NoMethod)?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(method).map_err(|_| RequestHeadError::Method)?;
    parts.uri = target(params, parts.method == Method::CONNECT)?;
    parts.version = version(params.get("SERVER_PROTOCOL").unwrap_or_default());
    parts.headers = headers(params);
    Ok(parts)
}

/// CONTENT_LENGTH, when it is a number. Web servers that pass a body on as it comes leave it empty or out.
#[must_use]
pub fn content_length(params: &Params) -> Option<u64> {
    parse_decimal(params.get("CONTENT_LENGTH")?)
}

/// The client's address; `None` when there is none, as behind a web server that listens on a Unix socket.
#[must_use]
pub fn remote_addr(params: &Params) -> Option<RemoteAddr> {
    let ip: IpAddr = params.get_str("REMOTE_ADDR")?.parse().ok()?;
    let port = params.get_str("REMOTE_PORT").and_then(|port| port.parse().ok()).unwrap_or(0);
    Some(RemoteAddr(SocketAddr::new(ip, port)))
}

fn target(params: &Params, is_connect: bool) -> Result<Uri, RequestHeadError> {
    let get = |name| params.get(name).unwrap_or_default();
    let text = match get("REQUEST_URI") {
        [] => assemble(get("SCRIPT_NAME"), get("PATH_INFO"), get("QUERY_STRING")),
        text => text.to_vec(),
    };
    let uri = Uri::try_from(&text[..]).or_else(|_| Uri::try_from(escape(&text)));
    let uri = uri.map_err(|_| RequestHeadError::Target)?;
    // A bare word would pass for the name of a host.
    let is_bare = uri.path().is_empty() && uri.scheme().is_none();
    if is_bare && !is_connect { Err(RequestHeadError::Target) } else { Ok(uri) }
}

/// A target from decoded paths.
fn assemble(script_name: &[u8], path_info: &[u8], query: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in script_name.iter().chain(path_info) {
        match byte {
            b'?' | b'#' | b'%' | ..=b' ' | 0x7f.. => percent_encode(&mut text, byte),
            _ => text.push(byte),
        }
    }
    if text.is_empty() {
        text.push(b'/');
    }
    if !query.is_empty() {
        text.push(b'?');
        text.extend_from_slice(query);
    }
    text
}

/// Percent-encodes what may not stand in a target.
fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len() + 16);
    for &byte in text {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | ..=b' ' | 0x7f.. => {
                percent_encode(&mut escaped, byte);
            }
            _ => escaped.push(byte),
        }
    }
    escaped
}

const fn version(protocol: &[u8]) -> Version {
    match protocol {
        b"HTTP/0.9" => Version::HTTP_09,
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2.0" | b"HTTP/2" => Version::HTTP_2,
        b"HTTP/3.0" | b"HTTP/3" => Version::HTTP_3,
        _ => Version::HTTP_11,
    }
}

fn headers(params: &Params) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(params.len());
    let connection = params.get("HTTP_CONNECTION").unwrap_or_default();
    for (variable, value) in params {
        let Some(name) = header_name(variable) else { continue };
        let is_of_body = name == CONTENT_LENGTH || name == CONTENT_TYPE;
        if is_of_body || name == "proxy" || is_about_connection(name.as_str(), connection) {
            continue;
        }
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    if let Some(length) = content_length(params) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    // Behind a web server that is not configured to send the variable, the header may be there.
    let content_type = ["CONTENT_TYPE", "HTTP_CONTENT_TYPE"]
        .into_iter()
        .filter_map(|name| params.get(name))
        .find(|value| !value.is_empty());
    if let Some(value) = content_type.and_then(|value| HeaderValue::from_bytes(value).ok()) {
        headers.insert(CONTENT_TYPE, value);
    }
    headers
}

/// `HTTP_X_FOO` is `x-foo`.
fn header_name(variable: &[u8]) -> Option<HeaderName> {
    let name = variable.strip_prefix(b"HTTP_")?;
    let name: Vec<u8> = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
    HeaderName::from_bytes(&name).ok()
}

/// Why parameters are no HTTP request.
///
/// ```
/// use fcgi_proto::Params;
/// use fcgi_proto::server::http::{RequestHeadError, request_head};
///
/// let error = request_head(&Params::from_iter([("REQUEST_URI", "/")])).unwrap_err();
/// assert_eq!(error, RequestHeadError::NoMethod); // answer with status 400
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestHeadError {
    /// There is no REQUEST_METHOD.
    NoMethod,
    /// REQUEST_METHOD is no token.
    Method,
    /// REQUEST_URI, or what stands in for it, is no target of a request.
    Target,
}

impl fmt::Display for RequestHeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMethod => "request without REQUEST_METHOD",
            Self::Method => "REQUEST_METHOD is no HTTP method",
            Self::Target => "REQUEST_URI is no target of an HTTP request",
        })
    }
}

impl core::error::Error for RequestHeadError {}
