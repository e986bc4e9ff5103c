//! Any FastCGI byte stream as readable lines, one a record.
//!
//! ```
//! use fcgi_proto::trace::Trace;
//!
//! let mut trace = Trace::new();
//! let mut lines = Vec::new();
//! trace.feed(b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0\x01\x05\0\x01\0\x02\x06\0hi\0\0\0\0\0\0", |line| lines.push(line.to_string()));
//! assert_eq!(lines, [
//!     "BEGIN_REQUEST     id 1     responder, keep_conn",
//!     r#"STDIN             id 1     2 bytes, 6 padding  "hi""#,
//! ]);
//! ```

use alloc::vec::Vec;
use core::fmt;

use crate::decode::{Decoder, Piece};
use crate::error::ProtocolError;
use crate::params::{Escaped, is_secret};
use crate::telemetry;
use crate::wire::{BODY_LEN, BeginRequest, EndRequest, Header, RecordType, UnknownType};
use crate::{Address, Params};

/// Parameters for a log: as a list of names and values, without secrets.
///
/// Values are left out of names that [`is_secret`] knows, and so are queries, which hold tokens often enough: of
/// QUERY_STRING, and behind the `?` of REQUEST_URI and HTTP_REFERER. Their lengths are shown instead.
///
/// ```
/// use fcgi_proto::{Params, trace::masked};
///
/// let params: Params =
///     [("REQUEST_URI", "/reset?code=s3cret"), ("HTTP_COOKIE", "a=1")].into_iter().collect();
/// assert_eq!(format!("{:?}", masked(&params)), r#"{"REQUEST_URI": "/reset?<11 bytes>", "HTTP_COOKIE": "<3 bytes>"}"#);
/// ```
#[must_use]
pub const fn masked(params: &Params) -> impl fmt::Debug {
    Masked(params)
}

struct Masked<'p>(&'p Params);

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            let shown = match name {
                _ if is_secret(name) => &[],
                b"QUERY_STRING" => &[],
                b"REQUEST_URI" | b"HTTP_REFERER" => without_query(value),
                _ => value,
            };
            let (hidden, mark) = match value.len() - shown.len() {
                0 => (0, ""),
                hidden if shown.is_empty() => (hidden, ""),
                hidden => (hidden - 1, "?"),
            };
            let name = Escaped(name);
            if hidden > 0 {
                let value = shown.escape_ascii();
                map.entry(&name, &format_args!("\"{value}{mark}<{hidden} bytes>\""));
            } else {
                map.entry(&name, &Escaped(shown));
            }
        }
        map.finish()
    }
}

/// What stands before the `?`.
pub(crate) fn without_query(target: &[u8]) -> &[u8] {
    target.split(|&byte| byte == b'?').next().unwrap_or_default()
}

/// For adapters: a connection to an application was made. With the feature `tracing` it is told as an event.
pub fn connected(address: &Address) {
    telemetry::connected(address);
}

/// For adapters: a request is sent again, after so many attempts. With the feature `tracing` it is told as an event.
pub fn retrying(attempts: u32) {
    telemetry::retrying(attempts);
}

/// How many bytes of a stream record are kept to show: parameters whole up to this, other content a short start.
const KEPT: usize = 64 * 1024;
const SHOWN: usize = 60;

/// Reads the bytes of one direction and tells of each record; see the [module](self).
///
/// It never holds more than one record, and judges nothing but framing: what comes in which order, and who may send it,
/// is shown as it is.
///
/// ```
/// use fcgi_proto::trace::Trace;
///
/// let mut lines = Vec::new();
/// Trace::new().feed(b"\x01\x05\0\x01\0\0\0\0HTTP/1.1", |line| lines.push(line.to_string()));
/// assert_eq!(lines, ["STDIN             id 1     end of stream", "!! record has version 72, expected 1"]);
/// ```
#[derive(Clone, Default)]
pub struct Trace {
    decoder: Decoder,
    content: Vec<u8>,
    is_broken: bool,
}

/// One record, or the reason why no more can be told apart. `Display` and `Debug` give the line.
///
/// Of parameters that [may be secret](is_secret) it has the length alone.
///
/// ```
/// use fcgi_proto::{RecordType, trace::Trace};
///
/// Trace::new().feed(b"\x01\x04\0\x01\0\x0d\0\0\x0b\0HTTP_COOKIE", |line| {
///     assert_eq!(line.record_type(), Some(RecordType::Params));
///     assert!(line.to_string().ends_with("HTTP_COOKIE = <0 bytes>"));
/// });
/// ```
#[derive(Clone, Copy)]
pub struct Line<'t>(Kind<'t>);

#[derive(Clone, Copy)]
enum Kind<'t> {
    Body(Header, [u8; BODY_LEN]),
    Content(Header, &'t [u8]),
    Broken(ProtocolError),
}

impl Trace {
    /// A trace at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads more of the stream and calls `each` for every record that it completes. Bytes after lost framing are
    /// ignored, after one line that tells of it.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while !self.is_broken {
            match self.decoder.poll(&mut bytes) {
                Ok(None) => return,
                Ok(Some(Piece::Body { header, body })) => each(Line(Kind::Body(header, body))),
                Ok(Some(piece @ Piece::Content { header, data, .. })) => {
                    let room = KEPT.saturating_sub(self.content.len());
                    self.content.extend(data.iter().take(room));
                    if piece.is_last() {
                        each(Line(Kind::Content(header, &self.content)));
                        self.content.clear();
                    }
                }
                Err(error) => {
                    self.is_broken = true;
                    each(Line(Kind::Broken(error)));
                }
            }
        }
    }
}

impl Line<'_> {
    /// The type of the record; `None` on the line that tells of lost framing.
    #[must_use]
    pub fn record_type(&self) -> Option<RecordType> {
        match self.0 {
            Kind::Body(header, _) | Kind::Content(header, _) => Some(header.record_type),
            Kind::Broken(_) => None,
        }
    }
}

impl fmt::Debug for Trace {
    /// Figures only: what is half read may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("kept", &self.content.len())
            .field("is_broken", &self.is_broken)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Line<'_> {
    /// The line, as the bytes behind it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({self})")
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = match self.0 {
            Kind::Body(header, _) | Kind::Content(header, _) => header,
            Kind::Broken(error) => return write!(f, "!! {error}"),
        };
        write!(f, "{:<17} id {:<5} ", header.record_type, header.request_id)?;
        match self.0 {
            Kind::Body(_, body) => write_body(f, header.record_type, body)?,
            Kind::Content(_, content) => return write_content(f, header, content),
            Kind::Broken(_) => {}
        }
        write_padding(f, header)
    }
}

fn write_body(
    f: &mut fmt::Formatter<'_>,
    record_type: RecordType,
    body: [u8; BODY_LEN],
) -> fmt::Result {
    match record_type {
        RecordType::BeginRequest => {
            let begin = BeginRequest::decode(body);
            let keep = if begin.keep_conn() { "keep_conn" } else { "close" };
            write!(f, "{}, {keep}", begin.role)
        }
        RecordType::EndRequest => {
            let end = EndRequest::decode(body);
            write!(f, "{}, app_status {}", end.protocol_status, end.app_status)
        }
        _ => write!(f, "of type {}", UnknownType::decode(body).record_type),
    }
}

fn write_content(f: &mut fmt::Formatter<'_>, header: Header, content: &[u8]) -> fmt::Result {
    match (header.content_len, header.record_type) {
        (0, RecordType::AbortRequest) => f.write_str("-")?,
        (
            0,
            RecordType::Params
            | RecordType::Stdin
            | RecordType::Stdout
            | RecordType::Stderr
            | RecordType::Data,
        ) => f.write_str("end of stream")?,
        (1, _) => f.write_str("1 byte")?,
        (len, _) => write!(f, "{len} bytes")?,
    }
    write_padding(f, header)?;
    if header.content_len == 0 {
        return Ok(());
    }
    let is_pairs = matches!(
        header.record_type,
        RecordType::Params | RecordType::GetValues | RecordType::GetValuesResult
    );
    match Params::parse(content) {
        Ok(params) if is_pairs => write_pairs(f, &params),
        // A cut pair may be a secret, and what is left of it has no name to tell.
        Err(error) if is_pairs => write!(f, "  ({error})"),
        _ => {
            f.write_str("  ")?;
            write_bytes(f, content)
        }
    }
}

fn write_pairs(f: &mut fmt::Formatter<'_>, params: &Params) -> fmt::Result {
    for (name, value) in params {
        write!(f, "\n    {} = ", name.escape_ascii())?;
        if is_secret(name) {
            write!(f, "<{} bytes>", value.len())?;
        } else {
            write_bytes(f, value)?;
        }
    }
    Ok(())
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match bytes.split_at_checked(SHOWN) {
        Some((shown, rest)) if !rest.is_empty() => write!(f, "\"{}\"…", shown.escape_ascii()),
        _ => write!(f, "\"{}\"", bytes.escape_ascii()),
    }
}

fn write_padding(f: &mut fmt::Formatter<'_>, header: Header) -> fmt::Result {
    match header.padding_len {
        0 => Ok(()),
        padding => write!(f, ", {padding} padding"),
    }
}
