//! An authorizer in front of any service (section 6.3).

mod body;
mod service;

use core::fmt;
use std::error::Error as StdError;
use std::sync::Arc;

use fcgi_proto::cgi::{Authorization, Environment, EnvironmentError, ResponseHead};
use fcgi_proto::server::http::RemoteAddr;
use fcgi_proto::{Params, Role};
use http::request::Parts;
use tower_layer::Layer;

pub use body::AuthorizedBody;
pub use service::Authorized;

use crate::{Client, Error, Pool, Request, Response, ResponseBody};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Asks a FastCGI authorizer about each request before it goes on to a service: a tower layer.
///
/// ```no_run
/// use axum::{Extension, Router, routing::get};
/// use fcgi_tokio::{AuthorizerLayer, AuthorizerVariables, Client};
///
/// async fn hello(variables: Extension<AuthorizerVariables>) -> String {
///     format!("Hello {}", variables.get_str("REMOTE_USER").unwrap_or("nobody"))
/// }
///
/// # async fn f() -> Result<(), fcgi_tokio::Error> {
/// let authorizer = Client::connect("unix:/run/authorizer.sock").await?;
/// let app: Router = Router::new().route("/", get(hello)).layer(AuthorizerLayer::new(authorizer));
/// # Ok(()) }
/// ```
///
/// # What it is asked
/// In the role of an Authorizer, with the variables of the request ([`cgi::environment`](fcgi_proto::cgi::environment)) but
/// without CONTENT_LENGTH, PATH_INFO, PATH_TRANSLATED and SCRIPT_NAME, and without the body, which stays unread. The
/// client's address is there when the request's extensions hold a [`RemoteAddr`], as behind
/// [`serve_tower`](crate::serve_tower); [`params`](Self::params) adds what else the authorizer needs.
///
/// # What becomes of the answer
/// - Status 200: the request goes on to the service, with the `Variable-*` headers of the answer as
///   [`AuthorizerVariables`] among its extensions. Where the service is an `fcgi_gateway::Gateway`, they become CGI
///   variables, as the specification has it. The rest of the answer is dropped.
/// - Any other status: the authorizer's response goes to the client, and the service hears of nothing.
/// - No whole answer, be it that the authorizer cannot be reached, takes too long, breaks off, or ends a 200 with an exit
///   status other than 0: the client gets 502, 503 or 504, never the service. What happened is the [`Error`] in the
///   extensions of that response, as an [`AuthorizerFailure`], for whoever writes the log.
///
/// # Cancellation
/// Dropping the future closes the connection to the authorizer.
#[derive(Clone)]
pub struct AuthorizerLayer {
    authorizer: Arc<Authorizer>,
}

/// Variables that an authorizer has granted a request with, without their `Variable-` prefix, in order.
///
/// Only those are here that say nothing about the request itself: an authorizer names the user, but replaces neither a
/// header nor the script; see [`Variables::admissible`](fcgi_proto::cgi::Variables::admissible).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizerVariables(Params);

/// Why an authorizer gave no decision; among the extensions of the response that tells the client so.
#[derive(Clone, Debug)]
pub struct AuthorizerFailure(Arc<Failure>);

#[derive(Clone)]
struct Authorizer {
    backend: Backend,
    adjust: Option<Arc<Adjust>>,
}

type Adjust = dyn Fn(&Parts, &mut Params) + Send + Sync;

#[derive(Clone, Debug)]
enum Backend {
    Client(Client),
    Pool(Pool),
}

#[derive(Debug)]
enum Failure {
    Request(EnvironmentError),
    Call(Error),
    Status { app_status: u32 },
}

/// What an authorizer has decided.
enum Decision {
    Granted(AuthorizerVariables),
    Denied(ResponseHead, Box<ResponseBody>),
}

impl AuthorizerLayer {
    /// Asks over a new connection for each request.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::with(Backend::Client(client))
    }

    /// Asks over kept connections.
    #[must_use]
    pub fn pooled(pool: Pool) -> Self {
        Self::with(Backend::Pool(pool))
    }

    fn with(backend: Backend) -> Self {
        Self { authorizer: Arc::new(Authorizer { backend, adjust: None }) }
    }

    /// Changes the variables that the authorizer gets, after all others are there: `SCRIPT_FILENAME` for an authorizer
    /// written in PHP, the server's name, or another client's address than the one in the extensions.
    #[must_use]
    pub fn params(self, adjust: impl Fn(&Parts, &mut Params) + Send + Sync + 'static) -> Self {
        let backend = self.authorizer.backend.clone();
        Self { authorizer: Arc::new(Authorizer { backend, adjust: Some(Arc::new(adjust)) }) }
    }
}

impl<S> Layer<S> for AuthorizerLayer {
    type Service = Authorized<S>;

    fn layer(&self, service: S) -> Authorized<S> {
        Authorized::new(Arc::clone(&self.authorizer), service)
    }
}

impl AuthorizerVariables {
    /// The value of the last variable of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name)
    }

    /// [`get`](Self::get), when the value is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.0.get_str(name)
    }

    /// All of them, as names and values.
    #[must_use]
    pub const fn as_params(&self) -> &Params {
        &self.0
    }
}

impl AuthorizerFailure {
    /// The error of the call, if it was that.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &*self.0 {
            Failure::Call(error) => Some(error),
            Failure::Request(_) | Failure::Status { .. } => None,
        }
    }
}

impl Authorizer {
    async fn ask(&self, parts: &Parts) -> Result<Decision, Failure> {
        let params = self.variables(parts).map_err(Failure::Request)?;
        let request = Request::from_params(params).role(Role::Authorizer);
        let response = self.backend.execute(request).await.map_err(Failure::Call)?;
        let (head, mut body) = response.into_parts();
        let variables = match head.authorization() {
            Authorization::Granted(variables) => variables.admissible().collect(),
            Authorization::Denied => return Ok(Decision::Denied(head, Box::new(body))),
        };
        // It may still break off, and then it was no answer.
        body.collect(MAX_GRANT).await.map_err(Failure::Call)?;
        match body.end().map_or(0, |end| end.app_status) {
            0 => Ok(Decision::Granted(AuthorizerVariables(variables))),
            app_status => Err(Failure::Status { app_status }),
        }
    }

    fn variables(&self, parts: &Parts) -> Result<Params, EnvironmentError> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let protocol = format!("{:?}", parts.version);
        let headers = parts.headers.iter();
        let mut environment = Environment::new(parts.method.as_str(), target)?
            .headers(headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
            .protocol(&protocol);
        if let Some(authority) = parts.uri.authority() {
            environment =
                environment.authority(authority.as_str().rsplit('@').next().unwrap_or_default());
        }
        environment = match parts.extensions.get() {
            Some(&RemoteAddr(address)) => environment.remote_addr(address),
            // A made-up address may open doors that are meant for neighbours.
            None => environment.remove("REMOTE_ADDR"),
        };
        let mut params = environment.authorizer().params()?;
        if let Some(adjust) = &self.adjust {
            adjust(parts, &mut params);
        }
        Ok(params)
    }
}

impl Backend {
    async fn execute(&self, request: Request) -> Result<Response, Error> {
        match self {
            Self::Client(client) => client.execute(request).await,
            Self::Pool(pool) => pool.execute(request).await,
        }
    }
}

impl fmt::Display for AuthorizerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Failure::Request(error) => error.fmt(f),
            Failure::Call(error) => error.fmt(f),
            Failure::Status { app_status } => {
                write!(f, "authorizer granted but ended with exit status {app_status}")
            }
        }
    }
}

impl StdError for AuthorizerFailure {}

impl fmt::Debug for AuthorizerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthorizerLayer").field(&self.authorizer.backend).finish()
    }
}

/// The most that is read of the body behind a 200, which nobody gets to see.
const MAX_GRANT: usize = 64 * 1024;
