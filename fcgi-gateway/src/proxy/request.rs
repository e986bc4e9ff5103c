//! From an HTTP request to the application's: its variables and its body.

use core::time::Duration;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fcgi_proto::Params;
use fcgi_proto::cgi::{Environment, EnvironmentError, PhpSettings};
use fcgi_tokio::AuthorizerVariables;
use fcgi_tokio::server::RemoteAddr;
use http::Version;
use http::request::Parts;
use tower_http::timeout::{TimeoutBody, TimeoutError};

use crate::pages::Page;
use crate::spool::{SpoolError, Spooled, spool};
use crate::{BoxError, Connection};

/// Who answers: a script below a document root, or an application as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) root: Option<&'a Path>,
    pub(crate) script_name: &'a str,
    pub(crate) path_info: &'a str,
}

/// What the settings say about the variables of every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    /// The document root as the application sees it.
    pub(crate) root: Option<PathBuf>,
    /// In order: a value, or that there is to be none.
    pub(crate) changes: Vec<(String, Option<String>)>,
    pub(crate) php_settings: PhpSettings,
}

impl Variables {
    fn apply<'a>(&'a self, environment: Environment<'a>) -> Environment<'a> {
        let environment = environment.php_settings(&self.php_settings);
        self.changes.iter().fold(environment, |environment, (name, value)| match value {
            Some(value) => environment.param(name, value),
            None => environment.remove(name),
        })
    }
}

/// The variables of the request. CONTENT_LENGTH follows with the body.
pub(super) fn environment(
    parts: &Parts,
    place: &Place<'_>,
    variables: &Variables,
    server_software: &str,
) -> Result<Params, Page> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let headers =
        parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let mut environment = Environment::new(parts.method.as_str(), target)
        .map_err(page_for)?
        .headers(headers)
        .protocol(protocol(parts.version))
        .server_software(server_software)
        .script_name(place.script_name)
        .path_info(place.path_info)
        .content_length(None);
    if let Some(root) = place.root {
        let root = variables.root.as_deref().unwrap_or(root);
        environment = environment.document_root(root.as_os_str().as_bytes());
    }
    // The target's host counts, whether it came with an absolute target or with HTTP/2.
    if let Some(authority) = parts.uri.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        environment = environment.authority(host);
    }
    environment = match parts.extensions.get::<Connection>() {
        Some(connection) => environment
            .https(connection.is_https())
            .remote_addr(connection.remote())
            .server_addr(connection.local()),
        None => match parts.extensions.get() {
            // Behind a web server that is asked over FastCGI.
            Some(&RemoteAddr(client)) => environment.remote_addr(client),
            None => environment.remove("REMOTE_ADDR"),
        },
    };
    // The specification's way for an authorizer to tell the script who it let in (section 6.3).
    if let Some(granted) = parts.extensions.get::<AuthorizerVariables>() {
        for (name, value) in granted.as_params() {
            environment = environment.param(name, value);
        }
    }
    variables.apply(environment).params().map_err(page_for)
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

fn page_for(error: EnvironmentError) -> Page {
    tracing::debug!(%error, "bad request");
    match error {
        EnvironmentError::Host => Page::BAD_HOST,
        _ => Page::BAD_PATH,
    }
}

/// The body as the application gets it.
///
/// A short one is collected first: then a slow client does not keep a worker of the application waiting, and a client
/// that leaves early has already said everything. A longer one of known length is streamed. One of unknown length is
/// spooled until its length is known. In each case a client that sends nothing for `timeout` is given up.
pub(super) async fn body<B>(
    body: B,
    in_memory: usize,
    limit: u64,
    timeout: Option<Duration>,
) -> Result<fcgi_tokio::Body, Page>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(fcgi_tokio::Body::empty());
    }
    let length = body.size_hint().exact();
    let body = TimeoutBody::new(timeout.unwrap_or(FOR_EVER), body);
    let spooled = match length {
        Some(length) if length > SHORT => {
            let body = http_body_util::BodyDataStream::new(body);
            return Ok(fcgi_tokio::Body::stream(body, Some(length)));
        }
        Some(length) => spool(body, usize::MAX, length).await,
        None => spool(body, in_memory, limit).await,
    };
    match spooled {
        Ok(Spooled::Memory(data)) => Ok(data.into()),
        Ok(Spooled::File(file, length)) => Ok(fcgi_tokio::Body::reader(file, Some(length))),
        Err(SpoolError::TooLarge) => Err(Page::TOO_LARGE),
        Err(SpoolError::Body(error)) if is_stalled(&*error) => Err(Page::STALLED),
        Err(SpoolError::Body(error)) => {
            tracing::debug!(%error, "the request body broke off");
            Err(Page::BAD_BODY)
        }
        Err(SpoolError::File(error)) => {
            tracing::error!(%error, "cannot keep a request body in a temporary file");
            Err(Page::INTERNAL)
        }
    }
}

/// Whether an error is that of a client that has sent nothing for too long.
pub(super) fn is_stalled(error: &(dyn core::error::Error + 'static)) -> bool {
    error.is::<TimeoutError>() || error.source().is_some_and(is_stalled)
}

/// A year, as the timer takes no infinity.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The length of bodies that are collected before the application is asked; most forms are shorter.
const SHORT: u64 = 64 * 1024;
