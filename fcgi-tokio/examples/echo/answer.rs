//! What the application answers: the same in all adapters, which differ in the types and in `sleep`.

use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Aborted, InputError, PEER, Params, Request, Stdin, Stdout, sleep};

pub(crate) async fn echo(request: Request) -> io::Result<u32> {
    let Request { params, mut stdin, mut stdout, mut stderr, aborted, .. } = request;
    let query = Query(params.get("QUERY_STRING").unwrap_or_default());
    let body = if query.has("noread") { Body::default() } else { Body::read(&mut stdin).await? };
    if let Some(millis) = query.number("sleep") {
        if is_aborted_within(Duration::from_millis(millis), aborted).await {
            return Ok(1);
        }
    }
    if let Some(text) = query.get("stderr") {
        stderr.write(text.to_vec()).await?;
    }
    answer(&params, &query, body, &mut stdout).await?;
    Ok(query.number("exit").and_then(|status| u32::try_from(status).ok()).unwrap_or(0))
}

/// Waits so long, or until the web server has lost interest.
async fn is_aborted_within(time: Duration, aborted: Aborted) -> bool {
    let (mut sleep, mut aborted) = (pin!(sleep(time)), pin!(aborted));
    poll_fn(|cx| {
        if aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        sleep.as_mut().poll(cx).map(|_| false)
    })
    .await
}

async fn answer(
    params: &Params,
    query: &Query<'_>,
    body: Body,
    stdout: &mut Stdout,
) -> io::Result<()> {
    let is_head = params.get("REQUEST_METHOD") == Some(b"HEAD");
    let status = query.get("status");
    if let Some(token) = params.get("EVIL_TOKEN") {
        head(stdout, "application/json", None).await?;
        let spaces = params.get_str("EVIL_BIG").and_then(|count| count.parse().ok()).unwrap_or(0);
        if !is_head {
            repeat(stdout, b" ", spaces).await?;
            stdout.write(evil(params, token, body)).await?;
        }
    } else if let Some(size) = query.number("size") {
        head(stdout, "application/octet-stream", status).await?;
        if !is_head {
            repeat(stdout, b"0123456789abcdef", size).await?;
        }
    } else if let Some(count) = query.number("drip") {
        head(stdout, "text/plain", status).await?;
        if !is_head {
            drip(stdout, count, query.number("gap").unwrap_or(0)).await?;
        }
    } else {
        head(stdout, "application/x-ndjson", status).await?;
        if !is_head {
            stdout.write(lines(params, query, body)).await?;
        }
    }
    Ok(())
}

async fn head(stdout: &mut Stdout, content_type: &str, status: Option<&[u8]>) -> io::Result<()> {
    let mut head = Vec::new();
    if let Some(status) = status {
        head.extend_from_slice(b"Status: ");
        head.extend_from_slice(status);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("Content-Type: {content_type}\r\n\r\n").as_bytes());
    Ok(stdout.write(head).await?)
}

/// Writes `size` bytes of a repeated pattern, without holding them.
async fn repeat(stdout: &mut Stdout, pattern: &[u8], mut size: u64) -> io::Result<()> {
    let block = Bytes::from(pattern.repeat(BLOCK / pattern.len()));
    while size > 0 {
        let count = usize::try_from(size).unwrap_or(usize::MAX).min(block.len());
        stdout.write(block.slice(..count)).await?;
        size -= count as u64;
    }
    Ok(())
}

async fn drip(stdout: &mut Stdout, count: u64, gap: u64) -> io::Result<()> {
    for i in 1..=count {
        stdout.write(format!("drip {i}\n")).await?;
        stdout.flush().await?;
        if i < count {
            sleep(Duration::from_millis(gap)).await;
        }
    }
    Ok(())
}

fn lines(params: &Params, query: &Query<'_>, body: Body) -> String {
    let method = params.get("REQUEST_METHOD").unwrap_or_default();
    let mut text = format!("{{\"peer\":\"{PEER}\"}}\n{{\"method\":{}}}\n", json(method));
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
    async fn read(stdin: &mut Stdin) -> Result<Self, InputError> {
        let mut body = Self::default();
        while let Some(chunk) = stdin.chunk().await? {
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
