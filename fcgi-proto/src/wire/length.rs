/// The largest length that four bytes can carry: 2^31 - 1 (section 3.4).
pub const MAX_LENGTH: u32 = 0x7fff_ffff;

const LONG: u8 = 0x80;

/// A name-value length as it stands on the wire: one byte up to 127, four above (section 3.4).
///
/// ```
/// use fcgi_proto::wire::encode_length;
///
/// assert_eq!(encode_length(127).map(|length| length.as_slice().to_vec()), Some(vec![127]));
/// assert_eq!(encode_length(128).map(|length| length.as_slice().to_vec()), Some(vec![0x80, 0, 0, 128]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedLength {
    bytes: [u8; 4],
    len: u8,
}

impl EncodedLength {
    /// The bytes, one or four of them.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.split_at(usize::from(self.len)).0
    }

    /// How many bytes the length takes: 1 or 4.
    #[must_use]
    pub const fn size(self) -> usize {
        self.len as usize
    }
}

/// Encodes a length in its shortest form; `None` above [`MAX_LENGTH`].
///
/// ```
/// use fcgi_proto::wire::encode_length;
///
/// assert_eq!(encode_length(127).unwrap().as_slice(), [127]);
/// assert_eq!(encode_length(128).unwrap().as_slice(), [0x80, 0, 0, 128]);
/// assert_eq!(encode_length(1 << 31), None);
/// ```
#[must_use]
pub const fn encode_length(length: usize) -> Option<EncodedLength> {
    // The comparison is made in 64 bits, where neither side can wrap on any target.
    if length as u64 > MAX_LENGTH as u64 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked right above")]
    let [b3, b2, b1, b0] = (length as u32).to_be_bytes();
    Some(if length < LONG as usize {
        EncodedLength { bytes: [b0, 0, 0, 0], len: 1 }
    } else {
        EncodedLength { bytes: [b3 | LONG, b2, b1, b0], len: 4 }
    })
}

/// Decodes the length at the front of `input` and says how many bytes it took; `None` when it is cut off.
///
/// The four-byte form of a small number is accepted, as every known peer accepts it.
///
/// ```
/// use fcgi_proto::wire::decode_length;
///
/// assert_eq!(decode_length(&[5, 99]), Some((5, 1)));
/// assert_eq!(decode_length(&[0x80, 0, 0, 5]), Some((5, 4)));
/// assert_eq!(decode_length(&[0x80, 0]), None);
/// ```
#[must_use]
pub const fn decode_length(input: &[u8]) -> Option<(u32, usize)> {
    match *input {
        [short, ..] if short < LONG => Some((short as u32, 1)),
        [b3, b2, b1, b0, ..] => Some((u32::from_be_bytes([b3 & !LONG, b2, b1, b0]), 4)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_survive_at_every_edge() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 0x7fff_ffff] {
            let encoded = encode_length(length).expect("in range");
            let (decoded, size) = decode_length(encoded.as_slice()).expect("whole");
            assert_eq!(decoded as usize, length);
            assert_eq!(size, encoded.size());
            assert_eq!(size, if length < 128 { 1 } else { 4 });
        }
    }

    #[test]
    fn cut_lengths_are_none() {
        for cut in 0..4 {
            assert_eq!(decode_length(&[0xff; 4][..cut]), None);
        }
    }
}
