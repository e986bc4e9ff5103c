//! The headers about forwarding as lists of what each proxy has added.

use alloc::vec::Vec;

use super::ForwardingError;
use crate::cgi::names::{token_len, trim};

/// Values of the headers that may be of interest, line by line in their order.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) x_forwarded_for: Vec<&'a [u8]>,
    pub(super) x_forwarded_proto: Vec<&'a [u8]>,
    pub(super) x_forwarded_host: Vec<&'a [u8]>,
    pub(super) x_forwarded_port: Vec<&'a [u8]>,
    pub(super) x_real_ip: Vec<&'a [u8]>,
    pub(super) forwarded: Vec<&'a [u8]>,
}

impl<'a> Fields<'a> {
    pub(super) fn collect(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let lines = match () {
                () if name.eq_ignore_ascii_case(b"X-Forwarded-For") => &mut fields.x_forwarded_for,
                () if name.eq_ignore_ascii_case(b"X-Forwarded-Proto") => {
                    &mut fields.x_forwarded_proto
                }
                () if name.eq_ignore_ascii_case(b"X-Forwarded-Host") => {
                    &mut fields.x_forwarded_host
                }
                () if name.eq_ignore_ascii_case(b"X-Forwarded-Port") => {
                    &mut fields.x_forwarded_port
                }
                () if name.eq_ignore_ascii_case(b"X-Real-IP") => &mut fields.x_real_ip,
                () if name.eq_ignore_ascii_case(b"Forwarded") => &mut fields.forwarded,
                () => continue,
            };
            lines.push(value);
        }
        fields
    }
}

/// The entries of a plain list from the right, over all its lines, without empty ones.
pub(super) fn from_the_right<'l, 'a>(
    lines: &'l [&'a [u8]],
) -> impl Iterator<Item = &'a [u8]> + use<'l, 'a> {
    lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|&byte| byte == b','))
        .map(trim)
        .filter(|entry| !entry.is_empty())
}

/// What one proxy has added to `Forwarded` (RFC 7239 section 4). Values are without quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) r#for: Option<&'a [u8]>,
    pub(super) proto: Option<&'a [u8]>,
    pub(super) host: Option<&'a [u8]>,
    has_by: bool,
}

/// All elements of all lines. A line must be right as a whole: an open quotation mark of a client would otherwise swallow
/// what a proxy has written behind it.
pub(super) fn elements<'a>(lines: &[&'a [u8]]) -> Result<Vec<Element<'a>>, ForwardingError> {
    let mut elements = Vec::new();
    for line in lines {
        let mut rest = trim(line);
        while !rest.is_empty() {
            if let Some(element) = take_element(&mut rest)? {
                elements.push(element);
            }
        }
    }
    Ok(elements)
}

/// Takes an element with the comma behind it; `None` when it is empty, which lists allow.
fn take_element<'a>(rest: &mut &'a [u8]) -> Result<Option<Element<'a>>, ForwardingError> {
    let mut element = Element::default();
    let mut is_empty = true;
    loop {
        *rest = trim(rest);
        let (name, after) = rest.split_at(token_len(rest));
        *rest = after;
        if !name.is_empty() {
            is_empty = false;
            let value = take_value(rest)?;
            element.set(name, value)?;
        }
        *rest = trim(rest);
        match *rest {
            [] => break,
            [b';', tail @ ..] => *rest = tail,
            [b',', tail @ ..] => {
                *rest = tail;
                break;
            }
            _ => return Err(ForwardingError::Syntax),
        }
    }
    Ok((!is_empty).then_some(element))
}

/// Takes `=` and a token or a quoted string. Nothing that is read has a reason to hold a backslash, so none may.
fn take_value<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ForwardingError> {
    let after = rest.strip_prefix(b"=").ok_or(ForwardingError::Syntax)?;
    let (value, after) = match after.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|&byte| byte == b'"' || byte == b'\\');
            let (value, after) = quoted.split_at(end.ok_or(ForwardingError::Syntax)?);
            (value, after.strip_prefix(b"\"").ok_or(ForwardingError::Syntax)?)
        }
        None => after.split_at(value_len(after)),
    };
    *rest = after;
    Ok(value)
}

/// A token, and the colon and brackets of addresses that some proxies forget to quote.
fn value_len(text: &[u8]) -> usize {
    let is_end = |&byte: &u8| matches!(byte, b',' | b';' | b' ' | b'\t' | b'"' | b'=' | b'\\');
    text.iter().position(is_end).unwrap_or(text.len())
}

impl<'a> Element<'a> {
    fn set(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), ForwardingError> {
        let place = match () {
            () if name.eq_ignore_ascii_case(b"for") => &mut self.r#for,
            () if name.eq_ignore_ascii_case(b"proto") => &mut self.proto,
            () if name.eq_ignore_ascii_case(b"host") => &mut self.host,
            () if name.eq_ignore_ascii_case(b"by") => {
                let is_repeat = core::mem::replace(&mut self.has_by, true);
                return if is_repeat { Err(ForwardingError::Syntax) } else { Ok(()) };
            }
            // Extensions are allowed, and are no business of ours.
            () => return Ok(()),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(ForwardingError::Syntax),
        }
    }
}
