//! The body of a [`Request`] in the forms that scripts expect.

use alloc::string::String;
use alloc::vec::Vec;

use super::Request;
use crate::cgi::form_encode;
use crate::multipart::{Encoded, Multipart};

impl<B> Request<B> {
    /// Sets the body. Its length becomes `CONTENT_LENGTH`; `CONTENT_TYPE` and the method stay as they are.
    ///
    /// PHP fills `$_POST` only with a matching content type, see [`form`](Self::form); `php://input` has any body.
    #[must_use]
    pub fn body(mut self, body: impl Into<B>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a body of form fields and `CONTENT_TYPE` to `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn form<K, V>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        B: From<String>,
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut text = Vec::new();
        form_encode(&mut text, pairs);
        // The encoding is ASCII.
        let text = String::from_utf8(text).unwrap_or_default();
        self.content_type("application/x-www-form-urlencoded").body(text)
    }

    /// Sets a body that is JSON already and `CONTENT_TYPE` to `application/json`. PHP has it in `php://input`, not in
    /// `$_POST`.
    ///
    /// ```
    /// # use fcgi_proto::Request;
    /// let request: Request<String> = Request::post("/srv/api.php").json_text(r#"{"who":"Swoole"}"#);
    /// assert_eq!(request.header_value("Content-Type"), Some(&b"application/json"[..]));
    /// ```
    #[must_use]
    pub fn json_text(self, json: impl Into<B>) -> Self {
        self.content_type("application/json").body(json)
    }

    /// Sets a body of JSON made from a value, as [`json_text`](Self::json_text) does.
    ///
    /// # Errors
    /// The value has no form in JSON, as a map whose keys are not strings.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<Self, serde_json::Error>
    where
        B: From<Vec<u8>>,
    {
        Ok(self.json_text(serde_json::to_vec(value)?))
    }

    /// Sets a body of fields and files and `CONTENT_TYPE` to `multipart/form-data` with its boundary. PHP has them in
    /// `$_POST` and `$_FILES`.
    ///
    /// Its length is known when that of each file is. A mistake in the form is an error of
    /// [`into_parts`](Self::into_parts).
    #[must_use]
    pub fn multipart(mut self, form: Multipart<B>) -> Self
    where
        B: From<Encoded<B>>,
    {
        match form.encode() {
            Ok(encoded) => self.content_type(encoded.content_type()).body(encoded),
            Err(error) => {
                self.error.get_or_insert(error);
                self
            }
        }
    }
}

impl<B: Default> Request<B> {
    /// What a one-line call sends: a POST with form fields, or a GET when there are none.
    #[must_use]
    pub fn get_or_post<K, V>(
        script: impl AsRef<[u8]>,
        form: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        B: From<String>,
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut form = form.into_iter().peekable();
        match form.peek() {
            Some(_) => Self::post(script).form(form),
            None => Self::get(script),
        }
    }
}
