//! An application that tells what it was asked, for trying out web servers and clients.
//!
//! ```text
//! blocking_echo [--max-requests N] [--no-multiplex] (ADDRESS | --fd0 | --systemd)
//! ```
//!
//! It listens on ADDRESS (`HOST:PORT`, `unix:PATH`) on the socket that is descriptor 0, or on those that systemd
//! has opened, reads the body, and answers
//! with one JSON object a line: the parameters in their order, and the body's length and hash. The query string changes
//! that: `size=N` bytes of a pattern, `drip=K&gap=MS` for K lines with time between, `status=404`, `stderr=TEXT`,
//! `sleep=MS`, `exit=N` for the application status, `noread`. SIGTERM ends it once the requests under way are answered.

use std::fmt::Write;
use std::io;
use std::num::NonZeroU16;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fcgi_blocking::Params;
use fcgi_blocking::server::{Config, InputError, Listener, Request, Server, Stdin, Stdout};
use md5::Md5;
use sha2::{Digest, Sha256};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    let mut listener = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--max-requests" => {
                let count = arguments.next().ok_or("--max-requests needs a number")?;
                config = config.max_requests(count.parse()?);
            }
            "--no-multiplex" => config = config.max_requests(NonZeroU16::MIN),
            "--fd0" => listener = Some(Listener::from_fd0()?),
            "--systemd" => listener = Some(Listener::from_systemd()?),
            address => listener = Some(Listener::bind(address)?),
        }
    }
    let listener = listener.ok_or(
        "usage: blocking_echo [--max-requests N] [--no-multiplex] (ADDRESS | --fd0 | --systemd)",
    )?;
    let server = Server::new(echo).config(config);
    let shutdown = server.shutdown_handle();
    let mut signals = Signals::new([SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            shutdown.shutdown();
        }
    });
    server.serve(listener)?;
    Ok(())
}

fn echo(request: Request) -> io::Result<u32> {
    let Request { params, mut stdin, mut stdout, mut stderr, aborted, .. } = request;
    let query = Query(params.get("QUERY_STRING").unwrap_or_default());
    let body = if query.has("noread") { Body::default() } else { Body::read(&mut stdin)? };
    if let Some(millis) = query.number("sleep") {
        if aborted.wait_timeout(Duration::from_millis(millis)) {
            return Ok(1);
        }
    }
    if let Some(text) = query.get("stderr") {
        stderr.write(text.to_vec())?;
    }
    answer(&params, &query, body, &mut stdout)?;
    Ok(query.number("exit").and_then(|status| u32::try_from(status).ok()).unwrap_or(0))
}

fn answer(params: &Params, query: &Query<'_>, body: Body, stdout: &mut Stdout) -> io::Result<()> {
    let is_head = params.get("REQUEST_METHOD") == Some(b"HEAD");
    let status = query.get("status");
    if let Some(token) = params.get("EVIL_TOKEN") {
        head(stdout, "application/json", None)?;
        let spaces = params.get_str("EVIL_BIG").and_then(|count| count.parse().ok()).unwrap_or(0);
        if !is_head {
            repeat(stdout, b" ", spaces)?;
            stdout.write(evil(params, token, body))?;
        }
    } else if let Some(size) = query.number("size") {
        head(stdout, "application/octet-stream", status)?;
        if !is_head {
            repeat(stdout, b"0123456789abcdef", size)?;
        }
    } else if let Some(count) = query.number("drip") {
        head(stdout, "text/plain", status)?;
        if !is_head {
            drip(stdout, count, query.number("gap").unwrap_or(0))?;
        }
    } else {
        head(stdout, "application/x-ndjson", status)?;
        if !is_head {
            stdout.write(lines(params, query, body))?;
        }
    }
    Ok(())
}

fn head(stdout: &mut Stdout, content_type: &str, status: Option<&[u8]>) -> io::Result<()> {
    let mut head = Vec::new();
    if let Some(status) = status {
        head.extend_from_slice(b"Status: ");
        head.extend_from_slice(status);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("Content-Type: {content_type}\r\n\r\n").as_bytes());
    Ok(stdout.write(head)?)
}

/// Writes `size` bytes of a repeated pattern, without holding them.
fn repeat(stdout: &mut Stdout, pattern: &[u8], mut size: u64) -> io::Result<()> {
    let block = Bytes::from(pattern.repeat(BLOCK / pattern.len()));
    while size > 0 {
        let count = usize::try_from(size).unwrap_or(usize::MAX).min(block.len());
        stdout.write(block.slice(..count))?;
        size -= count as u64;
    }
    Ok(())
}

fn drip(stdout: &mut Stdout, count: u64, gap: u64) -> io::Result<()> {
    for i in 1..=count {
        stdout.write(format!("drip {i}\n"))?;
        stdout.flush()?;
        if i < count {
            thread::sleep(Duration::from_millis(gap));
        }
    }
    Ok(())
}

fn lines(params: &Params, query: &Query<'_>, body: Body) -> String {
    let method = params.get("REQUEST_METHOD").unwrap_or_default();
    let mut text = format!("{{\"peer\":\"fcgi-blocking\"}}\n{{\"method\":{}}}\n", json(method));
    let _ = writeln!(text, "{{\"query\":{}}}", json(query.0));
    for (name, value) in params {
        let _ = writeln!(text, "{{\"param\":{},\"value\":{}}}", json(name), json(value));
    }
    let hash = hex(&body.sha256.finalize());
    let _ = writeln!(text, "{{\"body_len\":{},\"body_sha256\":\"{hash}\"}}", body.len);
    text
}

fn evil(params: &Params, token: &[u8], body: Body) -> String {
    let pairs: Vec<String> =
        params.iter().map(|(name, value)| format!("[{},{}]", json(name), json(value))).collect();
    format!(
        "{{\"token\":{},\"params\":[{}],\"stdin_len\":{},\"stdin_md5\":\"{}\"}}",
        json(token),
        pairs.join(","),
        body.len,
        hex(&body.md5.finalize()),
    )
}

/// What is told of a body.
#[derive(Default)]
struct Body {
    len: u64,
    sha256: Sha256,
    md5: Md5,
}

impl Body {
    fn read(stdin: &mut Stdin) -> Result<Self, InputError> {
        let mut body = Self::default();
        while let Some(chunk) = stdin.chunk()? {
            body.len += chunk.len() as u64;
            body.sha256.update(&chunk);
            body.md5.update(&chunk);
        }
        Ok(body)
    }
}

struct Query<'q>(&'q [u8]);

impl Query<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.split(|byte| *byte == b'&').any(|part| part == name.as_bytes())
            || self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut parts = self.0.split(|byte| *byte == b'&');
        parts.find_map(|part| part.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    fn number(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(self.get(name)?).ok()?.parse().ok()
    }
}

/// A JSON string of bytes that may be no text: what is not plain ASCII is written byte by byte.
fn json(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                let _ = write!(text, "\\u{byte:04x}");
            }
            _ => text.push(char::from(byte)),
        }
    }
    text.push('"');
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const BLOCK: usize = 64 * 1024;
