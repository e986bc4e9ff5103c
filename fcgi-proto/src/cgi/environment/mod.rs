//! From an HTTP request to the variables of a script (RFC 3875 section 4, and what PHP expects besides).
//!
//! [`Environment`] is told the facts and gives [`Params`]. It opens nothing and asks nobody: which script answers is
//! decided before, for instance with [`script::split`](super::script::split).
//!
//! # Every variable
//! The key in PHP's `$_SERVER` is the name itself, but for PHP_VALUE and PHP_ADMIN_VALUE, which PHP-FPM reads and shows as
//! well. PHP adds keys of its own: `PHP_SELF` (from SCRIPT_NAME and PATH_INFO), `REQUEST_TIME`, `REQUEST_TIME_FLOAT`,
//! `FCGI_ROLE`, and `PHP_AUTH_USER` and `PHP_AUTH_PW` or `PHP_AUTH_DIGEST` from `HTTP_AUTHORIZATION`. "always" means that the variable is there, if need be empty.
//!
//! | variable | from | when | value |
//! |---|---|---|---|
//! | `GATEWAY_INTERFACE` | | always | `CGI/1.1` |
//! | `REQUEST_METHOD` | [`new`](Environment::new) | always | as the client sent it |
//! | `REQUEST_URI` | [`new`](Environment::new) | always | path and query as the client sent them, without the `http://host` of an absolute-form target |
//! | `QUERY_STRING` | the target | always | what follows the first `?`, not decoded |
//! | `DOCUMENT_ROOT` | [`document_root`](Environment::document_root) | set | the folder as the application sees it |
//! | `SCRIPT_NAME` | [`script_name`](Environment::script_name) | always | decoded path of the script in the URL |
//! | `SCRIPT_FILENAME` | [`script_filename`](Environment::script_filename) | a script is known | else `DOCUMENT_ROOT` and `SCRIPT_NAME` |
//! | `PATH_INFO` | [`path_info`](Environment::path_info) | not empty | decoded path behind the script |
//! | `PATH_TRANSLATED` | [`param`](Environment::param) | never by itself | with `cgi.fix_pathinfo=0`, PHP runs the file it names in place of `SCRIPT_FILENAME` |
//! | `DOCUMENT_URI` | | always | `SCRIPT_NAME` and `PATH_INFO`, as in nginx |
//! | `CONTENT_LENGTH` | [`content_length`](Environment::content_length), else the header | known | decimal, in bytes |
//! | `CONTENT_TYPE` | the header | sent | as the client sent it |
//! | `SERVER_PROTOCOL` | [`protocol`](Environment::protocol) | always | `HTTP/1.1` |
//! | `SERVER_SOFTWARE` | [`server_software`](Environment::server_software) | always | `fcgi-rs/` and the version of this crate |
//! | `SERVER_NAME` | [`server_name`](Environment::server_name) | always | else the host the client named, else the server's IP address, else `localhost` |
//! | `SERVER_PORT` | [`forwarding`](Environment::forwarding) or [`server_port`](Environment::server_port) | always | else that of the server's address, else 443 or 80 |
//! | `SERVER_ADDR` | [`server_addr`](Environment::server_addr) | set | IP address; an IPv4-mapped IPv6 one as IPv4 |
//! | `REMOTE_ADDR` | [`forwarding`](Environment::forwarding) or [`remote_addr`](Environment::remote_addr) | always | the same of the client, else `127.0.0.1` |
//! | `REMOTE_PORT` | [`forwarding`](Environment::forwarding) or [`remote_addr`](Environment::remote_addr) | set and not 0 | the client's port |
//! | `REMOTE_HOST` | | never | looking names up costs time and proves nothing; the RFC allows to leave it out |
//! | `REMOTE_IDENT` | | never | nobody runs RFC 1413 |
//! | `AUTH_TYPE`, `REMOTE_USER` | [`user`](Environment::user) | set | who the server has authenticated |
//! | `REQUEST_SCHEME` | [`forwarding`](Environment::forwarding) or [`https`](Environment::https) | always | `http` or `https` |
//! | `HTTPS` | [`forwarding`](Environment::forwarding) or [`https`](Environment::https) | only over HTTPS | `on` |
//! | `REDIRECT_STATUS` | | always | `200`: php-cgi refuses to run without it |
//! | `FCGI_DATA_LAST_MOD`, `FCGI_DATA_LENGTH` | [`data_file`](Environment::data_file) | set | of the file that a Filter is given |
//! | `HTTP_HOST` | [`forwarding`](Environment::forwarding), else the target, else [`authority`](Environment::authority), else `Host` | named | with the port as the client sent it |
//! | `HTTP_*` | the other headers | see below | as the client sent them |
//! | `PHP_VALUE`, `PHP_ADMIN_VALUE` | [`php_settings`](Environment::php_settings) | set | settings of php.ini for PHP-FPM |
//! | any other | [`param`](Environment::param) | set | as the site says |
//!
//! # Headers
//! `X-Foo` becomes `HTTP_X_FOO`. Repeats are joined with `, ` (`Cookie` with `; `) in order; of headers that have one
//! value only (`Authorization`, `User-Agent` and the like) the first counts. `Authorization` is passed on, since PHP
//! applications do their own authentication, though the RFC would rather not.
//!
//! Left out:
//! - `Proxy`: many programs take `HTTP_PROXY` for the proxy they are to use ([httpoxy]);
//! - names with `_`, which would pass for the same name with `-`, and names that are no token;
//! - `Content-Type` and `Content-Length`, which are variables of their own;
//! - what is about the connection and not the request (RFC 9110 section 7.6.1): `Connection`, `Keep-Alive`,
//!   `Proxy-Connection`, `Proxy-Authenticate`, `Proxy-Authorization`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade`;
//! - headers that `Connection` names; but not `Host`, `Content-*`, `Cookie`, `Authorization`, `Forwarded`,
//!   `X-Forwarded-*` and `X-Real-IP`, so that no client can make those vanish that a proxy in front has added;
//! - values with NUL or a line break;
//! - with [`forwarding`](Environment::forwarding), what strangers say about forwarding.
//!
//! [httpoxy]: https://httpoxy.org

mod error;
mod headers;
#[cfg(feature = "http")]
mod http;
mod roles;
mod target;
mod variables;

use alloc::vec::Vec;
use core::net::SocketAddr;

pub use error::EnvironmentError;
#[cfg(feature = "http")]
pub(crate) use headers::is_about_connection;

use self::target::Target;
pub use self::target::host_name;
use super::names::is_token;
use super::php_settings::PhpSettings;
use super::proxies::Forwarding;
use crate::params::Params;

/// Builds the variables of a script from the facts of an HTTP request.
///
/// Everything is borrowed until [`params`](Self::params) writes it into one buffer. See the [module](self) for every
/// variable and header.
///
/// ```
/// use fcgi_proto::cgi::Environment;
///
/// let params = Environment::new("GET", "/blog/index.php/2026?page=2")?
///     .headers([("Host", "example.org:8080"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Proxy", "http://evil")])
///     .document_root("/srv/www")
///     .script_name("/blog/index.php")
///     .path_info("/2026")
///     .https(true)
///     .params()?;
/// assert_eq!(params.get_str("SCRIPT_FILENAME"), Some("/srv/www/blog/index.php"));
/// assert_eq!(params.get_str("REQUEST_URI"), Some("/blog/index.php/2026?page=2"));
/// assert_eq!(params.get_str("HTTP_HOST"), Some("example.org:8080"));
/// assert_eq!(params.get_str("SERVER_NAME"), Some("example.org"));
/// assert_eq!(params.get_str("HTTP_COOKIE"), Some("a=1; b=2"));
/// assert_eq!(params.get_str("HTTPS"), Some("on"));
/// assert_eq!(params.get("HTTP_PROXY"), None);
/// # Ok::<(), fcgi_proto::cgi::EnvironmentError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Environment<'a> {
    method: &'a [u8],
    target: Target<'a>,
    headers: Vec<(&'a [u8], &'a [u8])>,
    authority: Option<&'a [u8]>,
    forwarding: Option<&'a Forwarding<'a>>,
    protocol: &'a [u8],
    is_https: bool,
    remote_addr: Option<SocketAddr>,
    server_addr: Option<SocketAddr>,
    server_name: Option<&'a [u8]>,
    server_port: Option<u16>,
    server_software: &'a [u8],
    user: Option<(&'a [u8], &'a [u8])>,
    document_root: Option<&'a [u8]>,
    script_name: &'a [u8],
    script_filename: Option<&'a [u8]>,
    path_info: &'a [u8],
    content_length: Option<Option<u64>>,
    /// When the file of a Filter was changed, and its length.
    data_file: Option<(u64, u64)>,
    /// What the site says in the end: a value, or that there is to be none.
    changes: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> Environment<'a> {
    /// Begins with the request line.
    ///
    /// `target` is in origin-form (`/path?query`), absolute-form (`http://host/path?query`) or asterisk-form (`*`),
    /// not decoded.
    ///
    /// # Errors
    /// [`EnvironmentError::Method`], and [`EnvironmentError::Target`] for anything else or a target with blanks,
    /// control characters or a fragment.
    pub fn new(
        method: &'a (impl AsRef<[u8]> + ?Sized),
        target: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Result<Self, EnvironmentError> {
        let method = method.as_ref();
        if !is_token(method) {
            return Err(EnvironmentError::Method);
        }
        Ok(Self {
            method,
            target: Target::parse(target.as_ref())?,
            headers: Vec::new(),
            authority: None,
            forwarding: None,
            protocol: b"HTTP/1.1",
            is_https: false,
            remote_addr: None,
            server_addr: None,
            server_name: None,
            server_port: None,
            server_software: crate::request::SERVER_SOFTWARE.as_bytes(),
            user: None,
            document_root: None,
            script_name: b"",
            script_filename: None,
            path_info: b"",
            content_length: None,
            data_file: None,
            changes: Vec::new(),
        })
    }

    /// The target as the client sent it, where what it began with has been rewritten since, as by a router that takes a prefix
    /// off: for REQUEST_URI, DOCUMENT_URI and QUERY_STRING. In the forms of [`new`](Self::new).
    ///
    /// # Errors
    /// [`EnvironmentError::Target`], as `new`.
    pub fn target(
        mut self,
        target: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Result<Self, EnvironmentError> {
        self.target = Target::parse(target.as_ref())?;
        Ok(self)
    }

    /// Adds the headers of the request, in the order they came, with repeats.
    #[must_use]
    pub fn headers<N, V>(mut self, headers: impl IntoIterator<Item = (&'a N, &'a V)>) -> Self
    where
        N: AsRef<[u8]> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let headers = headers.into_iter();
        self.headers.extend(headers.map(|(name, value)| (name.as_ref(), value.as_ref())));
        self
    }

    /// The host that the client asked, with its port if it gave one, where it is not in the target: `:authority` of
    /// HTTP/2. Wins over the `Host` header.
    #[must_use]
    pub fn authority(mut self, authority: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.authority = Some(authority.as_ref());
        self
    }

    /// The protocol version, as `HTTP/1.0`, `HTTP/1.1` (default) or `HTTP/2.0`.
    #[must_use]
    pub fn protocol(mut self, protocol: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.protocol = protocol.as_ref();
        self
    }

    /// Whether the client used HTTPS, be it with a proxy in front. Default false.
    #[must_use]
    pub const fn https(mut self, is_https: bool) -> Self {
        self.is_https = is_https;
        self
    }

    /// The address of the client. Port 0 when it is not known, as behind a proxy.
    #[must_use]
    pub fn remote_addr(mut self, address: impl Into<SocketAddr>) -> Self {
        self.remote_addr = Some(address.into());
        self
    }

    /// Takes client, scheme, host and port from the word of trusted proxies, and leaves out the headers about forwarding
    /// that nobody vouches for; see [`proxies`](super::proxies).
    ///
    /// What no proxy says stays as it is. The calls that come later count: [`remote_addr`](Self::remote_addr),
    /// [`https`](Self::https) and [`server_port`](Self::server_port) belong before this one. The host wins over the
    /// target, [`authority`](Self::authority) and `Host`.
    #[must_use]
    pub fn forwarding(mut self, forwarding: &'a Forwarding<'a>) -> Self {
        self.forwarding = Some(forwarding);
        self.remote_addr = Some(forwarding.remote_addr());
        self.is_https = forwarding.is_https().unwrap_or(self.is_https);
        self.server_port = forwarding.port().or(self.server_port);
        self
    }

    /// Sends settings of php.ini along: PHP_VALUE and PHP_ADMIN_VALUE, which PHP-FPM alone understands.
    #[must_use]
    pub fn php_settings(mut self, settings: &'a PhpSettings) -> Self {
        self.changes.extend(settings.params().map(|(name, value)| (name.as_bytes(), Some(value))));
        self
    }

    /// The address of this server that the client connected to.
    #[must_use]
    pub fn server_addr(mut self, address: impl Into<SocketAddr>) -> Self {
        self.server_addr = Some(address.into());
        self
    }

    /// The name of the site, where it must not be what the client says.
    #[must_use]
    pub fn server_name(mut self, name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.server_name = Some(name.as_ref());
        self
    }

    /// The port that clients use, where another one is listened on.
    #[must_use]
    pub const fn server_port(mut self, port: u16) -> Self {
        self.server_port = Some(port);
        self
    }

    /// What the server calls itself. WordPress offers permalinks without `index.php` only when it knows the name:
    /// `my-server/1.0 (like nginx)` will do.
    #[must_use]
    pub fn server_software(mut self, software: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.server_software = software.as_ref();
        self
    }

    /// Who the server has authenticated, and how (`Basic`).
    #[must_use]
    pub fn user(
        mut self,
        auth_type: &'a (impl AsRef<[u8]> + ?Sized),
        user: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Self {
        self.user = Some((auth_type.as_ref(), user.as_ref()));
        self
    }

    /// The folder of the site as the application sees it, which in a container or chroot is not the server's.
    #[must_use]
    pub fn document_root(mut self, root: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.document_root = Some(root.as_ref());
        self
    }

    /// The path of the script in the URL, decoded, with its slash.
    #[must_use]
    pub fn script_name(mut self, name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.script_name = name.as_ref();
        self
    }

    /// The script's file as the application sees it, where it is not root and name together.
    #[must_use]
    pub fn script_filename(mut self, file: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.script_filename = Some(file.as_ref());
        self
    }

    /// What follows the script in the URL, decoded, with its slash.
    #[must_use]
    pub fn path_info(mut self, path_info: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.path_info = path_info.as_ref();
        self
    }

    /// The length of the body as it will be sent, in place of what the header says: `None` when it is not known.
    ///
    /// Without this call the header counts, unless there is a `Transfer-Encoding`: then the length is not known. PHP
    /// reads no body without it, so a body of unknown length should be collected first.
    #[must_use]
    pub fn content_length(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.content_length = Some(bytes.into());
        self
    }

    /// Sets a variable, whatever it would be otherwise. Of several calls for one name the last counts.
    #[must_use]
    pub fn param(
        mut self,
        name: &'a (impl AsRef<[u8]> + ?Sized),
        value: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Self {
        self.changes.push((name.as_ref(), Some(value.as_ref())));
        self
    }

    /// Leaves a variable out, whatever it would be otherwise.
    #[must_use]
    pub fn remove(mut self, name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.changes.push((name.as_ref(), None));
        self
    }

    /// The variables.
    ///
    /// # Errors
    /// [`EnvironmentError`] when headers contradict each other or cannot be right: the request is a bad one (400).
    pub fn params(&self) -> Result<Params, EnvironmentError> {
        // Most requests of a browser fit.
        let mut params = Params::with_capacity(2048);
        self.write_to(&mut params)?;
        Ok(params)
    }

    /// Replaces what `params` holds by the variables, in the memory that it has.
    ///
    /// # Errors
    /// As [`params`](Self::params). `params` is then of no use.
    pub fn write_to(&self, params: &mut Params) -> Result<(), EnvironmentError> {
        variables::write(self, params)
    }
}
