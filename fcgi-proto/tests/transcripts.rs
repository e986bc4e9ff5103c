//! Real and exemplary byte streams, field by field: the examples of the specification's Appendix B, answers of PHP-FPM 8.2
//! and requests of nginx 1.22. Every one is decoded whole, byte by byte, and with a cut header behind it.

mod support;

use core::num::NonZeroU16;

use fcgi_proto::{ProtocolStatus, Role, client, server};
use support::{Seen, Side, hex, three_ways};

/// A client that has begun so many requests, and written them.
fn client_with(requests: u16) -> client::Connection {
    let limit = NonZeroU16::new(requests).expect("at least one");
    let config = client::Config::default().keep_conn(true).max_requests(limit);
    let mut conn = client::Connection::new(config);
    for _ in 0..requests {
        let key = conn.begin(Role::Responder, [("A", "1")]).expect("within the limit");
        conn.request(key).expect("just begun").finish().expect("once");
    }
    conn.take_output(usize::MAX);
    conn
}

fn client_sees(requests: u16, transcript: &str, expected: &[Seen]) {
    three_ways(|| client_with(requests), &hex(transcript), expected);
}

fn server_sees(transcript: &str, expected: &[Seen]) {
    let new = || server::Connection::new(server::Config::default());
    three_ways(new, &hex(transcript), expected);
}

const SERVER_PARAMS: [(&str, &str); 2] = [("SERVER_PORT", "80"), ("SERVER_ADDR", "199.170.183.42")];

// Appendix B, example 1: a simple request with an empty body.

const B1_REQUEST: &str = r#"
    01 01 0001 0008 00 00  0001 00 0000000000                              ; BEGIN_REQUEST, responder, close
    01 04 0001 002a 00 00  0b 02 "SERVER_PORT" "80"                        ; PARAMS
                           0b 0e "SERVER_ADDR" "199.170.183.42"
    01 04 0001 0000 00 00                                                  ; PARAMS ends
    01 05 0001 0000 00 00                                                  ; STDIN ends
"#;

const B1_RESPONSE: &str = r#"
    01 06 0001 0028 00 00  "Content-type: text/html\r\n\r\n" "<html>\n<head>"  ; STDOUT
    01 06 0001 0000 00 00                                                  ; STDOUT ends
    01 03 0001 0008 00 00  00000000 00 000000                              ; END_REQUEST, complete
"#;

const B1_BODY: &str = "Content-type: text/html\r\n\r\n<html>\n<head>";

// spec: S62
#[test]
fn appendix_b_1_as_the_application_sees_it() {
    server_sees(B1_REQUEST, &[Seen::request(1, Role::Responder, SERVER_PARAMS), Seen::StdinEnd(1)]);
}

#[test]
fn appendix_b_1_as_the_web_server_sees_it() {
    client_sees(1, B1_RESPONSE, &[Seen::stdout(1, B1_BODY), Seen::complete(1)]);
}

// spec: S31, S45, S52
#[test]
fn appendix_b_1_is_what_both_sides_write() {
    let mut client = client::Connection::new(client::Config::default());
    let key = client.begin(Role::Responder, SERVER_PARAMS).expect("the first request");
    client.request(key).expect("just begun").finish().expect("once");
    assert_eq!(client.take_output(usize::MAX), hex(B1_REQUEST));

    let mut server = server::Connection::new(server::Config::default());
    let request = hex(B1_REQUEST);
    let mut input = &request[..];
    let Ok(Some(server::Event::Request { key, .. })) = server.poll_event(&mut input) else {
        panic!("the request is complete");
    };
    let mut response = server.response(key).expect("open");
    response.stdout_slice(B1_BODY.as_bytes()).expect("there is room");
    response.end(0);
    assert_eq!(server.take_output(usize::MAX), hex(B1_RESPONSE));
}

// Appendix B, example 2: parameters cut in the middle of a name, and a body.

// spec: S34, S62
#[test]
fn appendix_b_2_as_the_application_sees_it() {
    server_sees(
        r#"
        01 01 0001 0008 00 00  0001 00 0000000000          ; BEGIN_REQUEST, responder, close
        01 04 0001 0014 00 00  0b 02 "SERVER_PORT" "80"    ; PARAMS, which break off amid a name
                               0b 0e "SER"
        01 04 0001 0016 00 00  "VER_ADDR" "199.170.183.42" ; PARAMS go on
        01 04 0001 0000 00 00                              ; PARAMS end
        01 05 0001 0019 00 00  "quantity=100&item=3047936" ; STDIN
        01 05 0001 0000 00 00                              ; STDIN ends
        "#,
        &[
            Seen::request(1, Role::Responder, SERVER_PARAMS),
            Seen::stdin(1, "quantity=100&item=3047936"),
            Seen::StdinEnd(1),
        ],
    );
}

// Appendix B, example 3: an error, by STDERR amid STDOUT and by status 938.

// spec: S43, S62
#[test]
fn appendix_b_3_as_the_web_server_sees_it() {
    client_sees(
        1,
        r#"
        01 06 0001 001e 00 00  "Content-type: text/html\r\n\r\n" "<ht"   ; STDOUT
        01 07 0001 001d 00 00  "config error: missing SI_UID\n"          ; STDERR
        01 06 0001 000a 00 00  "ml>\n<head>"                             ; STDOUT
        01 06 0001 0000 00 00                                            ; STDOUT ends
        01 07 0001 0000 00 00                                            ; STDERR ends
        01 03 0001 0008 00 00  000003aa 00 000000                        ; END_REQUEST, status 938
        "#,
        &[
            Seen::stdout(1, "Content-type: text/html\r\n\r\n<ht"),
            Seen::stderr(1, "config error: missing SI_UID\n"),
            Seen::stdout(1, "ml>\n<head>"),
            Seen::End(1, ProtocolStatus::RequestComplete, 938),
        ],
    );
}

// Appendix B, example 4: two requests on one connection, the second done first.

// spec: S62
#[test]
fn appendix_b_4_as_the_application_sees_it() {
    server_sees(
        r#"
        01 01 0001 0008 00 00  0001 01 0000000000        ; BEGIN_REQUEST 1, responder, keep
        01 04 0001 000f 00 00  0b 02 "SERVER_PORT" "80"  ; PARAMS 1
        01 04 0001 0000 00 00                            ; PARAMS 1 end
        01 01 0002 0008 00 00  0001 01 0000000000        ; BEGIN_REQUEST 2, responder, keep
        01 04 0002 000f 00 00  0b 02 "SERVER_PORT" "81"  ; PARAMS 2
        01 05 0001 0000 00 00                            ; STDIN 1 ends
        01 04 0002 0000 00 00                            ; PARAMS 2 end
        01 05 0002 0000 00 00                            ; STDIN 2 ends
        "#,
        &[
            Seen::request(1, Role::Responder, [("SERVER_PORT", "80")]),
            Seen::StdinEnd(1),
            Seen::request(2, Role::Responder, [("SERVER_PORT", "81")]),
            Seen::StdinEnd(2),
        ],
    );
}

#[test]
fn appendix_b_4_as_the_web_server_sees_it() {
    client_sees(
        2,
        r#"
        01 06 0001 001b 00 00  "Content-type: text/html\r\n\r\n"                   ; STDOUT 1
        01 06 0002 0028 00 00  "Content-type: text/html\r\n\r\n" "<html>\n<head>"  ; STDOUT 2
        01 06 0002 0000 00 00                                                      ; STDOUT 2 ends
        01 03 0002 0008 00 00  00000000 00 000000                                  ; END_REQUEST 2
        01 06 0001 000d 00 00  "<html>\n<head>"                                    ; STDOUT 1
        01 06 0001 0000 00 00                                                      ; STDOUT 1 ends
        01 03 0001 0008 00 00  00000000 00 000000                                  ; END_REQUEST 1
        "#,
        &[
            Seen::stdout(1, "Content-type: text/html\r\n\r\n"),
            Seen::stdout(2, B1_BODY),
            Seen::complete(2),
            Seen::stdout(1, "<html>\n<head>"),
            Seen::complete(1),
        ],
    );
}

// PHP-FPM 8.2.

#[test]
fn php_fpm_hello() {
    // No empty STDOUT comes before END_REQUEST.
    client_sees(
        1,
        r#"
        01 06 0001 002f 01 00  "Content-type: text/plain;charset=UTF-8\r\n\r\n" "hello"  00
        01 03 0001 0008 00 00  00000000 00 000000
        "#,
        &[
            Seen::stdout(1, "Content-type: text/plain;charset=UTF-8\r\n\r\nhello"),
            Seen::complete(1),
        ],
    );
}

#[test]
fn php_fpm_file_not_found() {
    client_sees(
        1,
        r#"
        01 07 0001 0016 02 00  "Primary script unknown"  0000
        01 06 0001 0051 07 00  "Status: 404 Not Found\r\nContent-type: text/html; charset=UTF-8\r\n\r\n"
                               "File not found.\n"  00000000000000
        01 03 0001 0008 00 00  00000000 00 000000
        "#,
        &[
            Seen::stderr(1, "Primary script unknown"),
            Seen::stdout(
                1,
                "Status: 404 Not Found\r\nContent-type: text/html; charset=UTF-8\r\n\r\nFile not found.\n",
            ),
            Seen::complete(1),
        ],
    );
}

// spec: S43
#[test]
fn php_fpm_stderr_and_stdout() {
    // The reserved bytes of END_REQUEST hold what was in the buffer before.
    client_sees(
        1,
        r#"
        01 07 0001 0014 04 00  "PHP message: careful"  00000000
        01 06 0001 0030 00 00  "Content-type: text/plain;charset=UTF-8\r\n\r\n" "done 0"
        01 03 0001 0008 00 00  00000000 00 0d0a0d
        "#,
        &[
            Seen::stderr(1, "PHP message: careful"),
            Seen::stdout(1, "Content-type: text/plain;charset=UTF-8\r\n\r\ndone 0"),
            Seen::complete(1),
        ],
    );
}

#[test]
fn php_fpm_values() {
    // Asked for FCGI_MAX_CONNS, FCGI_MAX_REQS and FCGI_MPXS_CONNS, it tells of the last alone.
    let new = || {
        let mut conn = client::Connection::new(client::Config::default());
        let names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"];
        conn.get_values(names).expect("nothing is open");
        conn
    };
    let answer = hex(r#" 01 0a 0000 0012 06 00  0f 01 "FCGI_MPXS_CONNS" "0"  000000000000 "#);
    three_ways(new, &answer, &[Seen::values([("FCGI_MPXS_CONNS", "0")])]);

    // The question as this client writes it, with the padding that libfcgi needs to answer at once.
    let question = hex(r#"
        01 09 0000 0030 08 00  0e 00 "FCGI_MAX_CONNS"  0d 00 "FCGI_MAX_REQS"  0f 00 "FCGI_MPXS_CONNS"
                               0000000000000000
        "#);
    assert_eq!(new().take_output(usize::MAX), question);
}

// nginx 1.22.

#[test]
fn nginx_get() {
    // A request without a body has its CONTENT_TYPE and CONTENT_LENGTH, both empty.
    server_sees(
        r#"
        01 01 0001 0008 00 00  0001 00 0000000000
        01 04 0001 008f 01 00  0e 03 "REQUEST_METHOD" "GET"
                               0f 0a "SCRIPT_FILENAME" "/srv/a.php"
                               0c 03 "QUERY_STRING" "x=1"
                               0c 00 "CONTENT_TYPE"
                               0e 00 "CONTENT_LENGTH"
                               09 01 "HTTP_HOST" "h"
                               0b 03 "HTTP_COOKIE" "a=1"
                               0f 05 "HTTP_CONNECTION" "close"  00
        01 04 0001 0000 00 00
        01 05 0001 0000 00 00
        "#,
        &[
            Seen::request(
                1,
                Role::Responder,
                [
                    ("REQUEST_METHOD", "GET"),
                    ("SCRIPT_FILENAME", "/srv/a.php"),
                    ("QUERY_STRING", "x=1"),
                    ("CONTENT_TYPE", ""),
                    ("CONTENT_LENGTH", ""),
                    ("HTTP_HOST", "h"),
                    ("HTTP_COOKIE", "a=1"),
                    ("HTTP_CONNECTION", "close"),
                ],
            ),
            Seen::StdinEnd(1),
        ],
    );
}

#[test]
fn nginx_post() {
    server_sees(
        r#"
        01 01 0001 0008 00 00  0001 00 0000000000
        01 04 0001 00bb 05 00  0e 04 "REQUEST_METHOD" "POST"
                               0f 0a "SCRIPT_FILENAME" "/srv/a.php"
                               0c 00 "QUERY_STRING"
                               0c 0a "CONTENT_TYPE" "text/plain"
                               0e 01 "CONTENT_LENGTH" "9"
                               09 01 "HTTP_HOST" "h"
                               13 01 "HTTP_CONTENT_LENGTH" "9"
                               11 0a "HTTP_CONTENT_TYPE" "text/plain"
                               0f 05 "HTTP_CONNECTION" "close"  0000000000
        01 04 0001 0000 00 00
        01 05 0001 0009 07 00  "hello=you"  00000000000000
        01 05 0001 0000 00 00
        "#,
        &[
            Seen::request(
                1,
                Role::Responder,
                [
                    ("REQUEST_METHOD", "POST"),
                    ("SCRIPT_FILENAME", "/srv/a.php"),
                    ("QUERY_STRING", ""),
                    ("CONTENT_TYPE", "text/plain"),
                    ("CONTENT_LENGTH", "9"),
                    ("HTTP_HOST", "h"),
                    ("HTTP_CONTENT_LENGTH", "9"),
                    ("HTTP_CONTENT_TYPE", "text/plain"),
                    ("HTTP_CONNECTION", "close"),
                ],
            ),
            Seen::stdin(1, "hello=you"),
            Seen::StdinEnd(1),
        ],
    );
}
