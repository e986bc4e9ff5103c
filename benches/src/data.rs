//! The bytes that all work on.

use fcgi_proto::wire::{BeginRequest, EndRequest, Header};
use fcgi_proto::{ProtocolStatus, RecordType, Role, params};

/// What nginx sends with Debian's `fastcgi.conf` for a page asked for by a browser.
pub(crate) const PAIRS: [(&str, &str); 25] = [
    ("QUERY_STRING", "p=42&preview=true"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("SCRIPT_FILENAME", "/var/www/html/wordpress/index.php"),
    ("SCRIPT_NAME", "/index.php"),
    ("REQUEST_URI", "/index.php?p=42&preview=true"),
    ("DOCUMENT_URI", "/index.php"),
    ("DOCUMENT_ROOT", "/var/www/html/wordpress"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.22.1"),
    ("REMOTE_ADDR", "203.0.113.7"),
    ("REMOTE_PORT", "51234"),
    ("SERVER_ADDR", "198.51.100.2"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "www.example.com"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "www.example.com"),
    ("HTTP_USER_AGENT", USER_AGENT),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br"),
    ("HTTP_COOKIE", COOKIE),
];

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const COOKIE: &str = "session=d41d8cd98f00b204e9800998ecf8427e; theme=dark; consent=1; \
    cart=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// What a framework asks of them; nine are there and one is not.
pub(crate) const WANTED: [&str; 10] = [
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "QUERY_STRING",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "HTTP_HOST",
    "HTTP_COOKIE",
    "REMOTE_ADDR",
    "PATH_INFO",
];

/// The content of one record of a response; php-fpm sends up to 8 KiB in one.
const RECORD: usize = 8 * 1024;

/// Twelve headers and a status, as PHP sends them for a WordPress page.
pub(crate) const HEAD: &[u8] = b"Status: 200 OK\r\n\
    X-Powered-By: PHP/8.2.20\r\n\
    Content-Type: text/html; charset=UTF-8\r\n\
    Content-Length: 51234\r\n\
    Cache-Control: no-store, no-cache, must-revalidate\r\n\
    Expires: Thu, 19 Nov 1981 08:52:00 GMT\r\n\
    Pragma: no-cache\r\n\
    Last-Modified: Mon, 10 Jun 2024 10:00:00 GMT\r\n\
    ETag: \"9f86d081884c7d659a2feaa0c55ad015\"\r\n\
    Link: <https://www.example.com/wp-json/>; rel=\"https://api.w.org/\"\r\n\
    Vary: Accept-Encoding, Cookie\r\n\
    Set-Cookie: session=d41d8cd98f00b204e9800998ecf8427e; path=/; secure; HttpOnly\r\n\
    Set-Cookie: consent=1; expires=Tue, 10 Jun 2025 10:00:00 GMT; Max-Age=31536000; path=/\r\n\
    \r\n";

/// The pairs without records around them.
pub(crate) fn encoded_pairs() -> Vec<u8> {
    let params: fcgi_proto::Params = PAIRS.into_iter().collect();
    params.as_encoded().to_vec()
}

/// A whole response to request 1: STDOUT records of 8 KiB, the empty one, END_REQUEST.
pub(crate) fn response(len: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for content in vec![b'x'; len].chunks(RECORD) {
        push_record(&mut wire, RecordType::Stdout, 1, content);
    }
    push_record(&mut wire, RecordType::Stdout, 1, b"");
    end_request(&mut wire, 1);
    wire
}

/// How many records [`response`] has.
pub(crate) const fn response_records(len: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred")]
    let records = len.div_ceil(RECORD) as u32;
    records + 2
}

pub(crate) fn end_request(wire: &mut Vec<u8>, request_id: u16) {
    let end = EndRequest { app_status: 0, protocol_status: ProtocolStatus::RequestComplete };
    push_record(wire, RecordType::EndRequest, request_id, &end.encode());
}

/// 1,000 STDOUT records of 64 bytes, those of 16 requests by turns.
pub(crate) fn interleaved() -> Vec<u8> {
    let mut wire = Vec::new();
    for id in (1..=16).cycle().take(1000) {
        push_record(&mut wire, RecordType::Stdout, id, &[b'x'; 64]);
    }
    wire
}

/// A whole request 1 as a web server sends it, which keeps the connection.
pub(crate) fn request(body_len: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let begin = BeginRequest::new(Role::Responder, true).encode();
    push_record(&mut wire, RecordType::BeginRequest, 1, &begin);
    params::encode(&mut wire, 1, PAIRS).expect("small pairs");
    for content in vec![b'x'; body_len].chunks(32 * 1024) {
        push_record(&mut wire, RecordType::Stdin, 1, content);
    }
    push_record(&mut wire, RecordType::Stdin, 1, b"");
    wire
}

fn push_record(wire: &mut Vec<u8>, record_type: RecordType, request_id: u16, content: &[u8]) {
    let len = u16::try_from(content.len()).expect("one record");
    wire.extend(Header::new(record_type, request_id, len).encode());
    wire.extend_from_slice(content);
}
