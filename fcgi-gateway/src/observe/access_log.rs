//! A line for every request.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use http::Version;
use jiff::Timestamp;
use serde::Serialize;

use super::{Event, LogFile, Observer, Record};

/// Writes a line for every request whose answer has ended.
///
/// Whatever a client sends, it cannot forge a line or leave its field: control characters, quotes, backslashes, and bytes
/// beyond ASCII are escaped, in the text formats as `\xHH`, which nginx does as well.
///
/// ```no_run
/// use fcgi_gateway::Gateway;
/// use fcgi_gateway::observe::{AccessLog, LogFile, LogFormat};
///
/// let file = LogFile::open("/var/log/site/access.log")?;
/// let log = AccessLog::new(LogFormat::Combined, file.clone());
/// let gateway = Gateway::builder("/srv/site").fpm("127.0.0.1:9000").observe(log).build()?;
/// file.reopen(); // when logrotate says so
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: LogFormat,
    file: LogFile,
}

/// How a line of the [`AccessLog`] looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// NCSA's, known to every tool: `192.0.2.1 - - [25/Nov/2026:22:18:47 +0000] "GET /a?b HTTP/1.1" 200 5316`.
    Common,
    /// The same, and the `Referer` and `User-Agent` fields, as nginx and Apache write it.
    #[default]
    Combined,
    /// An object of JSON with all that is known: the request's id, the application, the time of each phase, bytes both
    /// ways, and how it ended. Times are in seconds.
    Json,
}

impl AccessLog {
    /// A log in this format that goes to `file`.
    #[must_use]
    pub const fn new(format: LogFormat, file: LogFile) -> Self {
        Self { format, file }
    }
}

impl Observer for AccessLog {
    fn observe(&self, event: &Event) {
        if let Event::Ended(record) = event {
            let mut line = match self.format {
                LogFormat::Common => text(record, false),
                LogFormat::Combined => text(record, true),
                LogFormat::Json => json(record),
            };
            line.push(b'\n');
            self.file.line(line);
        }
    }
}

impl FromStr for LogFormat {
    type Err = ParseLogFormatError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "common" => Ok(Self::Common),
            "combined" => Ok(Self::Combined),
            "json" => Ok(Self::Json),
            _ => Err(ParseLogFormatError(())),
        }
    }
}

/// The name of a log format is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLogFormatError(());

impl fmt::Display for ParseLogFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected common, combined or json")
    }
}

impl std::error::Error for ParseLogFormatError {}

fn text(record: &Record, is_combined: bool) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    match record.remote() {
        Some(remote) => put(&mut line, format_args!("{}", remote.ip())),
        None => line.push(b'-'),
    }
    let time = timestamp(record.began()).strftime("%d/%b/%Y:%H:%M:%S +0000");
    put(&mut line, format_args!(" - - [{time}] \""));
    escape(&mut line, record.method().as_str().as_bytes());
    line.push(b' ');
    escape(&mut line, record.target().as_bytes());
    put(
        &mut line,
        format_args!(" {}\" {} {}", protocol(record.version()), record.status(), record.sent()),
    );
    if is_combined {
        for name in ["referer", "user-agent"] {
            line.extend_from_slice(b" \"");
            let value = record.parts.headers.get(name).map_or(&b"-"[..], |value| value.as_bytes());
            escape(&mut line, value);
            line.push(b'"');
        }
    }
    line
}

/// Writing to memory does not fail.
fn put(line: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = line.write_fmt(text);
}

fn escape(line: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => put(line, format_args!("\\x{byte:02X}")),
            _ => line.push(byte),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: &'a str,
    remote: Option<IpAddr>,
    method: &'a str,
    host: Option<Cow<'a, str>>,
    target: &'a str,
    protocol: &'a str,
    status: u16,
    outcome: &'a str,
    received: u64,
    sent: u64,
    duration: f64,
    until_head: f64,
    upstream: Option<String>,
    queue: Option<f64>,
    connect: Option<f64>,
    head: Option<f64>,
    referer: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
}

fn json(record: &Record) -> Vec<u8> {
    let timings = record.upstream_timings();
    let line = Line {
        time: format!("{:.3}", timestamp(record.began())),
        id: record.id().as_str(),
        remote: record.remote().map(|remote| remote.ip()),
        method: record.method().as_str(),
        host: record.host().map(Cow::Borrowed).or_else(|| readable(record, "host")),
        target: record.target(),
        protocol: protocol(record.version()),
        status: record.status(),
        outcome: record.outcome().as_str(),
        received: record.received(),
        sent: record.sent(),
        duration: seconds(record.total()),
        until_head: seconds(record.until_head()),
        upstream: record.upstream().map(ToString::to_string),
        queue: timings.map(|timings| seconds(timings.queue)),
        connect: timings.map(|timings| seconds(timings.connect)),
        head: timings.map(|timings| seconds(timings.head)),
        referer: readable(record, "referer"),
        user_agent: readable(record, "user-agent"),
        traceparent: readable(record, "traceparent"),
    };
    serde_json::to_vec(&line).unwrap_or_default()
}

/// A header field as text. Most that is not ASCII is UTF-8; what is not has U+FFFD in its place.
fn readable<'a>(record: &'a Record, name: &str) -> Option<Cow<'a, str>> {
    Some(String::from_utf8_lossy(record.parts.headers.get(name)?.as_bytes()))
}

/// Whole microseconds: more digits say nothing.
fn seconds(time: Duration) -> f64 {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or_default()
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connection;
    use crate::observe::{Identify, Outcome};
    use fcgi_tokio::{Address, Timings};
    use http::header::{HeaderMap, HeaderValue};
    use http::{Method, Request};

    fn record() -> Record {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::from_bytes(b"BREW").unwrap();
        parts.uri = "/pot?size=big".parse().unwrap();
        let evil = b"me\\\"\x01 \xff\" 200 -";
        let evil = Vec::from_iter(evil.iter().copied().filter(|byte| *byte != 1));
        parts.headers.insert("user-agent", HeaderValue::from_bytes(&evil).unwrap());
        parts.headers.insert("host", HeaderValue::from_static("example.org"));
        let connection =
            Connection::new("192.0.2.1:4711".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
        parts.extensions.insert(connection);
        Record {
            id: Identify::On.identify(&mut HeaderMap::new(), false),
            parts,
            client: None,
            began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_109_127_123),
            status: 418,
            outcome: Outcome::Cut,
            upstream: Some((
                Address::tcp("10.0.0.1", 9000),
                Timings { queue: Duration::from_nanos(1_500_900), ..Timings::default() },
            )),
            until_head: Duration::from_millis(20),
            total: Duration::from_millis(2500),
            received: 7,
            sent: 42,
            stderr: Vec::new(),
            failure: None,
        }
    }

    #[test]
    fn text_formats() {
        let record = record();
        let common =
            r#"192.0.2.1 - - [25/Nov/2025:22:18:47 +0000] "BREW /pot?size=big HTTP/1.1" 418 42"#;
        assert_eq!(String::from_utf8(text(&record, false)).unwrap(), common);
        let combined = format!(r#"{common} "-" "me\x5C\x22 \xFF\x22 200 -""#);
        assert_eq!(String::from_utf8(text(&record, true)).unwrap(), combined);
    }

    #[test]
    fn nothing_ends_a_line() {
        let mut line = Vec::new();
        escape(&mut line, b"a\r\nb\t\x7f\x00\x1b[31m");
        assert_eq!(line, br"a\x0D\x0Ab\x09\x7F\x00\x1B[31m");
    }

    #[test]
    fn json_has_all_there_is() {
        let record = record();
        let value: serde_json::Value = serde_json::from_slice(&json(&record)).unwrap();
        for (name, expected) in [
            ("time", "2025-11-25T22:18:47.123Z".into()),
            ("id", record.id().as_str().into()),
            ("remote", "192.0.2.1".into()),
            ("host", "example.org".into()),
            ("target", "/pot?size=big".into()),
            ("status", 418.into()),
            ("outcome", "cut".into()),
            ("upstream", "10.0.0.1:9000".into()),
            ("queue", serde_json::json!(0.0015)),
            ("duration", serde_json::json!(2.5)),
            ("user_agent", "me\\\" \u{fffd}\" 200 -".into()),
            ("referer", serde_json::Value::Null),
        ] {
            assert_eq!(value[name], expected, "{name}");
        }
        assert!(!json(&record).contains(&b'\n'));
    }

    #[test]
    fn names_of_formats() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("combined".parse(), Ok(LogFormat::Combined));
        assert!("apache".parse::<LogFormat>().unwrap_err().to_string().contains("combined"));
    }
}
