//! Addresses without the secrets in their queries.

use fcgi_proto::cgi::script::percent_decode;
use fcgi_proto::params::is_secret;

/// A path and query, with the values of those names masked that may hold secrets: what [`is_secret`] knows, and what
/// is usual in links that let somebody in.
pub(super) fn masked(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let mut text = format!("{path}?");
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            text.push('&');
        }
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_masked(name) => {
                text.push_str(name);
                text.push_str("=***");
            }
            _ => text.push_str(pair),
        }
    }
    text
}

fn is_masked(name: &str) -> bool {
    // What cannot be decoded is looked at as it is.
    let decoded = percent_decode(name.as_bytes());
    let name = decoded.as_deref().unwrap_or(name.as_bytes()).to_ascii_lowercase();
    let has = |word: &&[u8]| name.windows(word.len()).any(|part| part == *word);
    is_secret(&name) || WORDS.iter().any(has) || NAMES.contains(&name.as_slice())
}

/// Anywhere in a name: sessions, signatures, WordPress's nonces.
const WORDS: [&[u8]; 7] = [b"auth", b"jwt", b"nonce", b"pass", b"pwd", b"sess", b"signature"];
/// Whole names; the first is OAuth's.
const NAMES: [&[u8]; 5] = [b"code", b"otp", b"pin", b"sid", b"sig"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_names() {
        for (target, shown) in [
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a?token=x", "/a?token=***"),
            ("/a?b=c&API_KEY=x=y&d=e", "/a?b=c&API_KEY=***&d=e"),
            ("/a?t%6Fken=x", "/a?t%6Fken=***"),
            ("/a?t%6fken%zz=x", "/a?t%6fken%zz=x"),
            ("/a?user[password]=x&user[name]=y", "/a?user[password]=***&user[name]=y"),
            (
                "/a?PHPSESSID=1&_wpnonce=2&signature=3",
                "/a?PHPSESSID=***&_wpnonce=***&signature=***",
            ),
            ("/a?code=1&postcode=2&pin=3&pink=4", "/a?code=***&postcode=2&pin=***&pink=4"),
            ("/a?token=&x=?&token=?", "/a?token=&x=?&token=***"),
            ("*", "*"),
        ] {
            assert_eq!(masked(target), shown);
        }
    }
}
