//! Passing a request to the application.

mod app_body;
mod handover;
mod overflow;
mod read_ahead;
mod request;
mod response;
mod stderr;

pub(crate) use self::overflow::Disk;
pub(crate) use self::read_ahead::{ReadAhead, Streamed};
pub(crate) use self::request::{Place, Variables, forwarding};
pub(crate) use self::response::Answer;

use core::future::poll_fn;
use core::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::RequestError;
use fcgi_tokio::{Error, ErrorKind, Phase};
use http::request::Parts;

use self::handover::HandOver;
use self::stderr::StderrLog;
use crate::BoxError;
use crate::gateway::Inner;
use crate::observe::Context;
use crate::pages::{Failure, Page};

/// Passes a request to the script or application at `place`, and turns its answer into a response, or into what is to be
/// sent instead.
pub(crate) async fn pass<'g, B>(
    gateway: &'g Inner,
    parts: &Parts,
    body: B,
    place: Place<'_>,
    context: &Arc<Context>,
) -> Result<Answer<'g>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let params = request::environment(parts, &place, gateway)?;
    let body = crate::inbound::receive(body, &gateway.inbound).await?;
    let request = fcgi_tokio::Request::from_params(params).body(body);
    let pool = gateway.upstreams.running().clone();
    tracing::debug!(method = %parts.method, path = parts.uri.path(), script = place.script_name, request = %context.id(), "passed to the application");
    let mut work = HandOver::new(async move { pool.execute(request).await });
    // The answer is large, and passes through here without being kept.
    poll_fn(|cx| {
        Pin::new(&mut work).poll(cx).map(|answer| match answer {
            Ok(answer) => Ok(response::to_http(answer, cx, parts, context, gateway)?),
            Err(error) => Err(failed(gateway, parts, context, &error)),
        })
    })
    .await
}

fn failed(gateway: &Inner, parts: &Parts, context: &Arc<Context>, error: &Error) -> Failure {
    let page = page_for(error);
    let (method, path, request) = (&parts.method, parts.uri.path(), context.id());
    if error.kind() == ErrorKind::RequestBody {
        tracing::debug!(%method, path, %request, %error, "the request ended early");
        return page.into();
    }
    if error.kind() == ErrorKind::Connect {
        gateway.upstreams.doubt();
    }
    StderrLog::new(context).add(error.stderr());
    tracing::error!(%method, path, %request, status = page.status.as_u16(), "{error}");
    Failure::new(page, error.to_string()).remedy(error.hint()).stderr(context.stderr())
}

/// What a client is told about a failure: whose fault it is, and nothing else.
fn page_for(error: &Error) -> Page {
    match error.kind() {
        ErrorKind::Timeout if error.phase() == Some(Phase::Queue) => Page::OVERLOADED,
        ErrorKind::Timeout => Page::TIMEOUT,
        ErrorKind::PoolFull { .. } | ErrorKind::Overloaded | ErrorKind::CantMultiplex => {
            Page::OVERLOADED
        }
        ErrorKind::RequestBody => crate::inbound::page_for(error),
        ErrorKind::Request(RequestError::Begin(_)) => Page::FIELDS_TOO_LARGE,
        ErrorKind::Request(_) => Page::BAD_PATH,
        _ => Page::BAD_GATEWAY,
    }
}
