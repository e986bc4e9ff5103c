//! What the FastCGI roles besides the Responder ask of a web server (sections 6.3 and 6.4).

use fcgi_proto::cgi::{Authorization, Environment, ResponseHead};

fn parse(head: &str) -> ResponseHead {
    ResponseHead::parse(head.as_bytes()).expect("a head")
}

/// The variables that an Authorizer grants with; `None` when it denies.
fn granted(head: &str) -> Option<Vec<(String, String)>> {
    let head = parse(head);
    let Authorization::Granted(variables) = head.authorization() else { return None };
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
    Some(variables.map(|(name, value)| (name.to_owned(), text(value))).collect())
}

// spec: S54
#[test]
fn an_authorizer_is_not_told_of_body_and_script() {
    let environment = Environment::new("POST", "/app/a.php/b?c").expect("a good request line");
    let environment = environment
        .headers([("Content-Length", "5"), ("Content-Type", "a/b"), ("X-User", "u")])
        .document_root("/srv")
        .script_name("/app/a.php")
        .path_info("/b")
        .param("PATH_TRANSLATED", "/srv/b");
    let responder = environment.params().expect("a good request");
    let authorizer = environment.authorizer().params().expect("a good request");
    for name in ["CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME"] {
        assert!(responder.get(name).is_some(), "{name}");
        assert_eq!(authorizer.get(name), None, "{name}");
    }
    assert_eq!(authorizer.len(), responder.len() - 4, "all else is the same");
    assert_eq!(authorizer.get_str("HTTP_X_USER"), Some("u"));
}

// spec: S55
#[test]
fn a_200_grants_with_variables() {
    let variables =
        granted("Variable-AUTH_METHOD: database lookup\nX: y\nvariable-A: 1\nVariable-A: 2\n\n");
    let expected = [("AUTH_METHOD", "database lookup"), ("A", "1"), ("A", "2")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables, Some(expected.to_vec()));
    assert_eq!(granted("Status: 200 OK\nVariable-: x\nVariable: y\nVar: z\n\n"), Some(Vec::new()));
}

// spec: S56
#[test]
fn any_other_status_denies() {
    for status in ["401 Unauthorized", "403", "204", "302 Found", "500"] {
        assert_eq!(granted(&format!("Status: {status}\nVariable-A: b\n\n")), None, "{status}");
    }
    assert_eq!(granted("Location: https://login.example/\n\n"), None);
}

#[test]
fn values_are_not_shown() {
    let head = parse("Variable-TOKEN: secret\n\n");
    assert_eq!(format!("{:?}", head.authorization()), "Granted([\"TOKEN\"])");
}

// spec: S57
#[test]
fn a_filter_is_told_of_its_file() {
    let environment = Environment::new("GET", "/").expect("a good request line");
    let params = environment.data_file(784_111_777, 0).params().expect("a good request");
    assert_eq!(params.get_str("FCGI_DATA_LAST_MOD"), Some("784111777"));
    assert_eq!(params.get_str("FCGI_DATA_LENGTH"), Some("0"));
}

#[test]
fn an_authorizer_adds_to_a_request_and_changes_nothing_of_it() {
    let fixed = [
        "CONTENT_LENGTH",
        "document_root",
        "FCGI_ROLE",
        "HTTP_X",
        "PATH_INFO",
        "PHP_ADMIN_VALUE",
        "PHP_VALUE",
        "REQUEST_URI",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "GATEWAY_INTERFACE",
        "https",
        "ORIG_PATH_INFO",
        "ORIG_SCRIPT_FILENAME",
        "QUERY_STRING",
        "REDIRECT_STATUS",
        "REMOTE_ADDR",
        "REMOTE_HOST",
        "REMOTE_PORT",
        "PATH",
    ];
    let free = ["REMOTE_USER", "AUTH_TYPE", "PATHS", "HTTPSX", "X_HTTP_X", "PHP", "A"];
    for name in fixed.iter().chain(&free) {
        let output = format!("Variable-{name}: 1\r\nVariable-LAST: 2\r\n\r\n");
        let head = ResponseHead::parse(output.as_bytes()).expect("a head");
        let Authorization::Granted(variables) = head.authorization() else { panic!("granted") };
        let admitted: Vec<_> = variables.admissible().map(|(name, _)| name).collect();
        let expected: &[&str] = if free.contains(name) { &[*name, "LAST"] } else { &["LAST"] };
        assert_eq!(admitted, expected);
    }
}
