//! A request of the `http` crate.

use crate::cgi::{Environment, EnvironmentError};

use super::Request;

impl<B: Default> Request<B> {
    /// A request for a script, with method, target, version, headers and body of an HTTP request.
    ///
    /// `script` is the path of the file as the application sees it; SCRIPT_NAME is `/` and its file name, and DOCUMENT_ROOT
    /// its folder, unless set otherwise. Who asked is for the caller to say: see [`Environment::from_http`], and
    /// [`from_params`](Self::from_params) for what it gives, where more than this is to be decided.
    ///
    /// # Errors
    /// [`EnvironmentError`] when the request is a bad one.
    ///
    /// ```
    /// use fcgi_proto::Request;
    ///
    /// let request = http::Request::post("/shop?page=2").header("Content-Type", "text/plain").body("hello")?;
    /// let request: Request<String> = Request::from_http("/srv/www/index.php", request)?;
    /// let (parts, body) = request.remote_addr("203.0.113.9").into_parts()?;
    /// assert_eq!(body, "hello");
    /// assert_eq!(parts.params.get_str("REQUEST_URI"), Some("/shop?page=2"));
    /// assert_eq!(parts.params.get_str("SCRIPT_FILENAME"), Some("/srv/www/index.php"));
    /// assert_eq!(parts.params.get_str("SCRIPT_NAME"), Some("/index.php"));
    /// assert_eq!(parts.params.get_str("CONTENT_TYPE"), Some("text/plain"));
    /// assert_eq!(parts.params.get_str("CONTENT_LENGTH"), Some("5"));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn from_http<T: Into<B>>(
        script: impl AsRef<[u8]>,
        request: http::Request<T>,
    ) -> Result<Self, EnvironmentError> {
        let script = script.as_ref();
        let name_at = script.iter().rposition(|&byte| byte == b'/');
        let root = name_at.and_then(|at| script.get(..at.max(1))).unwrap_or(b".");
        let name = script.get(name_at.map_or(0, |at| at + 1)..).unwrap_or_default();
        let script_name = [b"/", name].concat();
        let (parts, body) = request.into_parts();
        let params = Environment::from_http(&parts)?
            .document_root(root)
            .script_name(&script_name)
            .script_filename(script)
            .params()?;
        Ok(Self::from_params(params).body(body))
    }
}
