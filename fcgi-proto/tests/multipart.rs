//! Forms with files: the bytes, their number, and that no name breaks out of its place.

use core::task::Poll;
use std::collections::VecDeque;

use bytes::Bytes;
use fcgi_proto::multipart::{Encoded, Part};
use fcgi_proto::{BodyLen, LengthError, Multipart, Request, RequestError};
use proptest::prelude::*;

/// A file in memory, given in pieces, with a length that may be a lie.
#[derive(Clone, Debug, Default)]
struct File {
    pieces: VecDeque<Bytes>,
    len: Option<u64>,
    form: Option<Box<Encoded<Self>>>,
}

impl File {
    fn of(pieces: &[&'static str]) -> Self {
        let pieces: VecDeque<Bytes> = pieces.iter().map(|&piece| piece.into()).collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, len: Some(len), form: None }
    }

    fn saying(mut self, len: impl Into<Option<u64>>) -> Self {
        self.len = len.into();
        self
    }
}

impl BodyLen for File {
    fn content_length(&self) -> Option<u64> {
        self.form.as_ref().map_or(self.len, |form| form.content_length())
    }
}

impl From<&'static str> for File {
    fn from(text: &'static str) -> Self {
        Self::of(&[text])
    }
}

impl From<Encoded<Self>> for File {
    fn from(form: Encoded<Self>) -> Self {
        Self { form: Some(Box::new(form)), ..Self::default() }
    }
}

fn read(form: &mut Encoded<File>) -> Result<Vec<u8>, LengthError> {
    let mut bytes = Vec::new();
    while let Poll::Ready(Some(chunk)) =
        form.poll_chunk(|file| Poll::Ready(file.pieces.pop_front().map(Ok::<_, LengthError>)))
    {
        bytes.extend(chunk?);
    }
    Ok(bytes)
}

fn form() -> Multipart<File> {
    Multipart::with_boundary("B")
}

fn text(form: Multipart<File>) -> String {
    let mut form = form.encode().expect("a good form");
    let len = form.content_length();
    let bytes = read(&mut form).expect("files as long as they say");
    assert_eq!(len, Some(bytes.len() as u64), "announced and sent");
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn fields_and_files_in_order() {
    let form = form()
        .text("a", "1")
        .file("f", "n.bin", File::of(&["da", "", "ta"]))
        .part("p", Part::new("{}").content_type("application/json"))
        .text("b", "two\r\nlines");
    assert_eq!(
        text(form),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
         --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\ndata\r\n\
         --B\r\nContent-Disposition: form-data; name=\"p\"\r\n\
         Content-Type: application/json\r\n\r\n{}\r\n\
         --B\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\ntwo\r\nlines\r\n--B--\r\n"
    );
    assert_eq!(text(Multipart::with_boundary("B")), "--B--\r\n");
}

#[test]
fn names_are_escaped_as_browsers_do() {
    let form = form().file("a\"\n\r\r\n", "b\"\n\r\r\nü\\x", File::of(&[]));
    assert!(
        text(form)
            .contains("name=\"a%22%0D%0A%0D%0A%0D%0A\"; filename=\"b%22%0A%0D%0D%0Aü\\x\"\r\n"),
        "line breaks of a field's name are CR LF, those of a file's stay"
    );
}

#[test]
fn what_php_would_misread_is_refused() {
    let is_name = |result: Result<_, _>| {
        matches!(result, Err::<Encoded<File>, _>(RequestError::PartName { .. }))
    };
    for name in ["a\0b", "a\\"] {
        assert!(is_name(form().text(name, "").encode()), "{name:?}");
        assert!(is_name(form().file("f", name, "").encode()), "{name:?}");
    }
    for content_type in ["a\nb", "a\rb", "a\0b"] {
        let part = Part::new("").content_type(content_type);
        let error = form().part("f", part).encode().unwrap_err();
        assert!(matches!(error, RequestError::HeaderValue { .. }), "{error}");
    }
    let long = "b".repeat(71);
    for boundary in ["", "a b", "a\r\n", "ü", &long] {
        let error = Multipart::<File>::with_boundary(boundary).encode().unwrap_err();
        assert_eq!(error, RequestError::Boundary);
    }
}

#[test]
fn a_mistake_in_a_form_is_one_of_the_request() {
    let request: Request<File> = Request::post("/x.php").multipart(form().text("a\0", ""));
    assert!(matches!(request.into_parts(), Err(RequestError::PartName { .. })));
}

#[test]
fn a_request_announces_type_and_length() {
    let request: Request<File> = Request::post("/x.php").multipart(form().file("f", "n", "data"));
    let (parts, body) = request.into_parts().expect("a good request");
    let value = |name| parts.params.get_str(name);
    assert_eq!(value("CONTENT_TYPE"), Some("multipart/form-data; boundary=B"));
    assert_eq!(value("CONTENT_LENGTH"), Some(&*body.content_length().unwrap().to_string()));
}

#[test]
fn the_length_is_unknown_when_that_of_a_file_is() {
    let form = form().text("a", "1").file("f", "n", File::of(&["data"]).saying(None));
    let mut form = form.encode().unwrap();
    assert_eq!(form.content_length(), None);
    assert!(read(&mut form).unwrap().ends_with(b"data\r\n--B--\r\n"));
}

#[test]
fn a_file_that_shrinks_or_grows_is_noticed_though_another_makes_up_for_it() {
    let grown = form().file("f", "n", File::of(&["12", "345"]).saying(4)).file(
        "g",
        "n",
        File::of(&["123"]).saying(4),
    );
    let mut grown = grown.encode().unwrap();
    assert_eq!(read(&mut grown), Err(LengthError::TooLong { excess: 1 }));
    let mut shrunk = form().file("f", "n", File::of(&["12"]).saying(4)).encode().unwrap();
    assert_eq!(read(&mut shrunk), Err(LengthError::TooShort { missing: 2 }));
}

#[test]
fn a_form_goes_on_where_a_file_was_pending() {
    let mut form = form().file("f", "n", "data").encode().unwrap();
    let never = |_: &mut File| Poll::<Option<Result<Bytes, LengthError>>>::Pending;
    assert!(form.poll_chunk(never).is_ready(), "the head of the file");
    assert!(form.poll_chunk(never).is_pending());
    assert!(form.poll_chunk(never).is_pending());
    assert_eq!(read(&mut form).unwrap(), b"data\r\n--B--\r\n");
}

#[test]
fn a_copy_has_the_same_bytes() {
    let mut form = form().text("a", "1").file("f", "n", "data").encode().unwrap();
    assert!(form.try_clone(|_| None).is_none());
    let mut copy = form.try_clone(|file| Some(file.clone())).unwrap();
    assert_eq!(read(&mut copy), read(&mut form));
}

#[test]
fn boundaries_are_long_and_never_the_same() {
    let boundary = || Multipart::<File>::new().encode().unwrap().content_type();
    let (one, two) = (boundary(), boundary());
    assert_ne!(one, two);
    assert_eq!(one.len(), "multipart/form-data; boundary=----fcgi".len() + 32);
}

proptest! {
    #[test]
    fn no_name_adds_a_line_a_quote_or_an_entry(name: Vec<u8>, file_name: Vec<u8>) {
        let Ok(mut form) = form().file(name, file_name, "data").encode() else { return Ok(()) };
        let bytes = read(&mut form).unwrap();
        let count = |wanted: &[u8]| bytes.windows(wanted.len()).filter(|&found| found == wanted).count();
        prop_assert_eq!(count(b"\""), 4);
        prop_assert_eq!(count(b"\n"), 6);
        prop_assert_eq!(count(b"\r"), 6);
        prop_assert_eq!(count(b"\0"), 0);
        prop_assert_eq!(count(b"\r\n--B"), 1);
    }
}
