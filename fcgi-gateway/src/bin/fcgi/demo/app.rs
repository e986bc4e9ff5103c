//! The application that the demo shows.

use core::num::NonZeroU16;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use fcgi_proto::Params;
use fcgi_tokio::server::{Aborted, Config, Handler, InputError, Request, Server, Stdin, Stdout};

use super::form;
use super::multipart::{Multipart, Part};
use super::page::{self, View};
use super::record::{Book, Current};
use super::sha256::Sha256;

/// Answers the requests of one connection.
#[derive(Debug)]
pub(super) struct App {
    book: Arc<Book>,
    current: Current,
}

/// What came as the body of a request.
#[derive(Debug)]
pub(super) enum Body {
    None,
    Fields(Vec<(String, String)>),
    Parts(Vec<Part>),
    Other { len: u64, sha256: String },
    Unreadable(&'static str),
}

impl App {
    pub(super) const fn new(book: Arc<Book>, current: Current) -> Self {
        Self { book, current }
    }

    /// One request at a time, so that the records of each can be told apart.
    pub(super) fn into_server(self) -> Server<Self> {
        Server::new(self).config(Config::default().max_requests(NonZeroU16::MIN))
    }

    /// The records of an earlier exchange: a part of a page, or a page.
    fn trace(&self, number: &str, is_part: bool) -> Option<String> {
        let exchange = self.book.find(number.parse().ok()?)?;
        let list = page::trace(&exchange.lines());
        Some(if is_part { list } else { page::trace_page(exchange.number, &list) })
    }
}

impl Handler for App {
    type Error = io::Error;

    async fn handle(&self, request: Request) -> io::Result<u32> {
        let Request { params, mut stdin, stdout, aborted, .. } = request;
        let number = self.current.number();
        let is_head = params.get("REQUEST_METHOD") == Some(b"HEAD");
        let mut answer = Answer { stdout, number, is_head };
        let path = params.get_str("PATH_INFO").unwrap_or_default();
        let query = params.get_str("QUERY_STRING").unwrap_or_default();
        match path {
            "/" => {
                let body = read(&params, &mut stdin).await?;
                answer.html("200 OK", page::page(&View { number, params: &params, body })).await?;
            }
            "/stream" => answer.stream(&aborted).await?,
            "/demo.css" => answer.whole("200 OK", "text/css", page::CSS.to_owned()).await?,
            "/demo.js" => answer.whole("200 OK", "text/javascript", page::JS.to_owned()).await?,
            _ => {
                let trace = path
                    .strip_prefix("/trace/")
                    .and_then(|number| self.trace(number, query == "part"));
                match trace {
                    Some(page) => answer.html("200 OK", page).await?,
                    None => answer.html("404 Not Found", page::not_found()).await?,
                }
            }
        }
        Ok(0)
    }
}

struct Answer {
    stdout: Stdout,
    number: u64,
    is_head: bool,
}

impl Answer {
    async fn html(&mut self, status: &str, text: String) -> io::Result<()> {
        self.whole(status, "text/html", text).await
    }

    async fn whole(&mut self, status: &str, content_type: &str, text: String) -> io::Result<()> {
        self.head(status, content_type, Some(text.len())).await?;
        if !self.is_head {
            self.stdout.write(text).await?;
        }
        Ok(())
    }

    /// Lines with time between them.
    async fn stream(&mut self, aborted: &Aborted) -> io::Result<()> {
        self.head("200 OK", "text/plain", None).await?;
        if self.is_head {
            return Ok(());
        }
        for line in 1..=STREAM_LINES {
            let text = format!("line {line} of {STREAM_LINES}\n");
            self.stdout.write(text).await?;
            if line < STREAM_LINES {
                tokio::select! {
                    () = tokio::time::sleep(STREAM_GAP) => {}
                    () = aborted.wait() => return Ok(()),
                }
            }
        }
        Ok(())
    }

    async fn head(
        &mut self,
        status: &str,
        content_type: &str,
        len: Option<usize>,
    ) -> io::Result<()> {
        let mut head = format!(
            "Status: {status}\r\n\
             Content-Type: {content_type}; charset=utf-8\r\n\
             Content-Security-Policy: default-src 'self'; img-src data:\r\n\
             Cache-Control: no-store\r\n\
             X-Exchange: {}\r\n",
            self.number
        );
        if let Some(len) = len {
            head.push_str(&format!("Content-Length: {len}\r\n"));
        }
        head.push_str("\r\n");
        Ok(self.stdout.write(head).await?)
    }
}

/// Reads what the browser has sent, without keeping files.
async fn read(params: &Params, stdin: &mut Stdin) -> io::Result<Body> {
    let content_type = params.get_str("CONTENT_TYPE").unwrap_or_default();
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return match stdin.collect(LONGEST_FORM).await {
            Ok(text) => Ok(Body::Fields(form::decode(&text))),
            Err(InputError::TooLarge { .. }) => Ok(Body::Unreadable("form is longer than 64 KiB")),
            Err(error) => Err(error.into()),
        };
    }
    if let Some(mut multipart) = Multipart::new(content_type) {
        while let Some(chunk) = stdin.chunk().await? {
            multipart.feed(&chunk);
        }
        let parts = multipart.finish();
        return Ok(parts.map_or(Body::Unreadable("form is malformed"), Body::Parts));
    }
    let (mut len, mut hash) = (0, Sha256::new());
    while let Some(chunk) = stdin.chunk().await? {
        len += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(if len == 0 { Body::None } else { Body::Other { len, sha256: hash.finish() } })
}

const LONGEST_FORM: usize = 64 * 1024;
const STREAM_LINES: u32 = 8;
const STREAM_GAP: Duration = Duration::from_millis(400);
