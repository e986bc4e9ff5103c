//! The answers that are files.

use std::io::ErrorKind;

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::Body;
use crate::files::{Files, Opened};
use crate::handoff::Found;
use crate::pages::Page;

/// The file that a script named, with the headers of that script.
pub(crate) async fn send_instead(
    found: &Found<'_>,
    parts: &Parts,
    headers: HeaderMap,
) -> Result<Response<Body>, Page> {
    let mut parts = parts.clone();
    if parts.method != Method::HEAD {
        parts.method = Method::GET;
    }
    let mut response = send_file(found.files, &parts, &found.path, None).await?;
    let to = response.headers_mut();
    for name in headers.keys() {
        to.remove(name);
    }
    for (name, value) in &headers {
        to.append(name, value.clone());
    }
    Ok(response)
}

/// The file at `path`, which may be open already.
pub(crate) async fn send_file(
    files: &Files,
    parts: &Parts,
    path: &str,
    opened: Option<Box<Opened>>,
) -> Result<Response<Body>, Page> {
    let response =
        files.send(&parts.method, &parts.headers, path, opened).await.map_err(|error| {
            match error.kind() {
                // It went away after it was looked for, or is not ours to read: a client learns no difference.
                ErrorKind::NotFound => Page::NOT_FOUND,
                ErrorKind::PermissionDenied => {
                    tracing::warn!(path, %error, "a file of the site may not be read");
                    Page::NOT_FOUND
                }
                _ => {
                    tracing::error!(path, %error, "cannot read a file");
                    Page::INTERNAL
                }
            }
        })?;
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Err(Page::BAD_METHOD),
        StatusCode::NOT_FOUND => Err(Page::NOT_FOUND),
        _ => Ok(response.map(Body::file)),
    }
}
