//! Name-value pairs (section 3.4): the parameters of a request, and the values that a server asks an application for.
//!
//! [`Params`] keeps the pairs in the order they came, with repeats, in the one buffer that they have on the wire; it is
//! walked lazily. [`encode()`] writes pairs as records.

mod encode;
mod iter;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

pub(crate) use encode::{OversizedPair, encode_pairs, encode_params, push_pair};
pub use encode::{PairError, encode};
pub use iter::{Iter, ParamsError};

/// An ordered list of name-value pairs: any bytes, repeats kept.
///
/// One allocation holds them all, in the encoding of section 3.4. Look-ups are linear, which for the thirty or so
/// parameters of a request beats a map.
///
/// ```
/// use fcgi_proto::Params;
///
/// let mut params = Params::new();
/// params.push("REQUEST_METHOD", "GET");
/// params.push("HTTP_COOKIE", "a=1");
/// params.push("HTTP_COOKIE", "b=2");
/// assert_eq!(params.get("HTTP_COOKIE"), Some(&b"b=2"[..])); // the last one, as PHP sees it
/// assert_eq!(params.len(), 3);
/// assert_eq!(params.iter().next(), Some((&b"REQUEST_METHOD"[..], &b"GET"[..])));
/// ```
#[derive(Clone, Default)]
pub struct Params {
    /// Valid pairs by construction.
    encoded: Vec<u8>,
    len: usize,
}

impl Params {
    /// No pairs, and no allocation yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { encoded: Vec::new(), len: 0 }
    }

    /// No pairs, and room for so many bytes of encoded ones.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { encoded: Vec::with_capacity(bytes), len: 0 }
    }

    /// Takes over a whole block of encoded pairs, without a copy when it is a `Vec`.
    ///
    /// # Errors
    /// [`ParamsError`] when a length runs past the end of the block.
    ///
    /// ```
    /// use fcgi_proto::Params;
    ///
    /// assert_eq!(Params::parse(*b"\x01\x02Ayz")?.get("A"), Some(&b"yz"[..]));
    /// assert!(Params::parse(*b"\x01\x03Ayz").is_err());
    /// # Ok::<(), fcgi_proto::params::ParamsError>(())
    /// ```
    pub fn parse(encoded: impl Into<Vec<u8>>) -> Result<Self, ParamsError> {
        let encoded = encoded.into();
        let len = Iter::count_pairs(&encoded)?;
        Ok(Self { encoded, len })
    }

    /// Appends a pair; earlier ones of the same name stay.
    ///
    /// # Panics
    /// Above 2,147,483,647 bytes in the name or the value, which the encoding cannot say.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        push_pair(&mut self.encoded, name.as_ref(), value.as_ref())
            .expect("a name or value stays below 2 GiB");
        self.len += 1;
    }

    /// Gives `name` this one value, where its first one stood or else at the end. In place, unless there are several.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    ///
    /// ```
    /// use fcgi_proto::Params;
    ///
    /// let mut params: Params = [("A", "1"), ("B", "2"), ("A", "3")].into_iter().collect();
    /// params.set("A", "4");
    /// assert_eq!(params, [("A", "4"), ("B", "2")].into_iter().collect());
    /// ```
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        if self.places(name).nth(1).is_some() {
            self.keep_first(name);
        }
        let Some(place) = self.places(name).next() else {
            return self.push(name, value);
        };
        let mut pair = Vec::with_capacity(name.len() + value.len() + 8);
        push_pair(&mut pair, name, value).expect("a name or value stays below 2 GiB");
        self.encoded.splice(place, pair);
    }

    /// Removes every pair of this name; whether there was one.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        if self.get(name).is_none() {
            return false;
        }
        let old = core::mem::take(self);
        self.extend(old.iter().filter(|(old_name, _)| *old_name != name));
        true
    }

    /// The value of the last pair of this name: of several, php-fpm and most other applications use the last.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.iter().filter(|(found, _)| *found == name).last().map(|(_, value)| value)
    }

    /// [`get`](Self::get), when the value is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        core::str::from_utf8(self.get(name)?).ok()
    }

    /// All pairs in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.encoded, self.len)
    }

    /// How many pairs there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no pair.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes the pairs take on the wire, without record headers.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.encoded.len()
    }

    /// The pairs as they stand on the wire.
    #[must_use]
    pub fn as_encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Removes all pairs and keeps the allocation.
    pub fn clear(&mut self) {
        self.encoded.clear();
        self.len = 0;
    }

    /// Where the pairs of this name stand in the buffer.
    fn places(&self, name: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let mut pairs = self.iter();
        core::iter::from_fn(move || {
            let start = self.encoded.len() - pairs.rest_len();
            let (found, _) = pairs.next()?;
            Some((found, start..self.encoded.len() - pairs.rest_len()))
        })
        .filter_map(move |(found, place)| (found == name).then_some(place))
    }

    /// Removes all pairs of this name but the first.
    fn keep_first(&mut self, name: &[u8]) {
        let old = core::mem::take(self);
        let mut has_first = false;
        self.extend(
            old.iter()
                .filter(|(found, _)| *found != name || !core::mem::replace(&mut has_first, true)),
        );
    }

    pub(crate) fn into_encoded(self) -> Vec<u8> {
        self.encoded
    }
}

impl PartialEq for Params {
    /// Equal pairs in equal order, however their lengths are written: a short one may stand in four bytes (section 3.4).
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (self.encoded == other.encoded || self.iter().eq(other))
    }
}

impl Eq for Params {}

impl<'a> IntoIterator for &'a Params {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for Params {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.push(name, value);
        }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut params = Self::new();
        params.extend(pairs);
        params
    }
}

impl fmt::Debug for Params {
    /// Names in order, with the values of those masked that may hold secrets (see [`is_secret`]).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self {
            let name = Escaped(name);
            if is_secret(name.0) {
                map.entry(&name, &format_args!("<{} bytes>", value.len()));
            } else {
                map.entry(&name, &Escaped(value));
            }
        }
        map.finish()
    }
}

/// Bytes for a log, between quotes.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Whether the value of a parameter with this name should stay out of logs.
///
/// True for cookies, credentials, and any name with `PASSWORD`, `PASSWD`, `SECRET`, `TOKEN` or `KEY` in it.
///
/// ```
/// use fcgi_proto::params::is_secret;
///
/// assert!(is_secret(b"HTTP_AUTHORIZATION") && is_secret(b"HTTP_COOKIE") && is_secret(b"DB_PASSWORD"));
/// assert!(!is_secret(b"REQUEST_URI"));
/// ```
#[must_use]
pub fn is_secret(name: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] = [
        b"AUTHORIZATION",
        b"COOKIE",
        b"PHP_AUTH",
        b"PASSWORD",
        b"PASSWD",
        b"SECRET",
        b"TOKEN",
        b"KEY",
    ];
    WORDS.iter().any(|word| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}
