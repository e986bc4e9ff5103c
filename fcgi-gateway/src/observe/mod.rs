//! What goes on in a gateway, told as it happens: one hook for access logs, metrics, and pages that show both.
//!
//! An [`Observer`] is told of every request when it begins, of each line that the application writes to its error output,
//! and of the end of the answer, with all that is known about it. [`Builder::observe`](crate::Builder::observe) takes any
//! number of them. Without any, nothing is kept or counted for this.
//!
//! ```
//! use fcgi_gateway::Gateway;
//! use fcgi_gateway::observe::Event;
//!
//! let gateway = Gateway::to_application("127.0.0.1:9000")
//!     .observe(|event: &Event| {
//!         if let Event::Ended(record) = event {
//!             println!("{} {} took {:?}", record.status(), record.target(), record.total());
//!         }
//!     })
//!     .build()?;
//! # Ok::<(), fcgi_gateway::BuildError>(())
//! ```

mod access_log;
mod context;
mod events;
mod exposition;
mod lines;
mod metrics;
mod process;
mod record;
mod request_id;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{Method, Response, Uri};

pub use self::access_log::{AccessLog, LogFormat, ParseLogFormatError};
pub(crate) use self::context::{Context, Counted, Watch};
pub use self::events::{Events, Subscription};
pub(crate) use self::exposition::Exposition;
pub use self::lines::LogFile;
pub use self::metrics::Metrics;
pub use self::record::{Outcome, Record};
pub use self::request_id::RequestId;
pub(crate) use self::request_id::{Identify, TraceContext};
use crate::Body;

/// Is told what goes on.
///
/// It is called in the middle of serving, on the threads that serve: it must neither wait nor take long. Closures are
/// observers.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened.
    fn observe(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event) {
        self(event);
    }
}

/// What has happened. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A request has come: its head is here.
    Begun(Begun),
    /// The application has written a line to its error output.
    Stderr(StderrLine),
    /// The answer to a request has ended, in whatever way.
    Ended(Arc<Record>),
}

/// A request that has come.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Begun {
    /// Names the request.
    pub id: RequestId,
    /// When its head was here.
    pub at: SystemTime,
    /// GET, POST and so on.
    pub method: Method,
    /// What was asked for.
    pub uri: Uri,
}

/// A line of error output.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StderrLine {
    /// The request it belongs to.
    pub id: RequestId,
    /// The line, without its end and without control characters.
    pub line: Arc<str>,
}

/// Tells observers of a request that was answered before a gateway had it; what watches the answer goes into it.
pub(crate) fn answered_before(
    observers: &Observers,
    mut parts: Parts,
    mut response: Response<Body>,
) -> Response<Body> {
    if observers.is_empty() {
        return response;
    }
    let id = Identify::Off.identify(&mut parts.headers, false);
    let context = Context::new(id, &parts, observers.clone());
    let watch = Watch::begin(&context, parts, None).answered(&response);
    response.body_mut().watch(watch);
    response
}

/// All observers of a gateway.
#[derive(Clone, Default)]
pub(crate) struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&self, event: &Event) {
        for observer in &*self.0 {
            observer.observe(event);
        }
    }
}

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        let observer: Arc<dyn Observer> = Arc::new(observer);
        self.0 = self.0.iter().cloned().chain([observer]).collect();
    }
}

impl FromIterator<Arc<dyn Observer>> for Observers {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Observer>>>(observers: I) -> Self {
        Self(observers.into_iter().collect())
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
