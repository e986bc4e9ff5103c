use alloc::string::String;
use core::fmt::Display;
use core::time::Duration;

use tracing::{Span, debug, debug_span, field, trace, warn};

use crate::client::End;
use crate::trace::{masked, without_query};
use crate::{Address, Params, Phase, Role};

/// What a subscriber filters by.
const TARGET: &str = "fcgi";

/// A request of a client.
#[derive(Clone, Debug)]
pub(crate) struct ClientSpan(Span);

/// A request to an application.
#[derive(Clone, Debug)]
pub(crate) struct ServerSpan(Span);

impl ClientSpan {
    pub(crate) fn new(role: Role, params: &Params, peer: Option<&Address>) -> Self {
        let span = debug_span!(target: TARGET,
            "fcgi.request",
            %role,
            method = text(params, "REQUEST_METHOD"),
            script = text(params, "SCRIPT_FILENAME"),
            path = path(params),
            address = field::Empty,
        );
        if let Some(peer) = peer {
            span.record("address", field::display(peer));
        }
        debug!(target: TARGET, parent: &span, bytes = params.encoded_len(), "request begins");
        trace!(target: TARGET, parent: &span, params = ?masked(params), "parameters");
        Self(span)
    }

    pub(crate) fn first_byte(&self, now: Duration) {
        debug!(target: TARGET, parent: &self.0, after = ?now, "first byte");
    }

    pub(crate) fn head(&self, status: u16) {
        debug!(target: TARGET, parent: &self.0, status, "response begins");
    }

    pub(crate) fn ended(&self, end: End, sent: u64, received: u64) {
        debug!(target: TARGET, parent: &self.0, app_status = end.app_status, sent, received, "request ends");
    }

    /// `error` is the code of the error, as its text may quote the application.
    pub(crate) fn failed(&self, error: &str, phase: Phase, sent: u64, received: u64) {
        warn!(target: TARGET, parent: &self.0, error, %phase, sent, received, "request failed");
    }
}

impl ServerSpan {
    pub(crate) fn new(role: Role, params: &Params) -> Self {
        let span = debug_span!(target: TARGET,
            "fcgi.serve",
            %role,
            method = text(params, "REQUEST_METHOD"),
            script = text(params, "SCRIPT_FILENAME"),
            path = path(params),
            client = text(params, "REMOTE_ADDR"),
        );
        debug!(target: TARGET, parent: &span, bytes = params.encoded_len(), "request begins");
        trace!(target: TARGET, parent: &span, params = ?masked(params), "parameters");
        Self(span)
    }

    /// Runs the handler, whose own events then belong to the request.
    pub(crate) fn in_scope<T>(&self, run: impl FnOnce() -> T) -> T {
        self.0.in_scope(run)
    }

    pub(crate) fn ended(&self, app_status: u32) {
        debug!(target: TARGET, parent: &self.0, app_status, "request ends");
    }

    pub(crate) fn failed(&self, why: &str) {
        warn!(target: TARGET, parent: &self.0, why, "handler failed");
    }

    pub(crate) fn aborted(&self) {
        debug!(target: TARGET, parent: &self.0, "web server has lost interest");
    }
}

pub(crate) fn connected(address: &Address) {
    debug!(target: TARGET, %address, "connected");
}

pub(crate) fn connect_failed(address: &Address, error: &dyn Display) {
    warn!(target: TARGET, %address, %error, "cannot connect");
}

/// Of a wait that belongs to no request on a connection yet.
pub(crate) fn timed_out(phase: Phase, limit: Duration) {
    warn!(target: TARGET, %phase, ?limit, "time is up");
}

pub(crate) fn retrying(number: u32) {
    debug!(target: TARGET, attempts = number, "connection was stale, trying again");
}

/// What GET_VALUES, limits and the like made of a request before the application saw it.
pub(crate) fn refused(request_id: u16, reason: &dyn Display) {
    warn!(target: TARGET, request_id, %reason, "request refused");
}

fn text(params: &Params, name: &str) -> Option<String> {
    params.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

fn path(params: &Params) -> Option<String> {
    let uri = params.get("REQUEST_URI")?;
    Some(String::from_utf8_lossy(without_query(uri)).into_owned())
}
