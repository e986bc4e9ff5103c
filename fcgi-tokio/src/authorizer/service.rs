use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use bytes::Bytes;
use fcgi_proto::cgi::ResponseHead;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::{AuthorizedBody, Authorizer, AuthorizerFailure, BoxError, Decision, Failure};
use crate::{ErrorKind, Phase, ResponseBody};

/// A service behind an authorizer; see [`AuthorizerLayer`](super::AuthorizerLayer).
#[derive(Clone)]
pub struct Authorized<S> {
    authorizer: Arc<Authorizer>,
    service: S,
}

impl<S> Authorized<S> {
    pub(super) const fn new(authorizer: Arc<Authorizer>, service: S) -> Self {
        Self { authorizer, service }
    }
}

impl<S, B, RB> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<AuthorizedBody<RB>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let authorizer = Arc::clone(&self.authorizer);
        // The one that is ready goes along; the clone may not be.
        let next = self.service.clone();
        let mut service = core::mem::replace(&mut self.service, next);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match authorizer.ask(&parts).await {
                Ok(Decision::Granted(variables)) => {
                    parts.extensions.insert(variables);
                    let response = service.call(Request::from_parts(parts, body)).await?;
                    Ok(response.map(AuthorizedBody::service))
                }
                Ok(Decision::Denied(head, body)) => Ok(denied(&head, body)),
                Err(failure) => Ok(failed(failure)),
            }
        })
    }
}

/// The authorizer's own response.
fn denied<B>(head: &ResponseHead, body: Box<ResponseBody>) -> Response<AuthorizedBody<B>> {
    match head.to_http() {
        Some(parts) => Response::from_parts(parts, AuthorizedBody::authorizer(body)),
        None => text(StatusCode::BAD_GATEWAY),
    }
}

/// Closed, never open.
fn failed<B>(failure: Failure) -> Response<AuthorizedBody<B>> {
    let mut response = text(match &failure {
        Failure::Request(_) => StatusCode::BAD_REQUEST,
        Failure::Call(error) => match error.kind() {
            ErrorKind::Timeout if error.phase() == Some(Phase::Queue) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Overloaded | ErrorKind::CantMultiplex | ErrorKind::PoolFull { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_GATEWAY,
        },
        Failure::Status { .. } => StatusCode::BAD_GATEWAY,
    });
    response.extensions_mut().insert(AuthorizerFailure(Arc::new(failure)));
    response
}

fn text<B>(status: StatusCode) -> Response<AuthorizedBody<B>> {
    let mut response = Response::new(AuthorizedBody::text(status));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

impl<S> fmt::Debug for Authorized<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("authorizer", &self.authorizer.backend)
            .finish_non_exhaustive()
    }
}
