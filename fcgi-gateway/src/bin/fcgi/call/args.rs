//! The command line of `fcgi call`.

use core::time::Duration;
use std::path::PathBuf;

use fcgi_tokio::{Address, Timeouts};

/// Call a script on a FastCGI application, such as PHP-FPM, and print its answer
///
/// Fields are sent as a form, by POST; with `-X GET` they go to the query string. Without fields and data it is a GET.
/// The body goes to standard output as it comes, the application's error output to standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  \
    0  status below 400\n  \
    1  status 400 or above\n  \
    2  wrong usage, or data that cannot be read\n  \
    3  no connection\n  \
    4  timeout\n  \
    5  connection broken, or an answer that is not FastCGI and CGI\n  \
    6  the application found no such script\n\n\
    Examples:\n  \
    fcgi call 127.0.0.1:9000 /srv/greeter.php who=Swoole\n  \
    fcgi call unix:/run/php/php-fpm.sock 'report.php?year=2025' -i\n  \
    fcgi call 127.0.0.1:9000 api.php --json '{\"id\": 1}' -H 'Authorization: Bearer x'\n  \
    fcgi call 127.0.0.1:9000 upload.php -X PUT -H 'Content-Type: image/png' -d @photo.png")]
pub(crate) struct CallArgs {
    /// Where the application listens: HOST:PORT, or unix:/PATH
    #[arg(value_name = "ADDR")]
    pub(super) address: Address,

    /// Path of the script as the application sees it, with a ?query if need be; a relative one starts from here
    pub(super) script: String,

    /// Form fields, or fields of the query
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) fields: Vec<(String, String)>,

    /// Request method [default: GET, or POST if there is something to send]
    #[arg(short = 'X', long, value_parser = method)]
    pub(super) method: Option<String>,

    /// HTTP header for the script; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,

    /// Body: text, @FILE, or - for standard input; sent as a form unless a Content-Type header says otherwise
    #[arg(short, long, allow_hyphen_values = true, value_parser = source)]
    #[arg(conflicts_with_all = ["fields", "json"])]
    pub(super) data: Option<Source>,

    /// Body in JSON, which is checked: text, @FILE, or - for standard input
    #[arg(long, value_name = "DATA", allow_hyphen_values = true, value_parser = source)]
    #[arg(conflicts_with = "fields")]
    pub(super) json: Option<Source>,

    /// FastCGI parameter, sent as it is, in place of what it would be; may be given several times
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = param)]
    pub(super) params: Vec<(String, String)>,

    /// Print status and headers before the body
    #[arg(short, long)]
    pub(super) include: bool,

    /// Time for everything, reading standard input included; 0 waits for ever
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(super) timeout: Duration,

    /// Print each FastCGI record to standard error: > sent, < received
    #[arg(long)]
    pub(super) trace: bool,
}

/// Where a body comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Text(String),
    File(PathBuf),
    Stdin,
}

/// What is sent along.
#[derive(Debug)]
pub(super) enum Content<'a> {
    None,
    Query(&'a [(String, String)]),
    Form(&'a [(String, String)]),
    Data(&'a Source),
    Json(&'a Source),
}

impl CallArgs {
    pub(super) fn content(&self) -> Content<'_> {
        let has_no_body = matches!(self.method.as_deref(), Some("GET" | "HEAD"));
        match (&self.data, &self.json) {
            (Some(source), _) => Content::Data(source),
            (None, Some(source)) => Content::Json(source),
            (None, None) if self.fields.is_empty() => Content::None,
            (None, None) if has_no_body => Content::Query(&self.fields),
            (None, None) => Content::Form(&self.fields),
        }
    }

    /// One limit for everything, so that it means what it says; connecting has its usual one besides. `left` is what is left
    /// of it.
    pub(super) fn timeouts(&self, left: Duration) -> Timeouts {
        Timeouts::default().with_first_byte(None).with_idle(None).with_total(left)
    }
}

impl Content<'_> {
    pub(super) fn is_body(&self) -> bool {
        !matches!(self, Self::None | Self::Query(_))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// The length of the body is not for choice: PHP waits for what is announced and never comes.
fn param(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    if name == "CONTENT_LENGTH" {
        return Err("CONTENT_LENGTH is the length of the body and cannot be another".to_owned());
    }
    Ok((name, value))
}

fn method(text: &str) -> Result<String, String> {
    match http::Method::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected a method such as GET or POST".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.trim().to_owned())),
        _ => Err("expected NAME: VALUE".to_owned()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap wants")]
fn source(text: &str) -> Result<Source, String> {
    Ok(match text.strip_prefix('@') {
        _ if text == "-" => Source::Stdin,
        Some("-") => Source::Stdin,
        Some(path) => Source::File(path.into()),
        None => Source::Text(text.to_owned()),
    })
}

/// Whole or fractional seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
