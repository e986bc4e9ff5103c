//! Sizes that read the same on the command line and in the file.

use core::str::FromStr;

use serde::Deserialize;
use serde::de::Deserializer;

use super::value::{self, Amount};

/// A number of bytes: `65536`, `64K`, `128M`, `2G`; a K is 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// As a number of bytes in memory.
    pub(crate) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
            Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        let number: u64 = digits.parse().map_err(|_| format!("expected {}", Self::EXPECTED))?;
        number.checked_mul(factor).map(Self).ok_or_else(|| "this size is too large".to_owned())
    }
}

impl Amount for Size {
    const EXPECTED: &str = "a size such as 65536, 64K or 128M";
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        value::amount(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("64K", Some(65536)),
            ("2g", Some(2 << 30)),
            ("K", None),
            ("1.5M", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Size>().ok(), bytes.map(Size), "{text}");
        }
        assert!("99999999999G".parse::<Size>().is_err());
    }
}
