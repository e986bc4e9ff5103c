//! Fields of a query or a form (application/x-www-form-urlencoded).

/// The fields in their order, decoded; what is no UTF-8 is shown as such.
pub(super) fn decode(text: &[u8]) -> Vec<(String, String)> {
    text.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode_half(halves.next().unwrap_or_default());
            (half(), half())
        })
        .collect()
}

fn decode_half(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match after
                .split_at_checked(2)
                .and_then(|(digits, after)| Some((hex(digits)?, after)))
            {
                Some((byte, after)) => {
                    bytes.push(byte);
                    rest = after;
                }
                None => bytes.push(b'%'),
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = core::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn fields() {
        let text = "a=1+2&b=%C3%A9%3D&&c&d=%zz%+1";
        let fields = decode(text.as_bytes());
        let expected = [("a", "1 2"), ("b", "é="), ("c", ""), ("d", "%zz% 1")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
