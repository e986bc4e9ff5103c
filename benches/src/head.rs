//! From STDOUT bytes to the head of a response: a status and 12 headers.
//!
//! - Floor: `httparse`, a parser of HTTP/1 headers that checks names and values with vector instructions and lends them
//!   from the input; then a look for the status and the length.
//! - Ours: `ResponseDecoder`, which also collects a head that comes in pieces, so that it copies it, and keeps status,
//!   length and location.
//! - `fastcgi-client`: its conversion to an `http::Response`, from a copy of the bytes made in the preparation.

use std::hint::black_box;

use fcgi_proto::cgi::{Piece, ResponseDecoder};

use crate::{Case, Group, Who, Work, data, warm};

pub(crate) fn groups() -> Vec<Group> {
    vec![Group {
        id: "head",
        title: "response head, status and 12 headers",
        records: 0,
        cases: vec![
            Case { who: Who::Floor, make: || warm(Floor) },
            Case { who: Who::Ours, make: || warm(Ours { decoder: ResponseDecoder::new() }) },
            Case { who: Who::FastcgiClient, make: || warm(FastcgiClient { response: None }) },
        ],
    }]
}

struct Floor;

impl Work for Floor {
    fn run(&mut self) {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let parsed = httparse::parse_headers(black_box(data::HEAD), &mut headers);
        let (_, headers) = parsed.expect("a head").unwrap();
        let (mut status, mut length) = (200, None);
        for header in headers {
            if header.name.eq_ignore_ascii_case("Status") {
                status = number(&header.value[..3]);
            } else if header.name.eq_ignore_ascii_case("Content-Length") {
                length = Some(number(header.value));
            }
        }
        black_box((status, length, headers));
    }
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

struct Ours {
    decoder: ResponseDecoder,
}

impl Work for Ours {
    fn prepare(&mut self) {
        self.decoder.reset();
    }

    fn run(&mut self) {
        let mut input = black_box(data::HEAD);
        let piece = self.decoder.poll(&mut input).expect("a head");
        assert_eq!(piece, Some(Piece::Head));
        let head = self.decoder.head().expect("a head");
        black_box((head.status(), head.content_length(), head));
    }
}

struct FastcgiClient {
    response: Option<fastcgi_client::Response>,
}

impl Work for FastcgiClient {
    fn prepare(&mut self) {
        let mut response = fastcgi_client::Response::default();
        response.stdout = Some(data::HEAD.to_vec());
        self.response = Some(response);
    }

    fn run(&mut self) {
        let response = self.response.take().expect("prepared");
        let response = http::Response::<Vec<u8>>::try_from(response);
        black_box(response.expect("a response"));
    }
}
