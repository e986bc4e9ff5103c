//! Printing an answer as it comes.

use core::future::poll_fn;
use std::io::{self, Write};

use bytes::Bytes;
use fcgi_proto::cgi::{ResponseHead, script_error};
use fcgi_tokio::{Error, ErrorKind, Response, ResponseBody};

use super::exit::Failure;

/// Prints the answer, and gives its status.
pub(super) async fn copy(response: Response, with_head: bool) -> Result<u16, Failure> {
    let (head, body) = response.into_parts();
    let mut answer = Answer { body, ends_in_line: true };
    answer.print_stderr();
    if with_head {
        print(&text_of(&head))?;
    }
    // What php-fpm says when there is no script looks like a page, a very short one.
    let mut first = Vec::new();
    let is_suspect = matches!(head.status(), 403 | 404);
    let mut is_first = true;
    let result = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                print(&chunk)?;
                if is_suspect && is_first {
                    first.extend_from_slice(&chunk);
                    is_first = first.len() < LONGER_THAN_THOSE;
                }
            }
            Ok(None) => break Ok(()),
            // What it said on standard error is printed already.
            Err(error) => break Err(error.with_stderr([])),
        }
    };
    answer.end_stderr();
    result?;
    match script_error(head.status(), &first) {
        Some(error) => Err(Error::new(ErrorKind::ScriptNotFound(error)).into()),
        None => Ok(head.status()),
    }
}

struct Answer {
    body: ResponseBody,
    /// Whether a message of ours can follow the application's error output.
    ends_in_line: bool,
}

impl Answer {
    /// The next piece of the body; error output that comes meanwhile is printed.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| {
            let chunk = self.body.poll_chunk(cx);
            self.print_stderr();
            chunk
        })
        .await
    }

    fn print_stderr(&mut self) {
        let text = self.body.take_stderr();
        if let Some(last) = text.last() {
            self.ends_in_line = *last == b'\n';
            // If nobody reads it, that is no reason to give up.
            let _ = io::stderr().write_all(&text);
        }
    }

    fn end_stderr(&mut self) {
        if !self.ends_in_line {
            let _ = io::stderr().write_all(b"\n");
        }
        let dropped = self.body.stderr_dropped();
        if dropped > 0 {
            eprintln!("fcgi: {dropped} bytes of error output came too fast and were left out");
        }
    }
}

fn print(data: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// As an HTTP server would send it.
fn text_of(head: &ResponseHead) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {}", head.status()).into_bytes();
    let reason = match head.reason() {
        b"" => http::StatusCode::from_u16(head.status())
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default()
            .as_bytes(),
        reason => reason,
    };
    if !reason.is_empty() {
        text.push(b' ');
        text.extend_from_slice(reason);
    }
    text.extend_from_slice(b"\r\n");
    for (name, value) in head.headers() {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The longest answer of php-fpm about a missing script has 25 bytes.
const LONGER_THAN_THOSE: usize = 64;
