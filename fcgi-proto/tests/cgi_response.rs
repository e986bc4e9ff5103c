//! Response heads and bodies: tables, every cut, hostile output.

use fcgi_proto::FirstBytes;
use fcgi_proto::cgi::{
    BodyError, FullResponse, HeadError, Piece, Redirect, ResponseDecoder, ResponseError,
    ResponseHead,
};
use proptest::prelude::*;

/// Everything that a decoder says about one response.
#[derive(Debug, PartialEq)]
struct Seen {
    head: Option<ResponseHead>,
    body: Vec<u8>,
    end: Result<(), ResponseError>,
}

fn decode<'i>(decoder: &mut ResponseDecoder, parts: impl IntoIterator<Item = &'i [u8]>) -> Seen {
    let mut seen = Seen { head: None, body: Vec::new(), end: Ok(()) };
    for mut input in parts {
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(Piece::Head)) => {
                    assert!(seen.head.is_none(), "a second head");
                    seen.head = decoder.head().cloned();
                }
                Ok(Some(Piece::Body(data))) => {
                    assert!(seen.head.is_some() && !data.is_empty());
                    seen.body.extend_from_slice(data);
                }
                Ok(None) => break assert_eq!(input, b"", "input is used up"),
                Err(error) => {
                    assert_eq!(decoder.poll(&mut input), Err(error), "repeated");
                    assert_eq!(decoder.finish(), Err(error.into()), "repeated");
                    seen.end = Err(error.into());
                    return seen;
                }
            }
        }
    }
    seen.end = decoder.finish();
    seen
}

/// Whole, byte by byte, and cut in two at every place: all the same.
fn decode_every_way(output: &[u8]) -> Seen {
    let whole = decode(&mut ResponseDecoder::new(), [output]);
    let mut reused = ResponseDecoder::new();
    assert_eq!(decode(&mut reused, output.chunks(1)), whole, "byte by byte");
    for at in 0..=output.len() {
        let (front, back) = output.split_at(at);
        reused.reset();
        assert_eq!(decode(&mut reused, [front, back]), whole, "cut at {at}");
    }
    whole
}

fn error_of(output: &[u8]) -> HeadError {
    match decode_every_way(output).end {
        Err(ResponseError::Head(error)) => error,
        other => panic!("{}: {other:?}", output.escape_ascii()),
    }
}

fn head_of(output: &[u8]) -> ResponseHead {
    let seen = decode_every_way(output);
    assert_eq!(seen.end, Ok(()), "{}", output.escape_ascii());
    seen.head.expect("a head")
}

// spec: S88, S91, S93
#[test]
fn status_and_reason() {
    for (output, status, reason) in [
        (&b"Status: 404 Not Found\r\n\r\n"[..], 404, &b"Not Found"[..]),
        (b"Status: 401\r\n\r\n", 401, b""),
        (b"Status:400 Bad Request\n\n", 400, b"Bad Request"),
        (b"Status: \t 400 \t Bad  Request \t\r\n\r\n", 400, b"Bad  Request"),
        (b"status: 200 OK\r\n\r\n", 200, b"OK"),
        (b"STATUS: 999\r\n\r\n", 999, b""),
        (b"Status: 500 caf\xe9\r\n\r\n", 500, b"caf\xe9"),
        (b"Content-Type: text/html\r\n\r\n", 200, b""),
        (b"Location: https://example.org/\r\n\r\n", 302, b""),
        (b"Location: /x\r\nStatus: 301 Moved\r\n\r\n", 301, b"Moved"),
        (b"Location: /x\r\nStatus: 201\r\n\r\n", 201, b""),
        (b"Status: 404\r\nStatus: 200 OK\r\n\r\n", 404, b""),
        (b"HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n", 404, b"Not Found"),
        (b"HTTP/1.0 200\n\n", 200, b""),
        (b"HTTP/1.1 404 Not Found\r\nStatus: 200\r\n\r\n", 404, b"Not Found"),
    ] {
        let head = head_of(output);
        assert_eq!((head.status(), head.reason()), (status, reason), "{}", output.escape_ascii());
        assert_eq!(head.header("Status"), None);
    }
}

// spec: S86, S90, S92
#[test]
fn headers_as_they_came() {
    let head = head_of(
        b"X-One: 1\r\nx-empty:\nSet-Cookie: a=1; path=/\r\nX-ONE:2\n\
          this line is no header\r\nSet-Cookie:\tb=2 \r\nX-Colon: a:b\r\nX-Latin: \xe9\tx\r\n\r\n",
    );
    let headers: Vec<_> = head.headers().collect();
    assert_eq!(
        headers,
        [
            ("X-One", &b"1"[..]),
            ("x-empty", b""),
            ("Set-Cookie", b"a=1; path=/"),
            ("X-ONE", b"2"),
            ("Set-Cookie", b"b=2"),
            ("X-Colon", b"a:b"),
            ("X-Latin", b"\xe9\tx"),
        ]
    );
    assert_eq!(head.headers().len(), 7);
    assert_eq!(head.header("x-one"), Some(&b"1"[..]));
    assert_eq!(head.get_all("X-one").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.set_cookies().collect::<Vec<_>>(), [&b"a=1; path=/"[..], b"b=2"]);
    assert_eq!(head.header("X-On"), None);
    assert_eq!(head.header_str("x-colon"), Some("a:b"));
    assert_eq!(head.header_str("X-Latin"), None);
    let debug = format!("{head:?}");
    assert!(!debug.contains("a=1") && debug.contains("X-Colon: a:b"), "{debug}");
}

// spec: S87, S88, S89
#[test]
fn redirects() {
    use Redirect::{Client, Local};
    for (output, redirect) in [
        (&b"Location: /other?x=1\n\n"[..], Some(Local(&b"/other?x=1"[..]))),
        (b"location:/\n\n", Some(Local(b"/"))),
        (b"Location: /other\nContent-Type: text/html\n\n", Some(Client(b"/other"))),
        (b"Location: /other\nStatus: 302 Found\n\n", Some(Client(b"/other"))),
        (b"Location: //evil.example/\n\n", Some(Client(b"//evil.example/"))),
        (b"Location: /\\evil.example/\n\n", Some(Client(b"/\\evil.example/"))),
        (b"Location: https://example.org/\n\n", Some(Client(b"https://example.org/"))),
        (b"Location: other.php\n\n", Some(Client(b"other.php"))),
        (b"Location: /new\nStatus: 308\n\n", Some(Client(b"/new"))),
        (b"Location: /new\nStatus: 201 Created\n\n", None),
        (b"Content-Type: text/html\n\n", None),
    ] {
        let head = head_of(output);
        assert_eq!(head.redirect(), redirect, "{}", output.escape_ascii());
        if !head.has_status() && redirect.is_some() {
            assert_eq!(head.status(), 302);
        }
    }
}

// spec: S96
#[test]
fn line_ends_in_any_mixture() {
    for output in [
        &b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\n"[..],
        b"A: 1\nB: 2\n\nbody\r\n\r\n",
        b"A: 1\r\nB: 2\n\r\nbody\r\n\r\n",
        b"A: 1\nB: 2\r\n\nbody\r\n\r\n",
    ] {
        let seen = decode_every_way(output);
        assert_eq!(seen.end, Ok(()));
        assert_eq!(seen.head.expect("a head").header("B"), Some(&b"2"[..]));
        assert_eq!(seen.body, b"body\r\n\r\n");
    }
}

// spec: S48, S84, S85, S90, S97, S100
#[test]
fn output_that_is_no_response() {
    let first = FirstBytes::new;
    for (output, error) in [
        (&b""[..], HeadError::Empty),
        (
            b"Content-Type: text/html\r\n",
            HeadError::Unfinished { first: first(b"Content-Type: text/html\r\n"), received: 25 },
        ),
        (b"X", HeadError::Unfinished { first: first(b"X"), received: 1 }),
        (b"\r\nbody", HeadError::NoHeader { first: first(b"\r\n") }),
        (b"\nbody", HeadError::NoHeader { first: first(b"\n") }),
        (b"just text\n\nmore", HeadError::NoHeader { first: first(b"just text\n\n") }),
        (
            b"<a href=\"http://x/\">\n\n",
            HeadError::NoHeader { first: first(b"<a href=\"http://x/\">\n\n") },
        ),
        (b"A: 1\nB C: 2\n\n", HeadError::Name { first: first(b"B C: 2") }),
        (b"A: 1\nB : 2\n\n", HeadError::Name { first: first(b"B : 2") }),
        (b"A: 1\n: 2\n\n", HeadError::Name { first: first(b": 2") }),
        (b"A: 1\nB\xe9: 2\n\n", HeadError::Name { first: first(b"B\xe9: 2") }),
        (b"A: 1\nB\0: 2\n\n", HeadError::Name { first: first(b"B\0: 2") }),
        (b"A: 1\n more: 2\n\n", HeadError::Continuation { first: first(b" more: 2") }),
        (b"\tA: 1\n\n", HeadError::Continuation { first: first(b"\tA: 1") }),
        (b"A: 1\0\n\n", HeadError::Value { first: first(b"A: 1\0") }),
        (b"A: 1\rB: 2\n\n", HeadError::Value { first: first(b"A: 1\rB: 2") }),
        (b"A: 1\r\r\n\r\n", HeadError::Value { first: first(b"A: 1\r") }),
        (b"A: \x1b[2J\n\n", HeadError::Value { first: first(b"A: \x1b[2J") }),
        (b"A: \x7f\n\n", HeadError::Value { first: first(b"A: \x7f") }),
        (b"HTTP/1.1 200 O\0K\n\n", HeadError::Value { first: first(b"HTTP/1.1 200 O\0K") }),
    ] {
        assert_eq!(error_of(output), error, "{}", output.escape_ascii());
    }
}

// spec: S93
#[test]
fn statuses_that_are_none() {
    for value in [
        "",
        "0",
        "20",
        "000",
        "099",
        "1000",
        "200OK",
        "abc",
        "2 0",
        "-20",
        "+20",
        "2.0",
        "20x OK",
        "\u{662}\u{660}\u{660}",
    ] {
        let first = FirstBytes::new(value.as_bytes());
        assert_eq!(
            error_of(format!("Status: {value}\r\n\r\n").as_bytes()),
            HeadError::Status { first }
        );
        assert_eq!(
            error_of(format!("HTTP/1.1 {value}\r\n\r\n").as_bytes()),
            HeadError::Status { first }
        );
    }
    for status in [100, 101, 103, 199] {
        assert_eq!(
            error_of(format!("Status: {status} Early\r\n\r\n").as_bytes()),
            HeadError::InterimStatus(status)
        );
    }
}

// spec: S94
#[test]
fn content_length() {
    assert_eq!(head_of(b"content-length: 0\n\n").content_length(), Some(0));
    let seen = decode_every_way(b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((seen.body, seen.end), (b"abc".to_vec(), Ok(())));
    for value in ["", "-1", "+1", "1,1", "0x1", "1 ", " 1 2", "18446744073709551616"] {
        let output = format!("X: y\nContent-Length: {value}\n\n");
        if value.trim() == "1" {
            continue;
        }
        let first = FirstBytes::new(value.trim().as_bytes());
        assert_eq!(error_of(output.as_bytes()), HeadError::ContentLength { first }, "{value}");
    }
    assert_eq!(
        error_of(b"Content-Length: 1\nContent-Length: 2\n\n"),
        HeadError::ContentLength { first: FirstBytes::new(b"2") }
    );
}

// spec: S95
#[test]
fn never_more_than_announced() {
    let seen = decode_every_way(b"Content-Length: 3\n\nabcdef");
    assert_eq!(seen.body, b"abc");
    assert_eq!(seen.end, Err(BodyError::TooLong { announced: 3, received: 6 }.into()));
    let seen = decode_every_way(b"Content-Length: 0\n\nabcdef");
    assert_eq!(seen.body, b"");
    assert_eq!(seen.end, Err(BodyError::TooLong { announced: 0, received: 6 }.into()));
}

// spec: S94
#[test]
fn a_short_body_is_cut() {
    let seen = decode_every_way(b"Content-Length: 7\n\nabcdef");
    assert_eq!(seen.body, b"abcdef");
    let error = BodyError::TooShort { announced: 7, received: 6 };
    assert!(error.is_cut());
    assert_eq!(seen.end, Err(error.into()));
}

// spec: S83
#[test]
fn responses_without_a_body() {
    let mut decoder = ResponseDecoder::new().head_only(true);
    let seen = decode(&mut decoder, [&b"Content-Length: 5\n\n"[..]]);
    assert_eq!((seen.body.as_slice(), seen.end), (&b""[..], Ok(())));
    assert!(decoder.is_body_complete());

    decoder.reset();
    decoder.set_head_only(true);
    let seen = decode(&mut decoder, [&b"Content-Type: text/html\n\n<p>"[..], b"hello"]);
    assert_eq!((seen.body.as_slice(), seen.end), (&b""[..], Ok(())));
    assert_eq!(decoder.body_received(), 8, "counted all the same");

    decoder.reset();
    let seen = decode(&mut decoder, [&b"Content-Type: text/html\n\n<p>"[..], b"hello"]);
    assert_eq!(seen.body, b"<p>hello", "reset forgets HEAD");

    for status in [204, 304] {
        let output = format!("Status: {status}\nContent-Length: 5\n\nabc");
        let seen = decode_every_way(output.as_bytes());
        assert_eq!((seen.body.as_slice(), seen.end), (&b""[..], Ok(())));
    }
}

#[test]
fn completeness_is_known_by_length_alone() {
    let mut decoder = ResponseDecoder::new();
    assert!(!decoder.is_body_complete());
    let mut input = &b"Content-Length: 2\n\nab"[..];
    assert_eq!(decoder.poll(&mut input), Ok(Some(Piece::Head)));
    assert!(!decoder.is_body_complete());
    assert_eq!(decoder.poll(&mut input), Ok(Some(Piece::Body(b"ab"))));
    assert!(decoder.is_body_complete());

    decoder.reset();
    let mut input = &b"A: b\n\nab"[..];
    while let Ok(Some(_)) = decoder.poll(&mut input) {}
    assert!(!decoder.is_body_complete(), "only the end of the request tells");
}

// spec: S95
#[test]
fn the_body_is_lent() {
    let mut decoder = ResponseDecoder::new();
    let output = b"A: 1\r\n\r\nbody".to_vec();
    let mut input = output.as_slice();
    assert_eq!(decoder.poll(&mut input), Ok(Some(Piece::Head)));
    let Ok(Some(Piece::Body(data))) = decoder.poll(&mut input) else { panic!("a body") };
    assert_eq!(data.as_ptr(), output[8..].as_ptr());
}

#[test]
fn limits_count_the_same_at_every_cut() {
    let output = b"A: 12345\r\nB: 12345\r\n\r\nbody";
    let head_len = output.len() - 4;
    for at in 0..=output.len() {
        let (front, back) = output.split_at(at);
        let mut exact = ResponseDecoder::new().head_limit(head_len);
        assert_eq!(decode(&mut exact, [front, back]).end, Ok(()));
        let mut tight = ResponseDecoder::new().head_limit(head_len - 1);
        let seen = decode(&mut tight, [front, back]);
        let Err(ResponseError::Head(HeadError::TooLarge { first, limit })) = seen.end else {
            panic!("{seen:?}")
        };
        assert_eq!(limit, head_len - 1);
        assert!(at == 0 || output.starts_with(first.as_slice()));
    }
    let seen = decode(&mut ResponseDecoder::new().max_fields(1), [&output[..]]);
    assert_eq!(seen.end, Err(HeadError::TooManyFields { limit: 1 }.into()));
    assert_eq!(decode(&mut ResponseDecoder::new().max_fields(2), [&output[..]]).end, Ok(()));
}

// spec: S106
#[test]
fn an_endless_head_is_stopped() {
    let mut decoder = ResponseDecoder::new();
    let line = [b"X-Debug: ".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    let lines = std::iter::repeat_n(line.as_slice(), 10_000);
    let Err(ResponseError::Head(error)) = decode(&mut decoder, lines).end else {
        panic!("stopped")
    };
    assert!(matches!(error, HeadError::TooLarge { limit: 262_144, .. }), "{error}");
}

#[test]
fn a_large_head_is_read() {
    let cookie = "x".repeat(200 * 1024);
    let output = format!("Set-Cookie: {cookie}\r\nA: 1\r\n\r\n");
    let seen = decode(&mut ResponseDecoder::new(), output.as_bytes().chunks(8184));
    let head = seen.head.expect("a head");
    assert_eq!(head.header("set-cookie"), Some(cookie.as_bytes()));
    assert_eq!(head.header("A"), Some(&b"1"[..]));
}

#[test]
fn the_head_can_be_taken_and_its_memory_given_back() {
    let mut decoder = ResponseDecoder::new();
    assert!(decoder.take_head().is_none());
    let mut input = &b"Content-Length: 4\n\nbody"[..];
    assert_eq!(decoder.poll(&mut input), Ok(Some(Piece::Head)));
    let head = decoder.take_head().expect("a head");
    assert_eq!(head.content_length(), Some(4));
    assert!(decoder.head().is_none() && decoder.take_head().is_none());
    assert_eq!(decoder.poll(&mut input), Ok(Some(Piece::Body(b"body"))));
    assert_eq!(decoder.finish(), Ok(()), "the length is still known");
    decoder.reset();
    decoder.recycle(head);
    assert_eq!(decode(&mut decoder, [&b"A: 1\n\n"[..]]).head.expect("a head").headers().len(), 1);
}

#[test]
fn nothing_is_left_of_an_earlier_response() {
    let mut decoder = ResponseDecoder::new();
    decode(&mut decoder, [&b"Status: 404 Gone\nLocation: /x\nContent-Length: 1\n\nabc"[..]]);
    decoder.reset();
    let seen = decode(&mut decoder, [&b"A: 1\n\nabc"[..]]);
    let head = seen.head.expect("a head");
    assert_eq!(
        (head.status(), head.reason(), head.location(), head.content_length()),
        (200, &b""[..], None, None)
    );
    assert_eq!((seen.body.as_slice(), seen.end), (&b"abc"[..], Ok(())));
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A reader that wants everything at once and allocates at will: status, headers, body.
fn oracle(output: &[u8]) -> Option<(u16, Fields, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut rest = output;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let (line, tail) = rest.split_at(end);
        rest = &tail[1..];
        match line.strip_suffix(b"\r").unwrap_or(line) {
            b"" => break,
            line => lines.push(line.to_vec()),
        }
    }
    let mut status = None;
    let mut headers = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let is_name =
            |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
        let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
        let value = &value[start..end];
        if name.is_empty()
            || !name.iter().all(is_name)
            || value.iter().any(|&byte| byte != b'\t' && (byte < 32 || byte == 127))
        {
            return None;
        }
        if name.eq_ignore_ascii_case(b"status") {
            let code: u16 = core::str::from_utf8(value.get(..3)?).ok()?.parse().ok()?;
            if !(200..=999).contains(&code)
                || value[0] == b'+'
                || value.get(3).is_some_and(|byte| !blank(byte))
            {
                return None;
            }
            status.get_or_insert(code);
        } else {
            headers.push((name.to_vec(), value.to_vec()));
        }
    }
    let has_location = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"location"));
    if headers.is_empty() && status.is_none() {
        return None;
    }
    Some((status.unwrap_or(if has_location { 302 } else { 200 }), headers, rest.to_vec()))
}

fn pieces<'o>(output: &'o [u8], cuts: &'o [usize]) -> impl Iterator<Item = &'o [u8]> {
    let mut rest = output;
    let mut cuts = cuts.iter().cycle();
    std::iter::from_fn(move || {
        let (front, back) = rest.split_at((*cuts.next()?).min(rest.len()));
        rest = back;
        (!front.is_empty()).then_some(front)
    })
}

/// Lines made of what is dangerous.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(&b"\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r"[..]),
        Just(&b": "[..]),
        Just(&b":"[..]),
        Just(&b" "[..]),
        Just(&b"Status: "[..]),
        Just(&b"Status: 404 Not Found\r\n"[..]),
        Just(&b"Location: /x\n"[..]),
        Just(&b"X-Name: value\r\n"[..]),
        Just(&b"200"[..]),
        Just(&b"ab"[..]),
        Just(&b"\0"[..]),
        Just(&b"\xff"[..]),
    ];
    proptest::collection::vec(fragment, 0..20).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(output in output(), cuts in proptest::collection::vec(1usize..12, 1..8)) {
        let whole = decode(&mut ResponseDecoder::new(), [output.as_slice()]);
        prop_assert_eq!(decode(&mut ResponseDecoder::new(), pieces(&output, &cuts)), whole);
    }

    #[test]
    fn agrees_with_the_oracle(output in output()) {
        let seen = decode(&mut ResponseDecoder::new(), [output.as_slice()]);
        let expected = oracle(&output);
        prop_assert_eq!(seen.end.is_ok(), expected.is_some());
        if let (Some(head), Some((status, headers, body))) = (seen.head, expected) {
            prop_assert_eq!(head.status(), status);
            let found: Vec<_> = head.headers().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
            prop_assert_eq!(found, headers);
            prop_assert_eq!(seen.body, if [204, 304].contains(&status) { Vec::new() } else { body });
        }
    }

    #[test]
    fn any_bytes_are_survived(output: Vec<u8>, cuts in proptest::collection::vec(1usize..9, 1..4)) {
        decode(&mut ResponseDecoder::new(), pieces(&output, &cuts));
    }
}

#[test]
fn heads_are_equal_when_what_they_say_is() {
    let head = head_of(b"Status: 200 OK\r\nA: 1\r\nB: 2\r\n\r\n");
    assert_eq!(head, head_of(b"Status:200   OK \nA:1\nB:\t2\n\n"));
    for other in [
        "Status: 201 OK\r\nA: 1\r\nB: 2\r\n\r\n",
        "Status: 200 Fine\r\nA: 1\r\nB: 2\r\n\r\n",
        "Status: 200 OK\r\nA: 1\r\nB: 3\r\n\r\n",
        "Status: 200 OK\r\nB: 2\r\nA: 1\r\n\r\n",
        "Status: 200 OK\r\nA: 1\r\n\r\n",
        "Status: 404 Not Found\r\nC: 4\r\n\r\n",
    ] {
        assert_ne!(head, head_of(other.as_bytes()), "{other:?}");
    }
    // A status that goes without saying is not one that was said.
    let silent = head_of(b"A: 1\r\n\r\n");
    assert!(head.has_status() && !silent.has_status() && silent.status() == 200);
    assert_ne!(silent, head_of(b"Status: 200\r\nA: 1\r\n\r\n"));
}

#[test]
fn a_whole_response_keeps_its_parts_and_shows_none_of_its_secrets() {
    let head = head_of(b"Status: 404\r\nX-A: 1\r\nSet-Cookie: secret\r\n\r\n");
    let response =
        FullResponse::new(head.clone(), "the body".into(), "the log".into(), 0x8000_0007);
    assert_eq!((response.head(), response.status()), (&head, 404));
    assert_eq!((response.header("x-a"), response.header("x-b")), (Some(&b"1"[..]), None));
    assert_eq!((&response.body()[..], &response.stderr()[..]), (&b"the body"[..], &b"the log"[..]));
    assert_eq!(response.app_status(), 0x8000_0007);
    let shown = format!("{response:?}");
    for part in ["404", "body_len: 8", "stderr_len: 7", "2147483655"] {
        assert!(shown.contains(part), "{shown}");
    }
    for secret in ["secret", "the body", "the log"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(response.into_body(), "the body");
}

#[test]
fn a_body_is_cut_when_bytes_are_missing() {
    assert!(BodyError::TooShort { announced: 2, received: 1 }.is_cut());
    assert!(!BodyError::TooLong { announced: 1, received: 2 }.is_cut());
}
