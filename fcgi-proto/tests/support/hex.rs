/// Bytes written for reading: pairs of hex digits with space anywhere, text in double quotes (with `\r`, `\n`, `\0`, `\"`
/// and `\\`), and comments from `;` to the end of the line.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\n' => {}
            ';' => while chars.next().is_some_and(|char| char != '\n') {},
            '"' => quoted(&mut chars, &mut bytes),
            high => {
                let digit = |char: char| char.to_digit(16).expect("a hex digit");
                let low = chars.next().expect("the second digit of a byte");
                let byte = digit(high) << 4 | digit(low);
                bytes.push(u8::try_from(byte).expect("two digits"));
            }
        }
    }
    bytes
}

fn quoted(chars: &mut impl Iterator<Item = char>, bytes: &mut Vec<u8>) {
    loop {
        let char = match chars.next().expect("the closing quote") {
            '"' => return,
            '\\' => match chars.next().expect("an escaped character") {
                'r' => '\r',
                'n' => '\n',
                '0' => '\0',
                other => other,
            },
            char => char,
        };
        bytes.push(u8::try_from(char).expect("text is ASCII"));
    }
}
