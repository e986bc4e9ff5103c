//! The lines of a head: from the collected bytes to the fields of a [`ResponseHead`].
//!
//! Called once, when the empty line has come, so that cuts in the input cannot matter.

use core::ops::Range;

use memchr::{memchr, memchr_iter};

use super::head::{Field, ResponseHead, Span};
use super::head_error::HeadError;
use super::names::{is_token, trim};
use crate::error::FirstBytes;

/// Reads all lines of `head.buf`, which ends with an empty one.
pub(super) fn parse(head: &mut ResponseHead, max_fields: usize) -> Result<(), HeadError> {
    let mut start = 0;
    let buf = core::mem::take(&mut head.buf);
    let result = memchr_iter(b'\n', &buf).try_for_each(|end| {
        let line = Line { buf: &buf, start, end };
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

/// A line as offsets into the buffer, without its line feed.
struct Line<'b> {
    buf: &'b [u8],
    start: usize,
    end: usize,
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
        // Without a colon a line is no header. Swoole's client skips such lines, nginx and Apache refuse the response.
        // A stray warning above the head should not take the page down; a head with nothing else is refused as a whole.
        let Some(colon) = memchr(b':', line).map(|at| self.start + at) else {
            return Ok(());
        };
        let name = self.bytes(self.start..colon);
        if !is_token(name) {
            return Err(self.bad_name(head));
        }
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
        if self.bytes(value.clone()).iter().any(|&byte| is_control(byte)) {
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
pub(super) fn parse_decimal(text: &[u8]) -> Option<u64> {
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
