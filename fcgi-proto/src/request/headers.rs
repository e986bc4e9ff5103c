//! The HTTP headers of a [`Request`], which travel as variables.

use alloc::string::String;
use alloc::vec::Vec;

use super::Request;
use super::error::RequestError;
use crate::cgi::{header_variable, is_single_valued};
use crate::error::FirstBytes;

impl<B> Request<B> {
    /// Adds an HTTP header: `X-Foo` becomes `HTTP_X_FOO`, `Content-Type` and `Content-Length` go to their CGI names.
    ///
    /// A header given again is joined with `, `, `Cookie` with `; `; `Host` and others that have one value only are
    /// replaced. `Proxy` is never sent, since programs take `HTTP_PROXY` for a setting ([httpoxy]). A name that is no
    /// token, and NUL or a line break in a value, is an error of [`into_parts`](Self::into_parts).
    ///
    /// [httpoxy]: https://httpoxy.org
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.try_header(name.as_ref(), value.as_ref()) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// The value of a header that was set, joined if there were several.
    #[must_use]
    pub fn header_value(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let mut variable = Vec::new();
        header_variable(&mut variable, name.as_ref()).then_some(())?;
        self.params.get(variable)
    }

    /// Adds headers, each as [`header`](Self::header) does.
    #[must_use]
    pub fn headers<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        headers: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        headers.into_iter().fold(self, |request, (name, value)| request.header(name, value))
    }

    /// Removes a header.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<[u8]>) -> Self {
        let mut variable = Vec::new();
        if header_variable(&mut variable, name.as_ref()) {
            self.params.remove(variable);
        }
        self
    }

    /// All headers that were set, joined where one was given again: names in lower case with `-`, as in HTTP/2.
    ///
    /// Whether a name had `-` or `_` cannot be told from its variable.
    pub fn header_values(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.params.iter().filter_map(|(name, value)| Some((header_name(name)?, value)))
    }

    fn try_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), RequestError> {
        let first = FirstBytes::new(name);
        if value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
            return Err(RequestError::HeaderValue { name: first });
        }
        let mut variable = Vec::new();
        if !header_variable(&mut variable, name) {
            return Err(RequestError::HeaderName { name: first });
        }
        match self.params.get(&variable) {
            _ if variable == b"HTTP_PROXY" => {}
            Some(earlier) if !is_single_valued(name) => {
                let separator: &[u8] = if variable == b"HTTP_COOKIE" { b"; " } else { b", " };
                let joined = [earlier, separator, value].concat();
                self.params.set(variable, joined);
            }
            Some(_) => self.params.set(variable, value),
            None => self.params.push(variable, value),
        }
        Ok(())
    }
}

fn header_name(variable: &[u8]) -> Option<String> {
    let name = match variable {
        b"CONTENT_TYPE" | b"CONTENT_LENGTH" => variable,
        _ => variable.strip_prefix(b"HTTP_")?,
    };
    let in_header =
        |&byte: &u8| if byte == b'_' { '-' } else { char::from(byte.to_ascii_lowercase()) };
    Some(name.iter().map(in_header).collect())
}
