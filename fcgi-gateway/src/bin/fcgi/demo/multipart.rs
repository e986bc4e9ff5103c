//! Uploads (multipart/form-data, RFC 7578), read as they come: of a file only its length and hash are kept.

use super::sha256::Sha256;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// What was uploaded, if this is a file.
    pub(super) file: Option<FileInfo>,
    /// The start of the content, which of a plain field is all of it.
    pub(super) text: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileInfo {
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) len: u64,
    pub(super) sha256: String,
}

/// Reads the body in pieces of any size.
///
/// ```text
/// Preamble ──boundary──> Head ──empty line──> Content ──boundary──> Head ...
///                                                └─────boundary and "--"──> End
/// ```
#[derive(Debug)]
pub(super) struct Multipart {
    /// A line break, two dashes, and the boundary.
    delimiter: Vec<u8>,
    /// What is not decided yet.
    buf: Vec<u8>,
    state: State,
    part: Option<Open>,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Head,
    Content,
    End,
    Broken,
}

#[derive(Debug)]
struct Open {
    part: Part,
    hash: Sha256,
    len: u64,
}

impl Multipart {
    /// For this CONTENT_TYPE; `None` when it is another kind of body.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let (kind, rest) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(rest, "boundary")?;
        Some(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // As if the first boundary followed a line break like the others.
            buf: b"\r\n".to_vec(),
            state: State::Preamble,
            part: None,
            parts: Vec::new(),
        })
    }

    pub(super) fn feed(&mut self, data: &[u8]) {
        self.buf.extend_from_slice(data);
        while self.step() {}
    }

    /// The fields, if the body was whole.
    pub(super) fn finish(self) -> Option<Vec<Part>> {
        (self.state == State::End).then_some(self.parts)
    }

    /// Whether there may be more to do with what is there.
    fn step(&mut self) -> bool {
        match self.state {
            State::Preamble | State::Content => self.find_delimiter(),
            State::Head => self.head(),
            State::End | State::Broken => {
                self.buf.clear();
                false
            }
        }
    }

    fn find_delimiter(&mut self) -> bool {
        let found = find(&self.buf, &self.delimiter);
        let is_complete = found.is_some();
        // Without one, the end of the buffer may still be the start of one.
        let end = found.unwrap_or_else(|| self.buf.len().saturating_sub(self.delimiter.len()));
        let content: Vec<u8> = self.buf.drain(..end).collect();
        if let Some(open) = &mut self.part {
            open.add(&content);
        }
        if is_complete {
            self.buf.drain(..self.delimiter.len());
            self.close_part();
            self.state = State::Head;
        }
        is_complete
    }

    /// What follows a delimiter: two dashes at the end, else a line break, headers, and an empty line.
    fn head(&mut self) -> bool {
        if self.buf.starts_with(b"--") {
            self.state = State::End;
            return true;
        }
        let end = find(&self.buf, b"\r\n\r\n");
        let is_long = end.unwrap_or(self.buf.len()) > LONGEST_HEAD;
        if is_long || self.parts.len() >= MOST_PARTS {
            self.state = State::Broken;
            return true;
        }
        let Some(end) = end else {
            return false;
        };
        let head: Vec<u8> = self.buf.drain(..end + 4).collect();
        self.part = Some(Open::new(&String::from_utf8_lossy(&head)));
        self.state = State::Content;
        true
    }

    fn close_part(&mut self) {
        if let Some(open) = self.part.take() {
            self.parts.push(open.close());
        }
    }
}

impl Open {
    fn new(head: &str) -> Self {
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let disposition = header("Content-Disposition").unwrap_or_default();
        let file = parameter(&disposition, "filename").map(|name| FileInfo {
            name,
            content_type: header("Content-Type").unwrap_or_default(),
            len: 0,
            sha256: String::new(),
        });
        let name = parameter(&disposition, "name").unwrap_or_default();
        Self { part: Part { name, file, text: Vec::new() }, hash: Sha256::new(), len: 0 }
    }

    fn add(&mut self, content: &[u8]) {
        self.len += content.len() as u64;
        self.hash.update(content);
        let room = KEPT_TEXT.saturating_sub(self.part.text.len());
        self.part.text.extend(content.iter().take(room));
    }

    fn close(self) -> Part {
        let Self { mut part, hash, len } = self;
        if let Some(file) = &mut part.file {
            file.len = len;
            file.sha256 = hash.finish();
        }
        part
    }
}

/// `; name="value"` or `; name=value`. Browsers write a quote in a value as `%22`.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut is_quoted = false;
    let mut parts = text.split(|char| {
        is_quoted ^= char == '"';
        char == ';' && !is_quoted
    });
    parts.find_map(|part| {
        let (found, value) = part.split_once('=')?;
        let value = value.trim();
        let value =
            value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        found.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let rest = haystack.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

const KEPT_TEXT: usize = 1000;
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_PARTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=----x";
    const BODY: &str = "------x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
        ------x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a; b.txt\"\r\n\
        Content-Type: text/plain\r\n\r\nabc\r\n------\r\n\r\n------x--\r\n";

    fn parts(cut: usize) -> Option<Vec<Part>> {
        let mut multipart = Multipart::new(TYPE)?;
        BODY.as_bytes().chunks(cut).for_each(|piece| multipart.feed(piece));
        multipart.finish()
    }

    #[test]
    fn at_every_cut() {
        for cut in 1..=BODY.len() {
            let parts = parts(cut).expect("it is whole");
            let [note, file] = parts.as_slice() else { panic!("{parts:?}") };
            assert_eq!(
                (note.name.as_str(), &note.text[..], &note.file),
                ("note", &b"hello"[..], &None)
            );
            let info = file.file.as_ref().expect("it is a file");
            assert_eq!(
                (info.name.as_str(), info.content_type.as_str()),
                ("a; b.txt", "text/plain")
            );
            assert_eq!((info.len, &file.text[..]), (13, &b"abc\r\n------\r\n"[..]));
        }
    }

    #[test]
    fn a_part_of_it_is_nothing() {
        let mut multipart = Multipart::new(TYPE).expect("of that type");
        multipart.feed(&BODY.as_bytes()[..BODY.len() - 10]);
        assert_eq!(multipart.finish(), None);
        assert!(Multipart::new("application/json").is_none());
    }
}
