//! Passing a request to the application.

mod app_body;
mod handover;
mod request;
mod response;
mod stderr;

pub(crate) use self::app_body::AppBody;
pub(crate) use self::request::{Place, Variables};

use bytes::Bytes;
use fcgi_proto::RequestError;
use fcgi_tokio::{Error, ErrorKind, Phase};
use http::Response;
use http::request::Parts;

use self::handover::HandOver;
use self::stderr::StderrLog;
use crate::gateway::Inner;
use crate::pages::Page;
use crate::{Body, BoxError};

/// Passes a request to the script or application at `place`, and turns its answer into a response.
pub(crate) async fn pass<B>(
    gateway: &Inner,
    parts: &Parts,
    body: B,
    place: Place<'_>,
) -> Result<Response<Body>, Page>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let params = request::environment(parts, &place, &gateway.variables, &gateway.server_software)?;
    let body = request::body(body, gateway.spool_memory, gateway.spool_limit, gateway.body_timeout)
        .await?;
    let request = fcgi_tokio::Request::from_params(params).body(body);
    let client = gateway.client.clone();
    tracing::debug!(method = %parts.method, path = parts.uri.path(), script = place.script_name, "passed to the application");
    let answer = HandOver::new(async move { client.execute(request).await }).await;
    match answer {
        Ok(answer) => response::to_http(answer, parts).await,
        Err(error) => {
            let page = page_for(&error);
            let (method, path) = (&parts.method, parts.uri.path());
            if page == Page::BAD_BODY || page == Page::STALLED {
                tracing::debug!(%method, path, %error, "the request ended early");
            } else {
                StderrLog::new(path).add(error.stderr());
                tracing::error!(%method, path, status = page.status.as_u16(), "{error}");
            }
            Err(page)
        }
    }
}

/// What a client is told about a failure: whose fault it is, and nothing else.
fn page_for(error: &Error) -> Page {
    match error.kind() {
        ErrorKind::Timeout if error.phase() == Some(Phase::Queue) => Page::OVERLOADED,
        ErrorKind::Timeout => Page::TIMEOUT,
        ErrorKind::Overloaded | ErrorKind::CantMultiplex => Page::OVERLOADED,
        ErrorKind::RequestBody if request::is_stalled(error) => Page::STALLED,
        ErrorKind::RequestBody => Page::BAD_BODY,
        ErrorKind::Request(RequestError::Begin(_)) => Page::FIELDS_TOO_LARGE,
        ErrorKind::Request(_) => Page::BAD_PATH,
        _ => Page::BAD_GATEWAY,
    }
}
