use core::mem::discriminant;

use fcgi_proto::cgi::{HeadError, Piece, ResponseDecoder, ResponseError, ResponseHead};

use super::input::{Input, pieces};

#[derive(Debug, Default, PartialEq)]
struct Read {
    status: Option<u16>,
    reason: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    content_length: Option<u64>,
    body: Vec<u8>,
    received: u64,
    is_complete: bool,
}

/// The output of a script at two cuttings: the same head, body and errors; never more than it announced; nothing in the
/// head that could not be forwarded.
pub fn response_head(data: &[u8]) {
    let mut input = Input::new(data);
    let (first, second, options) = (input.byte(), input.byte(), input.byte());
    let output = input.rest();
    let (whole, whole_end) = read(output, 0, options);
    for cut in [first, second] {
        let (cut, cut_end) = read(output, cut, options);
        assert_eq!(cut, whole);
        match (&cut_end, &whole_end) {
            (Err(ResponseError::Head(one)), Err(ResponseError::Head(other))) => {
                assert_eq!(discriminant(one), discriminant(other), "{one}, {other}");
            }
            (one, other) => assert_eq!(one, other),
        }
    }
    judge(&whole, &whole_end, options);
    if options == 0 {
        assert_eq!(ResponseHead::parse(output).ok().map(|head| head.status()), whole.status);
    }
}

fn decoder(options: u8) -> ResponseDecoder {
    let decoder = ResponseDecoder::new().head_only(options & 1 == 1);
    match options >> 1 & 3 {
        0 => decoder,
        1 => decoder.head_limit(20),
        2 => decoder.max_fields(2),
        _ => decoder.head_limit(0),
    }
}

fn read(output: &[u8], cut: u8, options: u8) -> (Read, Result<(), ResponseError>) {
    let mut decoder = decoder(options);
    if options & 8 == 8 {
        // A decoder that has read another response before is as good as new.
        _ = decoder.poll(&mut &b"A: b\r\n\r\nx"[..]);
        _ = decoder.finish();
        decoder.reset();
        decoder.set_head_only(options & 1 == 1);
    }
    let mut read = Read::default();
    for mut input in pieces(output, cut) {
        loop {
            let before = input.len();
            match decoder.poll(&mut input) {
                Ok(Some(Piece::Head)) => {
                    assert_eq!(read.status, None, "one head");
                    note(&mut read, decoder.head().expect("it is complete"));
                }
                Ok(Some(Piece::Body(data))) => {
                    assert!(read.status.is_some() && !data.is_empty());
                    read.body.extend(data);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(input.len(), before, "it is where it was");
                    let again: Result<_, HeadError> = decoder.poll(&mut input);
                    assert_eq!(again, Err(error), "it is repeated");
                    assert!(!error.to_string().is_empty());
                    return (read, Err(error.into()));
                }
            }
        }
        assert!(input.is_empty(), "all of the input is taken");
    }
    read.received = decoder.body_received();
    read.is_complete = decoder.is_body_complete();
    let end = decoder.finish();
    (read, end)
}

fn note(read: &mut Read, head: &ResponseHead) {
    read.status = Some(head.status());
    read.reason = head.reason().to_vec();
    read.headers = head.headers().map(|(name, value)| (name.into(), value.to_vec())).collect();
    read.content_length = head.content_length();
    _ = head.redirect();
}

fn judge(read: &Read, end: &Result<(), ResponseError>, options: u8) {
    let Some(status) = read.status else {
        assert!(end.is_err() && read.body.is_empty());
        return;
    };
    assert!((200..=999).contains(&status));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    for (name, value) in &read.headers {
        assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
        assert!(value.iter().all(is_text), "{value:?}");
        assert!(!name.eq_ignore_ascii_case("status"));
    }
    assert!(read.reason.iter().all(is_text), "{:?}", read.reason);
    let len = u64::try_from(read.body.len()).expect("it fits");
    assert!(len <= read.received);
    if options & 1 == 1 || status == 204 || status == 304 {
        assert!(read.body.is_empty() && end.is_ok() && read.is_complete);
    } else if let Some(announced) = read.content_length {
        assert_eq!(len, read.received.min(announced), "never more than announced");
        assert_eq!(end.is_ok(), read.received == announced);
        assert_eq!(read.is_complete, read.received >= announced);
    } else {
        assert_eq!(len, read.received);
        assert!(end.is_ok() && !read.is_complete);
    }
}
