use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::HashSet;

use fcgi_proto::Params;
use fcgi_proto::cgi::Environment;
use fcgi_proto::cgi::script::{clean_path, split};

use super::input::Input;

/// Any request line and headers, and paths as a gateway gets them from there: whatever a client sends, the script sees
/// variables that mean what their names say.
pub fn environment(data: &[u8]) {
    let mut input = Input::new(data);
    let options = input.byte();
    let (method, target) = (input.text(), input.text());
    let authority = (options & 1 == 1).then(|| input.text());
    let mut headers = Vec::new();
    while !input.is_empty() && headers.len() < 40 {
        headers.push((header_name(&mut input), input.text()));
    }

    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = core::str::from_utf8(path).ok().and_then(|path| clean_path(path).ok());
    let script = path.as_deref().map(|path| split(path, &[".php"], |_| options & 2 == 2));

    let Ok(mut environment) = Environment::new(method, target) else { return };
    environment = environment.headers(headers.iter().map(|(name, value)| (&name[..], *value)));
    environment = environment.https(options & 4 == 4);
    if let Some(authority) = authority {
        environment = environment.authority(authority);
    }
    if let Some(Ok(Some(script))) = &script {
        environment = environment
            .document_root("/srv/www")
            .script_name(script.script_name)
            .path_info(script.path_info);
    }
    if options & 8 == 8 {
        environment = environment.remote_addr((Ipv4Addr::LOCALHOST, 7));
        environment = environment.server_addr((Ipv6Addr::LOCALHOST, 8));
    }
    if options & 16 == 16 {
        environment = environment.content_length(17);
    }
    let Ok(params) = environment.params() else { return };
    judge(&params, method, target, &headers);

    // In memory that is used again, the same.
    let mut again: Params = [("stale", "value")].into_iter().collect();
    environment.write_to(&mut again).expect("as before");
    assert_eq!(again, params);
}

/// Often one that matters.
fn header_name(input: &mut Input<'_>) -> Vec<u8> {
    const NAMES: [&str; 24] = [
        "Host",
        "host",
        "Proxy",
        "PROXY",
        "Content-Length",
        "Content-Type",
        "Transfer-Encoding",
        "Connection",
        "Cookie",
        "Authorization",
        "User-Agent",
        "X-Forwarded-For",
        "TE",
        "Upgrade",
        "X_Forwarded_For",
        "Content_Length",
        "Forwarded",
        "X-Foo",
        "x-foo",
        "X-Foo-",
        "Keep-Alive",
        "Accept",
        "X-Real-IP",
        "Trailer",
    ];
    match NAMES.get(usize::from(input.byte())) {
        Some(name) => name.as_bytes().to_vec(),
        None => input.text().to_vec(),
    }
}

fn judge(params: &Params, method: &[u8], target: &[u8], headers: &[(Vec<u8>, &[u8])]) {
    let mut names = HashSet::new();
    for (name, value) in params {
        assert!(names.insert(name), "twice: {}", name.escape_ascii());
        let is_plain =
            |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        let is_token = |byte: &u8| is_plain(byte) || b"!#$%&'*+.^`|~".contains(byte);
        let is_good = if name.starts_with(b"HTTP_") {
            name.iter().all(is_token)
        } else {
            name.iter().all(is_plain)
        };
        assert!(is_good && !name.is_empty(), "{}", name.escape_ascii());
        let is_bad = |byte: &u8| matches!(byte, b'\0' | b'\r' | b'\n');
        assert!(!value.iter().any(is_bad), "{}: {}", name.escape_ascii(), value.escape_ascii());
    }
    for never in [
        "HTTP_PROXY",
        "HTTP_CONTENT_LENGTH",
        "HTTP_CONTENT_TYPE",
        "HTTP_CONNECTION",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_TE",
        "HTTP_UPGRADE",
        "HTTP_KEEP_ALIVE",
        "HTTP_TRAILER",
        "HTTP_PROXY_CONNECTION",
        "HTTP_",
    ] {
        assert_eq!(params.get(never), None, "{never}");
    }
    for always in [
        "GATEWAY_INTERFACE",
        "REQUEST_METHOD",
        "REQUEST_URI",
        "QUERY_STRING",
        "SCRIPT_NAME",
        "DOCUMENT_URI",
        "SERVER_PROTOCOL",
        "SERVER_SOFTWARE",
        "SERVER_NAME",
        "SERVER_PORT",
        "REMOTE_ADDR",
        "REQUEST_SCHEME",
        "REDIRECT_STATUS",
    ] {
        assert!(params.get(always).is_some(), "{always}");
    }
    assert_eq!(params.get("REQUEST_METHOD"), Some(method));
    let uri = params.get("REQUEST_URI").unwrap_or_default();
    assert!(target.ends_with(uri) || uri.starts_with(b"/"), "{}", uri.escape_ascii());
    if let Some(length) = params.get_str("CONTENT_LENGTH") {
        let number: u64 = length.parse().expect("a number");
        assert_eq!(number.to_string(), length);
    }
    // What a script sees of a header is in what the client sent of it.
    let of_client: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let seen =
        params.iter().filter(|(name, _)| name.starts_with(b"HTTP_") && *name != b"HTTP_HOST");
    let seen: usize = seen.map(|(name, value)| name.len() - 5 + value.len()).sum();
    assert!(seen <= of_client);
    if let Some(file) = params.get("SCRIPT_FILENAME") {
        assert!(!file.windows(4).any(|part| part == b"/../") && !file.ends_with(b"/.."));
    }
    assert_eq!(Params::parse(params.as_encoded()).as_ref(), Ok(params));
}
