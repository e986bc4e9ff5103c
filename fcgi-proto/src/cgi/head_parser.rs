//! The lines of a head: from the collected bytes to the fields of a [`ResponseHead`].
//!
//! Called once, when the empty line has come, so that cuts in the input cannot matter.

use core::ops::Range;

use memchr::{memchr, memchr_iter};

use super::head::{Field, ResponseHead, Span};
use super::head_error::HeadError;
use super::names::{token_len, trim};
use crate::error::FirstBytes;

/// Reads all lines of `head.buf`, which ends with an empty one.
pub(super) fn parse(head: &mut ResponseHead, max_fields: usize) -> Result<(), HeadError> {
    let mut start = 0;
    let buf = core::mem::take(&mut head.buf);
    let is_clean = is_clean(&buf);
    head.fields.reserve(USUAL_FIELDS);
    let result = memchr_iter(b'\n', &buf).try_for_each(|end| {
        let line = Line { buf: &buf, start, end, is_clean };
        start = end + 1;
        line.parse(head, max_fields)
    });
    let first = FirstBytes::new(&buf);
    head.buf = buf;
    result?;
    if head.fields.is_empty() && head.status.is_none() {
        return Err(HeadError::NoHeader { first });
    }
    Ok(())
}

/// What most responses have less of.
const USUAL_FIELDS: usize = 12;

/// A line as offsets into the buffer, without its line feed.
struct Line<'b> {
    buf: &'b [u8],
    start: usize,
    end: usize,
    /// No value needs to be checked.
    is_clean: bool,
}

impl Line<'_> {
    fn parse(mut self, head: &mut ResponseHead, max_fields: usize) -> Result<(), HeadError> {
        if self.bytes(self.start..self.end).ends_with(b"\r") {
            self.end -= 1;
        }
        let line = self.bytes(self.start..self.end);
        if self.start == 0 && line.starts_with(b"HTTP/") {
            return self.status_line(head);
        }
        let colon = self.start + token_len(line);
        if colon == self.start || self.buf.get(colon) != Some(&b':') {
            return self.no_header(head);
        }
        let name = self.bytes(self.start..colon);
        let span = self.value(colon + 1)?;
        let value = self.bytes(span.clone());
        if name.eq_ignore_ascii_case(b"Status") {
            return self.status(span, head);
        }
        let field = Field { name: Span::new(self.start..colon), value: Span::new(span) };
        known_header(name, value, field.value, head)?;
        if head.fields.len() >= max_fields {
            return Err(HeadError::TooManyFields { limit: max_fields });
        }
        head.fields.push(field);
        Ok(())
    }

    /// The line does not begin with a token and a colon.
    #[cold]
    fn no_header(&self, head: &ResponseHead) -> Result<(), HeadError> {
        // Without a colon a line is no header. Swoole's client skips such lines, nginx and Apache refuse the response.
        // A stray warning above the head should not take the page down; a head with nothing else is refused as a whole.
        match memchr(b':', self.bytes(self.start..self.end)) {
            None => Ok(()),
            Some(_) => Err(self.bad_name(head)),
        }
    }

    fn bad_name(&self, head: &ResponseHead) -> HeadError {
        let line = self.bytes(self.start..self.end);
        let first = FirstBytes::new(line);
        match line.first() {
            Some(b' ' | b'\t') => HeadError::Continuation { first },
            // HTML from the start rather than one bad header.
            _ if head.fields.is_empty() && head.status.is_none() => {
                HeadError::NoHeader { first: FirstBytes::new(self.buf) }
            }
            _ => HeadError::Name { first },
        }
    }

    /// `HTTP/1.1 404 Not Found`, as PHP writes with `cgi.rfc2616_headers=1` in place of `Status`.
    fn status_line(&self, head: &mut ResponseHead) -> Result<(), HeadError> {
        let line = self.bytes(self.start..self.end);
        let version_len = memchr(b' ', line).unwrap_or(line.len());
        let value = self.value(self.start + version_len)?;
        self.status(value, head)
    }

    /// Where the value lies that begins at `from` and ends with the line, blanks trimmed and bytes checked.
    fn value(&self, from: usize) -> Result<Range<usize>, HeadError> {
        let value = self.trimmed(from..self.end);
        if !self.is_clean && self.bytes(value.clone()).iter().any(|&byte| is_control(byte)) {
            let line = self.bytes(self.start..self.end);
            return Err(HeadError::Value { first: FirstBytes::new(line) });
        }
        Ok(value)
    }

    /// `3digit-code [SP reason-phrase]` (RFC 3875 section 6.3.3). The first one counts, as in nginx.
    fn status(&self, value: Range<usize>, head: &mut ResponseHead) -> Result<(), HeadError> {
        let code = parse_status(self.bytes(value.clone()))?;
        if head.status.is_none() {
            head.status = Some(code);
            head.reason = Span::new(self.trimmed(value.start + 3..value.end));
        }
        Ok(())
    }

    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let text = self.bytes(range.clone());
        let start =
            range.start + text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        start..start + trim(text).len()
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buf.get(range).unwrap_or_default()
    }
}

/// Keeps what later questions are about.
fn known_header(
    name: &[u8],
    value: &[u8],
    span: Span,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    if name.eq_ignore_ascii_case(b"Location") && head.location.is_none() {
        head.location = Some(span);
    } else if name.eq_ignore_ascii_case(b"Content-Length") {
        let length = parse_decimal(value);
        if length.is_none() || head.content_length.is_some_and(|earlier| Some(earlier) != length) {
            return Err(HeadError::ContentLength { first: FirstBytes::new(value) });
        }
        head.content_length = length;
    }
    Ok(())
}

fn parse_status(value: &[u8]) -> Result<u16, HeadError> {
    let invalid = HeadError::Status { first: FirstBytes::new(value) };
    let (digits, reason) = value.split_at_checked(3).ok_or(invalid)?;
    if !matches!(reason.first(), None | Some(b' ' | b'\t')) {
        return Err(invalid);
    }
    let code = parse_decimal(digits).and_then(|code| u16::try_from(code).ok());
    match code.ok_or(invalid)? {
        code @ 100..200 => Err(HeadError::InterimStatus(code)),
        code @ 200.. => Ok(code),
        _ => Err(invalid),
    }
}

/// Digits alone: no sign, no blank, no list.
pub(crate) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What may not be in a field value (RFC 9110 section 5.5), the tab excepted.
const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Whether the buffer as a whole holds no control characters but tabs and ends of lines. Without a way out of its loop,
/// so that the compiler can take many bytes at a time.
fn is_clean(buf: &[u8]) -> bool {
    let followers = buf.iter().skip(1);
    !buf.iter().zip(followers).fold(false, |is_dirty, (&byte, &next)| {
        let is_line_end = (byte == b'\n') | ((byte == b'\r') & (next == b'\n'));
        is_dirty | (byte.is_ascii_control() & (byte != b'\t') & !is_line_end)
    })
}
