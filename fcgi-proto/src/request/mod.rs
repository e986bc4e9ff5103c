//! A request as a client builds it, the same for all clients.

mod body_len;
mod content;
mod error;
mod headers;
#[cfg(feature = "http")]
mod http;
mod length;
mod params;
mod spool;

pub use body_len::BodyLen;
pub use error::RequestError;
pub(crate) use length::Account;
pub use length::LengthError;
pub(crate) use params::SERVER_SOFTWARE;
pub use spool::{Spool, SpoolConfig, Spooled};

use crate::params::Params;
use crate::timeouts::Timeouts;
use crate::wire::Role;

/// A request for a script: its CGI variables and its body.
///
/// `B` is the body type of the client; each has an alias without the parameter. Method and script suffice, the rest is
/// derived or has a default:
///
/// | variable | default | set by |
/// |---|---|---|
/// | `REQUEST_METHOD` | | [`get`](Self::get), [`post`](Self::post), [`new`](Self::new) |
/// | `SCRIPT_FILENAME` | the script given | [`new`](Self::new), [`script_filename`](Self::script_filename) |
/// | `SCRIPT_NAME` | `/` and the file name of the script | [`script_name`](Self::script_name) |
/// | `DOCUMENT_ROOT` | the folder of the script | [`document_root`](Self::document_root) |
/// | `PATH_INFO` | absent | [`path_info`](Self::path_info) |
/// | `DOCUMENT_URI` | `SCRIPT_NAME` and `PATH_INFO` | [`uri`](Self::uri), [`document_uri`](Self::document_uri) |
/// | `REQUEST_URI` | the same percent-encoded, and the query | [`uri`](Self::uri), [`request_uri`](Self::request_uri) |
/// | `QUERY_STRING` | what follows `?` in the script given, or empty | [`query`](Self::query), [`query_string`](Self::query_string), [`uri`](Self::uri) |
/// | `CONTENT_LENGTH` | the length of the body; absent without a body, unless the method is POST, PUT or PATCH | [`body`](Self::body), [`content_length`](Self::content_length) |
/// | `CONTENT_TYPE` | absent | [`content_type`](Self::content_type), [`form`](Self::form), [`json_text`](Self::json_text), [`multipart`](Self::multipart) |
/// | `HTTP_*` | absent | [`header`](Self::header), [`headers`](Self::headers) |
/// | `REQUEST_SCHEME` | `http` | [`https`](Self::https), [`scheme`](Self::scheme) |
/// | `HTTPS` | absent | [`https`](Self::https) |
/// | `SERVER_NAME` | `localhost` | [`server_name`](Self::server_name) |
/// | `SERVER_ADDR` | `127.0.0.1` | [`server_addr`](Self::server_addr) |
/// | `SERVER_PORT` | `80` | [`server_port`](Self::server_port), [`https`](Self::https) |
/// | `SERVER_PROTOCOL` | `HTTP/1.1` | [`protocol`](Self::protocol) |
/// | `SERVER_SOFTWARE` | `fcgi-rs/` and the version of this crate | [`server_software`](Self::server_software) |
/// | `REMOTE_ADDR` | `127.0.0.1` | [`remote_addr`](Self::remote_addr) |
/// | `REMOTE_PORT` | `0` | [`remote_port`](Self::remote_port) |
/// | `GATEWAY_INTERFACE` | `CGI/1.1` | [`gateway_interface`](Self::gateway_interface) |
/// | `REDIRECT_STATUS` | `200`; php-cgi runs nothing without it | [`redirect_status`](Self::redirect_status) |
///
/// Everything else, and each of these again, is set raw with [`param`](Self::param), read with
/// [`param_value`](Self::param_value) and removed with [`remove_param`](Self::remove_param). [`cgi::Environment`](crate::cgi::Environment) makes the variables of a request
/// that came in over HTTP.
///
/// ```
/// use fcgi_proto::Request;
///
/// let request: Request<String> = Request::post("/srv/app/hello.php?lang=en")
///     .header("Accept-Language", "en")
///     .form([("who", "Swoole"), ("and", "a & b")]);
/// let (parts, body) = request.into_parts()?;
/// assert_eq!(body, "who=Swoole&and=a+%26+b");
/// assert_eq!(parts.params.get_str("CONTENT_LENGTH"), Some("22"));
/// assert_eq!(parts.params.get_str("SCRIPT_NAME"), Some("/hello.php"));
/// assert_eq!(parts.params.get_str("REQUEST_URI"), Some("/hello.php?lang=en"));
/// # Ok::<(), fcgi_proto::RequestError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request<B> {
    role: Role,
    params: Params,
    /// `uri` was called: REQUEST_URI is no longer derived from the script.
    has_uri: bool,
    body: B,
    content_length: Option<u64>,
    timeouts: Option<Timeouts>,
    keep_conn: Option<bool>,
    spool: Option<SpoolConfig>,
    is_idempotent: bool,
    /// The first mistake of the caller, reported by `into_parts`.
    error: Option<RequestError>,
}

/// What a client sends besides the body.
///
/// ```
/// use fcgi_proto::{Request, Role};
///
/// let (parts, body) = Request::<String>::post("/srv/a.php").body("hi".to_owned()).into_parts()?;
/// assert_eq!((parts.role, parts.content_length, &body[..]), (Role::Responder, Some(2), "hi"));
/// # Ok::<(), fcgi_proto::RequestError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The role that the application is to play.
    pub role: Role,
    /// All variables, `CONTENT_LENGTH` included where it is known.
    pub params: Params,
    /// The length of the body in bytes. `None` when it is not known: then `CONTENT_LENGTH` is missing, and PHP sees no
    /// body at all, so clients collect it first, see [`Spool`], and [set](Self::set_content_length) it.
    pub content_length: Option<u64>,
    /// Time limits for this request alone.
    pub timeouts: Option<Timeouts>,
    /// Whether to keep the connection, when this request differs from its client.
    pub keep_conn: Option<bool>,
    /// How a body of unknown length is collected, when this request differs from its client.
    pub spool: Option<SpoolConfig>,
    /// Whether it may run twice, as the caller says; see [`Request::idempotent`].
    pub is_idempotent: bool,
}

impl Parts {
    /// Whether running it twice is as good as once: the caller says so, or its method does (RFC 9110, section 9.2.2).
    ///
    /// ```
    /// use fcgi_proto::Request;
    ///
    /// let may_repeat = |request: Request<()>| Ok::<_, fcgi_proto::RequestError>(request.into_parts()?.0.may_repeat());
    /// assert!(may_repeat(Request::get("/srv/a.php"))?);
    /// assert!(!may_repeat(Request::post("/srv/a.php"))?);
    /// assert!(may_repeat(Request::post("/srv/a.php").idempotent(true))?);
    /// # Ok::<(), fcgi_proto::RequestError>(())
    /// ```
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        const METHODS: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];
        let method = self.params.get("REQUEST_METHOD");
        self.is_idempotent || method.is_some_and(|method| METHODS.contains(&method))
    }

    /// Says how long the body is, now that it is known.
    pub fn set_content_length(&mut self, bytes: u64) {
        self.content_length = Some(bytes);
        set_length(&mut self.params, bytes);
    }
}

fn set_length(params: &mut Params, bytes: u64) {
    params.set("CONTENT_LENGTH", alloc::format!("{bytes}"));
}

impl<B: Default> Request<B> {
    /// A GET request for a script.
    ///
    /// `script` is the path of the file as the application sees it, for PHP-FPM inside its chroot or container. What
    /// follows a `?` is the query.
    #[must_use]
    pub fn get(script: impl AsRef<[u8]>) -> Self {
        Self::new("GET", script)
    }

    /// A POST request for a script, see [`get`](Self::get).
    #[must_use]
    pub fn post(script: impl AsRef<[u8]>) -> Self {
        Self::new("POST", script)
    }

    /// A request with any method, see [`get`](Self::get).
    #[must_use]
    pub fn new(method: impl AsRef<[u8]>, script: impl AsRef<[u8]>) -> Self {
        Self {
            role: Role::Responder,
            params: params::defaults(method.as_ref(), script.as_ref()),
            has_uri: false,
            body: B::default(),
            content_length: None,
            timeouts: None,
            keep_conn: None,
            spool: None,
            is_idempotent: false,
            error: None,
        }
    }

    /// A request with exactly these variables, such as those of a [`cgi::Environment`](crate::cgi::Environment).
    ///
    /// Nothing is derived or added but `CONTENT_LENGTH`.
    #[must_use]
    pub fn from_params(params: Params) -> Self {
        Self {
            role: Role::Responder,
            params,
            has_uri: true,
            body: B::default(),
            content_length: None,
            timeouts: None,
            keep_conn: None,
            spool: None,
            is_idempotent: false,
            error: None,
        }
    }
}

impl<B> Request<B> {
    /// Says how long a streamed body is, where its type cannot know.
    ///
    /// It must be true: a body that ends early leaves PHP-FPM waiting, so clients close the connection then.
    #[must_use]
    pub const fn content_length(mut self, bytes: u64) -> Self {
        self.content_length = Some(bytes);
        self
    }

    /// Asks for another role than responder. PHP knows no other.
    #[must_use]
    pub const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Sets the time limits for this request in place of the client's.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = Some(timeouts);
        self
    }

    /// Keeps the connection for further requests or closes it, in place of what the client is set to.
    #[must_use]
    pub const fn keep_conn(mut self, keep_conn: bool) -> Self {
        self.keep_conn = Some(keep_conn);
        self
    }

    /// Says that running this request twice is as good as once. Default: false, whatever the method.
    ///
    /// A [`Pool`](crate::pool) sends a request once more when its connection broke before any byte of a response came and
    /// its body is not a stream. By default only a kept connection counts, which the application had closed before the
    /// request came, as php-fpm does after `pm.max_requests`. With this a fresh one counts as well: its script may have
    /// begun.
    #[must_use]
    pub const fn idempotent(mut self, is_idempotent: bool) -> Self {
        self.is_idempotent = is_idempotent;
        self
    }

    /// Collects a body of unknown length in this way, in place of what the client is set to.
    #[must_use]
    pub const fn spool(mut self, config: SpoolConfig) -> Self {
        self.spool = Some(config);
        self
    }

    /// All variables so far. `CONTENT_LENGTH` is added by [`into_parts`](Self::into_parts).
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The body.
    #[must_use]
    pub const fn body_ref(&self) -> &B {
        &self.body
    }
}

impl<B: BodyLen> Request<B> {
    /// The variables and the body, for a client to send.
    ///
    /// # Errors
    /// [`RequestError`] when the request cannot be sent as it is, before anything was.
    pub fn into_parts(mut self) -> Result<(Parts, B), RequestError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let content_length = self.checked_length()?;
        let (method, script) = params::method_and_script(&self.params);
        if script.is_some_and(|script| script.contains(&0)) {
            // PHP would read its name up to there.
            return Err(RequestError::ScriptName);
        }
        // Of others, a body of no bytes is not worth a CONTENT_LENGTH (RFC 9110 section 8.6).
        let expects_body = matches!(method, Some(b"POST" | b"PUT" | b"PATCH"));
        match content_length {
            // It decides without the body (section 6.3).
            _ if self.role == Role::Authorizer => _ = self.params.remove("CONTENT_LENGTH"),
            Some(0) if self.content_length.is_none() && !expects_body => {}
            Some(length) => set_length(&mut self.params, length),
            None => {}
        }
        let parts = Parts {
            role: self.role,
            params: self.params,
            content_length,
            timeouts: self.timeouts,
            keep_conn: self.keep_conn,
            spool: self.spool,
            is_idempotent: self.is_idempotent,
        };
        Ok((parts, self.body))
    }

    fn checked_length(&self) -> Result<Option<u64>, RequestError> {
        match (self.content_length, self.body.content_length()) {
            (Some(announced), Some(found)) if announced != found => {
                Err(RequestError::ContentLength { announced, found })
            }
            (announced, found) => Ok(announced.or(found)),
        }
    }
}
