use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fcgi_tokio::{Address, Timings};
use http::request::Parts;
use http::{Method, Version};

use super::RequestId;
use crate::{Connection, mount};

/// All about a request whose answer has ended.
pub struct Record {
    pub(super) id: RequestId,
    pub(super) parts: Parts,
    pub(super) client: Option<SocketAddr>,
    pub(super) began: SystemTime,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) upstream: Option<(Address, Timings)>,
    pub(super) until_head: Duration,
    pub(super) total: Duration,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) stderr: Vec<Arc<str>>,
    pub(super) failure: Option<String>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All of it was handed to the server, which may still be sending.
    Complete,
    /// The application broke off amid its answer, and the client got a cut one.
    Cut,
    /// The client was gone before the end.
    ClientGone,
}

impl Outcome {
    /// One word for logs and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
        }
    }
}

impl Record {
    /// Names the request.
    #[must_use]
    pub const fn id(&self) -> &RequestId {
        &self.id
    }

    /// When the head of the request was here.
    #[must_use]
    pub const fn began(&self) -> SystemTime {
        self.began
    }

    /// GET, POST and so on.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The path and query of the request, as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        let uri = mount::client_uri(&self.parts);
        uri.path_and_query().map_or("*", |target| target.as_str())
    }

    /// The version of HTTP.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.parts.version
    }

    /// The client: what a trusted proxy says, else the other end of the connection, where the server told.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        let connection = || self.parts.extensions.get::<Connection>().and_then(Connection::remote);
        self.client.or_else(connection)
    }

    /// The host that was asked for.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let authority = self.parts.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| self.header("host"))
    }

    /// The first value of a header field of the request, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The status of the answer. When the client was gone before there was one it is 499, as in nginx.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// How the answer ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The application that answered; `None` when the gateway did, with a file or a page of its own.
    #[must_use]
    pub fn upstream(&self) -> Option<&Address> {
        self.upstream.as_ref().map(|(address, _)| address)
    }

    /// How long the application took, in phases.
    #[must_use]
    pub fn upstream_timings(&self) -> Option<Timings> {
        self.upstream.as_ref().map(|(_, timings)| *timings)
    }

    /// From the head of the request to the head of the answer.
    #[must_use]
    pub const fn until_head(&self) -> Duration {
        self.until_head
    }

    /// From the head of the request to the end of the answer.
    #[must_use]
    pub const fn total(&self) -> Duration {
        self.total
    }

    /// How many bytes of the request's body came.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// How many bytes of the answer's body were handed to the server.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// What was wrong, when the gateway had to answer with an error of its own, such as an application that could not be
    /// reached. For those who run the site, not for its visitors.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The last lines of the application's error output for this request, 20 at most.
    #[must_use]
    pub fn stderr(&self) -> &[Arc<str>] {
        &self.stderr
    }
}

impl fmt::Debug for Record {
    /// Without headers, as those hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id.as_str())
            .field("method", self.method())
            .field("target", &self.target())
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}
