//! What the other roles are told besides, or are not told.

use super::Environment;

impl Environment<'_> {
    /// For an [`Authorizer`](crate::Role::Authorizer): leaves out CONTENT_LENGTH, PATH_INFO, PATH_TRANSLATED and
    /// SCRIPT_NAME, as it decides about a request without its body and before there is a script (FastCGI section 6.3).
    ///
    /// ```
    /// use fcgi_proto::cgi::Environment;
    ///
    /// let params = Environment::new("POST", "/private?a=b")?.content_length(12).authorizer().params()?;
    /// assert_eq!(params.get("CONTENT_LENGTH"), None);
    /// assert_eq!(params.get_str("REQUEST_URI"), Some("/private?a=b"));
    /// # Ok::<(), fcgi_proto::cgi::EnvironmentError>(())
    /// ```
    #[must_use]
    pub fn authorizer(self) -> Self {
        self.remove("CONTENT_LENGTH")
            .remove("PATH_INFO")
            .remove("PATH_TRANSLATED")
            .remove("SCRIPT_NAME")
    }

    /// For a [`Filter`](crate::Role::Filter): when the file that it is given was changed last, in seconds since 1970, and
    /// how many bytes it has (FastCGI section 6.4).
    #[must_use]
    pub fn data_file(mut self, last_modified: u64, length: u64) -> Self {
        self.data_file = Some((last_modified, length));
        self
    }
}
