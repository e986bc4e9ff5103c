use fcgi_proto::cgi::PhpSettings;

use super::input::Input;

/// Settings of php.ini with any names and values: what PHP's parser reads is what was meant, one setting a line, or there
/// was an error.
pub fn php_settings(data: &[u8]) {
    let mut input = Input::new(data);
    let mut settings = PhpSettings::new();
    let mut expected = [Vec::new(), Vec::new()];
    while !input.is_empty() {
        let is_admin = input.bool();
        let (name, value) = (input.text(), input.text());
        let next = match is_admin {
            true => settings.clone().admin_value(name, value),
            false => settings.clone().value(name, value),
        };
        let is_name = name.first().is_some_and(u8::is_ascii_alphabetic)
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
        let is_line = !value.iter().any(|byte| b"\0\r\n".contains(byte));
        assert_eq!(next.is_ok(), is_name && is_line);
        if let Ok(next) = next {
            settings = next;
            expected[usize::from(is_admin)].push((name.to_vec(), value.to_vec()));
        }
    }
    let mut found = [Vec::new(), Vec::new()];
    for (variable, text) in settings.params() {
        let place = usize::from(variable == "PHP_ADMIN_VALUE");
        assert!(place == 1 || variable == "PHP_VALUE");
        found[place] = text.split(|byte| *byte == b'\n').map(read).collect();
    }
    assert_eq!(found, expected);
}

/// One line of php.ini, of which this knows names, and texts in single and double quotes.
fn read(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at = line.iter().position(|byte| *byte == b'=').expect("an assignment");
    let (name, mut rest) = (&line[..at], &line[at + 1..]);
    assert!(!rest.is_empty(), "nothing is another thing than an empty text");
    let mut value = Vec::new();
    while let [quote @ (b'\'' | b'"'), text @ ..] = rest {
        let end = text.iter().position(|byte| byte == quote).expect("the closing quote");
        let (text, behind) = (&text[..end], &text[end + 1..]);
        // Within double quotes more has a meaning, so only what has none may stand there.
        assert!(*quote == b'\'' || text.iter().all(|byte| *byte == b'\''));
        assert!(*quote == b'"' || !text.is_empty(), "PHP knows no empty text in single quotes");
        value.extend_from_slice(text);
        rest = behind;
    }
    assert!(rest.is_empty(), "what stands outside of quotes has a meaning of its own");
    (name.to_vec(), value)
}
