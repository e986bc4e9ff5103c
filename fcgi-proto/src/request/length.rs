//! Holding a body to the length that was announced for it.

use core::fmt;

/// The source of a body gave another number of bytes than was announced for it.
///
/// The length has been sent before the body, so nothing can be made good: the request is broken off. Of a file it means
/// that it was written to or cut meanwhile.
///
/// ```
/// use core::error::Error as _;
/// use fcgi_proto::{Error, LengthError};
///
/// /// Whether the file that was uploaded has changed meanwhile: take it anew.
/// fn has_changed(error: &Error) -> bool {
///     error.source().is_some_and(|cause| cause.is::<LengthError>())
/// }
/// assert!(has_changed(&Error::request_body(LengthError::TooShort { missing: 3 })));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthError {
    /// It gave more.
    TooLong {
        /// Bytes beyond the announced length, at least.
        excess: u64,
    },
    /// It ended early.
    TooShort {
        /// Bytes of the announced length that are missing.
        missing: u64,
    },
}

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { excess } => {
                write!(f, "request body is at least {excess} bytes longer than announced")
            }
            Self::TooShort { missing } => {
                write!(f, "request body ended {missing} bytes short of the announced length")
            }
        }
    }
}

impl core::error::Error for LengthError {}

/// How much of a body is to come; `None` when that is not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(Option<u64>);

impl Account {
    pub(crate) const fn new(len: Option<u64>) -> Self {
        Self(len)
    }

    /// So many bytes have come. When they are too many, none of them counts.
    pub(crate) const fn take(&mut self, len: usize) -> Result<(), LengthError> {
        let Some(left) = &mut self.0 else { return Ok(()) };
        let len = len as u64;
        match left.checked_sub(len) {
            Some(rest) => {
                *left = rest;
                Ok(())
            }
            None => Err(LengthError::TooLong { excess: len - *left }),
        }
    }

    /// Nothing more comes.
    pub(crate) const fn finish(&self) -> Result<(), LengthError> {
        match self.0 {
            Some(missing @ 1..) => Err(LengthError::TooShort { missing }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_must_come_and_no_more() {
        let mut account = Account::new(Some(5));
        assert_eq!(account.take(3), Ok(()));
        assert_eq!(account.finish(), Err(LengthError::TooShort { missing: 2 }));
        assert_eq!(account.take(4), Err(LengthError::TooLong { excess: 2 }));
        assert_eq!(account.take(2), Ok(()));
        assert_eq!(account.finish(), Ok(()));
    }

    #[test]
    fn an_unknown_length_is_always_right() {
        let mut account = Account::new(None);
        assert_eq!(account.take(7), Ok(()));
        assert_eq!(account.finish(), Ok(()));
    }
}
