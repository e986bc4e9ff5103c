//! Where a body ends.

use std::io::{self, BufRead, Read};

use super::Cut;

/// What is left of a body.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks; so many bytes of the current one are left.
    Chunks { left: u64, first: bool },
    /// Everything until the connection is closed.
    Close,
    /// Nothing any more.
    End,
}

impl Framing {
    /// RFC 9112, section 6.3.
    pub(super) fn of(status: u16, headers: &[(String, String)], answers_head: bool) -> Self {
        let value = |name: &str| {
            let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        if answers_head || matches!(status, 100..=199 | 204 | 304) {
            Self::End
        } else if value("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            Self::Chunks { left: 0, first: true }
        } else if let Some(length) = value("content-length") {
            Self::Length(length.parse().expect("Content-Length is a number"))
        } else {
            Self::Close
        }
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }

    /// Appends what one read gives; an empty addition means the end.
    pub(super) fn read(
        &mut self,
        input: &mut impl BufRead,
        body: &mut Vec<u8>,
    ) -> Result<usize, Cut> {
        let limit = match self {
            Self::End => return Ok(0),
            Self::Length(left) => *left,
            Self::Close => u64::MAX,
            Self::Chunks { left: 0, first } => {
                let first = core::mem::replace(first, false);
                let size = next_chunk(input, first)?;
                if size == 0 {
                    *self = Self::End;
                    return Ok(0);
                }
                *self = Self::Chunks { left: size, first: false };
                size
            }
            Self::Chunks { left, .. } => *left,
        };
        if limit == 0 {
            *self = Self::End;
            return Ok(0);
        }
        let available = input.fill_buf().map_err(|error| Cut::Failed(error.kind()))?;
        let count = available.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        body.extend_from_slice(&available[..count]);
        input.consume(count);
        self.took(count)
    }

    fn took(&mut self, count: usize) -> Result<usize, Cut> {
        match self {
            Self::Length(left) if count == 0 => return Err(Cut::Short { missing: *left }),
            Self::Chunks { .. } if count == 0 => return Err(Cut::NoLastChunk),
            Self::Close if count == 0 => *self = Self::End,
            Self::Length(left) | Self::Chunks { left, .. } => *left -= count as u64,
            Self::Close | Self::End => {}
        }
        if matches!(self, Self::Length(0)) {
            *self = Self::End;
        }
        Ok(count)
    }
}

/// The size of the next chunk; 0 after the last one, whose trailer is skipped.
fn next_chunk(input: &mut impl BufRead, first: bool) -> Result<u64, Cut> {
    if !first && !line(input)?.is_empty() {
        return Err(Cut::BadChunk("no line end after a chunk".to_owned()));
    }
    let head = line(input)?;
    let digits = head.split(';').next().unwrap_or_default().trim();
    let size = u64::from_str_radix(digits, 16).map_err(|_| Cut::BadChunk(head.clone()))?;
    if size == 0 {
        while !line(input)?.is_empty() {}
    }
    Ok(size)
}

fn line(input: &mut impl BufRead) -> Result<String, Cut> {
    match read_line(input) {
        Ok(Some(line)) => Ok(line),
        Ok(None) => Err(Cut::NoLastChunk),
        Err(error) => Err(Cut::Failed(error.kind())),
    }
}

/// A line without its end; `None` when the input ends before it does.
pub(super) fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

const LONGEST_LINE: u64 = 1 << 20;
