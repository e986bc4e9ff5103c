//! Forms with files: `multipart/form-data` (RFC 7578), written as browsers write it.
//!
//! [`Multipart`] gathers fields and files, [`Encoded`] gives the bytes: the text between the files is made here, the files
//! are whatever the client calls a body. Nothing is read in advance, so a form with large files is streamed, and its
//! length is known when that of each file is.

mod encoded;
mod escape;

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

pub use encoded::Encoded;

use crate::error::FirstBytes;
use crate::request::RequestError;

/// A form with fields and files.
///
/// `B` is the body type of the client, which is what a file is given as.
///
/// Names are written as [browsers do](https://html.spec.whatwg.org/#multipart-form-data): `"`, CR and LF become `%22`,
/// `%0D` and `%0A`, so that no name can begin another field; anything else stays, UTF-8 or not. Values are sent byte for
/// byte. Two things cannot be said to PHP and are errors of [`encode`](Self::encode): a name with NUL, where PHP ends it,
/// and one that ends in a backslash, which PHP takes with the quote behind it.
///
/// PHP takes 20 files of a request (`max_file_uploads`) and 1,000 fields (`max_input_vars`) unless its settings say
/// otherwise, and drops the rest with a warning.
///
/// ```
/// use fcgi_proto::{Multipart, Request};
/// use fcgi_proto::multipart::{Encoded, Part};
/// # struct Body;
/// # impl Default for Body { fn default() -> Self { Self } }
/// # impl From<&'static str> for Body { fn from(_: &'static str) -> Self { Self } }
/// # impl From<Encoded<Body>> for Body { fn from(_: Encoded<Body>) -> Self { Self } }
///
/// let form = Multipart::with_boundary("boundary")
///     .text("who", "Swoole")
///     .file("notes", "a \"b\".txt", "not much")
///     .part("icon", Part::new("...").file_name("icon.png").content_type("image/png"));
/// let request: Request<Body> = Request::post("/srv/app/upload.php").multipart(form);
/// assert_eq!(request.param_value("CONTENT_TYPE"), Some(&b"multipart/form-data; boundary=boundary"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct Multipart<B> {
    boundary: String,
    /// Each file, and the text before it.
    parts: Vec<(Bytes, B)>,
    /// The text behind the last file so far.
    text: Vec<u8>,
    /// The first mistake of the caller, reported by `encode`.
    error: Option<RequestError>,
}

/// One entry of a [`Multipart`] form.
///
/// ```
/// use fcgi_proto::multipart::{Multipart, Part};
///
/// let icon = Part::new("<svg/>").file_name("icon.svg").content_type("image/svg+xml");
/// let form = Multipart::<&'static str>::with_boundary("boundary").part("icon", icon);
/// # drop(form);
/// ```
#[derive(Clone, Debug)]
pub struct Part<B> {
    body: B,
    file_name: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
}

impl<B> Part<B> {
    /// An entry with this content. Without a file name it is a field, which PHP keeps in memory and puts in `$_POST`.
    #[must_use]
    pub fn new(body: impl Into<B>) -> Self {
        Self { body: body.into(), file_name: None, content_type: None }
    }

    /// Makes it a file, in `$_FILES` of PHP. The name is a suggestion; PHP cuts what stands before its last `/` or `\`.
    /// An empty one says that no file was chosen.
    #[must_use]
    pub fn file_name(mut self, name: impl AsRef<[u8]>) -> Self {
        self.file_name = Some(name.as_ref().to_vec());
        self
    }

    /// Sets the `Content-Type` of this entry. Default: `application/octet-stream` for a file, none for a field.
    #[must_use]
    pub fn content_type(mut self, content_type: impl AsRef<[u8]>) -> Self {
        self.content_type = Some(content_type.as_ref().to_vec());
        self
    }
}

#[cfg(feature = "std")]
impl<B> Default for Multipart<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Multipart<B> {
    /// An empty form. Its boundary has 128 bits that nobody can foresee, so that no content holds it, by chance or by
    /// intent.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn new() -> Self {
        use core::hash::{BuildHasher, Hasher};
        // The keys of the standard library's hash come from the operating system.
        let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self::of(alloc::format!("----fcgi{:016x}{:016x}", random(), random()))
    }

    /// An empty form with a boundary of the caller's, which must not occur in what is sent: 1 to 70 ASCII letters,
    /// digits or any of `'()+_,-./:=?`.
    #[must_use]
    pub fn with_boundary(boundary: impl Into<String>) -> Self {
        let mut form = Self::of(boundary.into());
        if !escape::is_boundary(form.boundary.as_bytes()) {
            form.error = Some(RequestError::Boundary);
        }
        form
    }

    const fn of(boundary: String) -> Self {
        Self { boundary, parts: Vec::new(), text: Vec::new(), error: None }
    }

    /// Adds a field.
    #[must_use]
    pub fn text(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.begin_part(name.as_ref(), None, None);
        self.text.extend_from_slice(value.as_ref());
        self
    }

    /// Adds a file of type `application/octet-stream`.
    #[must_use]
    pub fn file(
        self,
        name: impl AsRef<[u8]>,
        file_name: impl AsRef<[u8]>,
        body: impl Into<B>,
    ) -> Self {
        self.part(name, Part::new(body).file_name(file_name))
    }

    /// Adds any entry.
    #[must_use]
    pub fn part(mut self, name: impl AsRef<[u8]>, part: Part<B>) -> Self {
        let Part { body, file_name, content_type } = part;
        self.begin_part(name.as_ref(), file_name.as_deref(), content_type.as_deref());
        self.parts.push((mem::take(&mut self.text).into(), body));
        self
    }

    /// The form as the bytes of a body.
    ///
    /// # Errors
    /// [`RequestError::PartName`], [`RequestError::HeaderValue`] for a content type that holds NUL or a line break, and
    /// [`RequestError::Boundary`].
    pub fn encode(mut self) -> Result<Encoded<B>, RequestError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.delimit();
        self.text.extend_from_slice(b"--\r\n");
        Ok(Encoded::new(self.boundary, self.parts, self.text.into()))
    }

    fn begin_part(&mut self, name: &[u8], file_name: Option<&[u8]>, content_type: Option<&[u8]>) {
        self.delimit();
        let result = escape::part_head(&mut self.text, name, file_name, content_type);
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    fn delimit(&mut self) {
        if !(self.parts.is_empty() && self.text.is_empty()) {
            self.text.extend_from_slice(b"\r\n");
        }
        self.text.extend_from_slice(b"--");
        self.text.extend_from_slice(self.boundary.as_bytes());
    }
}

fn bad_name(name: &[u8]) -> RequestError {
    RequestError::PartName { name: FirstBytes::new(name) }
}
