//! How long a body is.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

/// A body that can tell its length before it is sent.
///
/// ```
/// use fcgi_proto::BodyLen;
///
/// assert_eq!("0".content_length(), Some(1)); // a body like any other
/// ```
pub trait BodyLen {
    /// The exact length in bytes, 0 without a body, `None` when it is not known.
    fn content_length(&self) -> Option<u64>;
}

macro_rules! impl_body_len {
    ($($type:ty),*) => {$(
        impl BodyLen for $type {
            fn content_length(&self) -> Option<u64> {
                Some(self.len() as u64)
            }
        }
    )*};
}

impl_body_len!(Bytes, Vec<u8>, String, str, [u8]);

impl<T: BodyLen + ?Sized> BodyLen for &T {
    fn content_length(&self) -> Option<u64> {
        (**self).content_length()
    }
}

impl BodyLen for () {
    fn content_length(&self) -> Option<u64> {
        Some(0)
    }
}
