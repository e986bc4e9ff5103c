//! A form as the bytes of a body.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::task::{Poll, ready};

use bytes::Bytes;

use crate::request::{Account, BodyLen, LengthError};

/// The bytes of a [`Multipart`](super::Multipart) form; the files are read when their turn comes.
///
/// A client's body type holds one and asks it with [`poll_chunk`](Self::poll_chunk), giving the way to read a file.
///
/// ```
/// use core::task::Poll;
/// use fcgi_proto::{BodyLen, LengthError, Multipart};
///
/// let mut form = Multipart::<&'static str>::with_boundary("b").file("f", "n", "data").encode()?;
/// assert_eq!(form.content_type(), "multipart/form-data; boundary=b");
/// let len = form.content_length().expect("that of its file is known");
/// let mut sent = Vec::new();
/// while let Poll::Ready(Some(chunk)) = form.poll_chunk(|file| {
///     let data = core::mem::take(file);
///     Poll::Ready((!data.is_empty()).then(|| Ok::<_, LengthError>(data.into())))
/// }) {
///     sent.extend(chunk?);
/// }
/// assert_eq!(sent.len() as u64, len);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoded<B> {
    boundary: String,
    parts: VecDeque<(Bytes, B)>,
    /// The account of the file at the front, once the text before it is out.
    current: Option<Account>,
    /// What follows the last file; empty once it is out.
    tail: Bytes,
}

impl<B> Encoded<B> {
    pub(super) fn new(boundary: String, parts: Vec<(Bytes, B)>, tail: Bytes) -> Self {
        Self { boundary, parts: parts.into(), current: None, tail }
    }

    /// The value of `CONTENT_TYPE` for this body.
    #[must_use]
    pub fn content_type(&self) -> String {
        alloc::format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The next piece, `None` at the end. `poll` is asked for the next piece of a file.
    ///
    /// # Errors
    /// What `poll` gives, and [`LengthError`] for a file that is not as long as it said. Neither can be gone on from.
    pub fn poll_chunk<E: From<LengthError>>(
        &mut self,
        mut poll: impl FnMut(&mut B) -> Poll<Option<Result<Bytes, E>>>,
    ) -> Poll<Option<Result<Bytes, E>>>
    where
        B: BodyLen,
    {
        loop {
            let Some((text, body)) = self.parts.front_mut() else {
                let tail = mem::take(&mut self.tail);
                return Poll::Ready((!tail.is_empty()).then_some(Ok(tail)));
            };
            let Some(account) = &mut self.current else {
                self.current = Some(Account::new(body.content_length()));
                return Poll::Ready(Some(Ok(mem::take(text))));
            };
            match ready!(poll(body)).transpose()? {
                Some(data) if data.is_empty() => {}
                Some(data) => {
                    return Poll::Ready(Some(
                        account.take(data.len()).map(|()| data).map_err(E::from),
                    ));
                }
                None => {
                    account.finish()?;
                    self.current = None;
                    self.parts.pop_front();
                }
            }
        }
    }

    /// The file that is being read, or read next.
    #[must_use]
    pub fn current(&self) -> Option<&B> {
        self.parts.front().map(|(_, body)| body)
    }

    /// The same form once more, when `clone` can give each file once more.
    pub fn try_clone(&self, clone: impl Fn(&B) -> Option<B>) -> Option<Self> {
        let parts = self.parts.iter().map(|(text, body)| Some((text.clone(), clone(body)?)));
        Some(Self {
            boundary: self.boundary.clone(),
            parts: parts.collect::<Option<_>>()?,
            current: self.current,
            tail: self.tail.clone(),
        })
    }
}

impl<B: BodyLen> BodyLen for Encoded<B> {
    fn content_length(&self) -> Option<u64> {
        self.parts.iter().try_fold(self.tail.len() as u64, |sum, (text, body)| {
            sum.checked_add(text.len() as u64)?.checked_add(body.content_length()?)
        })
    }
}
