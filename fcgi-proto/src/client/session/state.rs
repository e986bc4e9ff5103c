use alloc::collections::{BTreeMap, VecDeque};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;

use super::open::Open;
use super::unsent::Unsent;
use super::{Received, SessionSettings};
use crate::client::{Connection, Exchange};
use crate::error::{BeginError, ProtocolError};
use crate::wakes::Wakes;
use crate::{Error, Params, Parts, RequestKey, Timeouts};

/// What the session and its callers share, behind one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) conn: Connection,
    pub(super) settings: SessionSettings,
    pub(super) calls: BTreeMap<RequestKey, Open>,
    /// Requests that have a piece of their body to send; each sends one in turn.
    pub(super) backlog: VecDeque<RequestKey>,
    pub(super) unsent: Unsent,
    /// Calls from which something may still come.
    pub(super) live: usize,
    /// Requests that were aborted and that the application has not ended.
    pub(super) given_up: usize,
    pub(super) callers: usize,
    /// The application answers several requests at once; else there is one at a time, and closing is what aborts it.
    pub(super) is_multiplexed: bool,
    /// No request may begin any more.
    pub(super) is_ending: bool,
    pub(super) has_failed: bool,
    /// Why writing failed; answers may still come.
    pub(super) write_error: Option<io::Error>,
    pub(super) values: Option<Params>,
    /// Those who hold too much keep the connection from reading.
    pub(super) is_paused: bool,
    /// It was so until now, and nobody's time counted.
    pub(super) is_excused: bool,
    driver: Option<Waker>,
    has_news: bool,
}

/// What ended a connection.
#[derive(Debug)]
pub(super) enum Failure {
    Protocol(ProtocolError),
    Io(io::Error),
}

impl State {
    pub(super) fn new(settings: SessionSettings, is_multiplexed: bool) -> Self {
        // Those given up stay open until the application ends them, and take no place from new ones.
        let most = settings.requests.saturating_add(settings.requests.get());
        let config = settings.config.clone().keep_conn(true).max_requests(most);
        let mut conn = Connection::new(config);
        conn.begin_when_full();
        Self {
            conn,
            settings,
            calls: BTreeMap::new(),
            backlog: VecDeque::new(),
            unsent: Unsent::default(),
            live: 0,
            given_up: 0,
            callers: 0,
            is_multiplexed,
            is_ending: false,
            has_failed: false,
            write_error: None,
            values: None,
            is_paused: false,
            is_excused: false,
            driver: None,
            has_news: false,
        }
    }

    pub(super) fn begin(
        &mut self,
        parts: &Parts,
        timeouts: Timeouts,
        [started, now]: [Duration; 2],
        wakes: &mut Wakes,
    ) -> Result<RequestKey, BeginError> {
        if !self.is_usable() {
            return Err(BeginError::Closing);
        }
        let limit = self.settings.requests.get();
        if self.live >= usize::from(limit) {
            return Err(BeginError::TooManyRequests { limit });
        }
        let before = self.conn.outgoing_len();
        let exchange =
            Exchange::begin(&mut self.conn, parts, timeouts, now.saturating_sub(started))?
                .max_stderr(self.settings.max_stderr);
        let key = exchange.key();
        let mut open = Open::new(exchange, timeouts, started);
        open.unsent = self.conn.outgoing_len() - before;
        self.unsent.push(Some(key), open.unsent);
        self.calls.insert(key, open);
        self.live += 1;
        self.tell_driver(wakes);
        Ok(key)
    }

    /// Whether requests may begin.
    pub(super) fn is_usable(&self) -> bool {
        let is_whole = !self.has_failed && self.write_error.is_none();
        is_whole && !self.is_ending && !self.conn.is_closing()
    }

    /// Whether nobody needs the connection any more, or it is of no use.
    pub(super) fn is_over(&self) -> bool {
        self.has_failed || self.live == 0 && (!self.is_usable() || self.callers == 0)
    }

    pub(super) fn poll_received(
        &mut self,
        key: RequestKey,
        cx: &Context<'_>,
        now: Duration,
        wakes: &mut Wakes,
    ) -> Poll<Result<Received, Error>> {
        self.check_time(key, now, wakes);
        let Some(open) = self.calls.get_mut(&key) else { return Poll::Pending };
        if let Some(received) = open.received.pop_front() {
            if self.is_paused {
                open.exchange.excuse(open.clock(now));
            }
            self.conn.release(key, received.body_len());
            self.note_pause(wakes);
            return Poll::Ready(Ok(received));
        }
        match open.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => open.wait(cx),
        }
    }

    /// The caller has dropped the call.
    pub(super) fn give_up(&mut self, key: RequestKey, wakes: &mut Wakes) {
        let Some(open) = self.calls.remove(&key) else { return };
        if open.is_live {
            self.live -= 1;
            self.abort(key);
            self.note_pause(wakes);
            self.tell_driver(wakes);
        }
    }

    /// A request cannot go on; the others can.
    pub(super) fn fail(&mut self, key: RequestKey, error: Error, wakes: &mut Wakes) {
        let Some(open) = self.calls.get_mut(&key).filter(|open| open.is_live) else { return };
        open.is_live = false;
        open.error = Some(error);
        open.body.clear();
        wakes.extend(open.waker());
        self.live -= 1;
        self.abort(key);
        self.note_pause(wakes);
        self.tell_driver(wakes);
    }

    /// The connection is of no more use: everybody is told, each how far it had come.
    pub(super) fn fail_all(&mut self, failure: &Failure, wakes: &mut Wakes) {
        self.has_failed = true;
        for open in self.calls.values_mut().filter(|open| open.is_live) {
            open.is_live = false;
            open.body.clear();
            // A write that failed says more than the end that followed.
            open.error = Some(match (failure, &self.write_error) {
                (Failure::Protocol(ProtocolError::UnexpectedEof { .. }), Some(error)) => {
                    open.exchange.failed_io(copy(error))
                }
                (Failure::Protocol(error), _) => open.exchange.failed(*error),
                (Failure::Io(error), _) => open.exchange.failed_io(copy(error)),
            });
            wakes.extend(open.waker());
        }
        self.live = 0;
        self.tell_driver(wakes);
    }

    fn abort(&mut self, key: RequestKey) {
        let before = self.conn.outgoing_len();
        let Some(request) = self.conn.request(key) else { return };
        request.abort();
        self.unsent.push(None, self.conn.outgoing_len() - before);
        self.given_up += 1;
        // An application that never ends what it was asked to give up is not asked for more.
        let is_deaf = self.given_up >= usize::from(self.settings.requests.get());
        self.is_ending |= !self.is_multiplexed || is_deaf;
    }

    /// Notices the begin and the end of a pause.
    pub(super) fn note_pause(&mut self, wakes: &mut Wakes) {
        let is_paused = self.conn.is_paused();
        if core::mem::replace(&mut self.is_paused, is_paused) == is_paused {
            return;
        }
        self.is_excused |= !is_paused;
        // Their deadlines are others now.
        wakes.extend(self.calls.values_mut().filter_map(Open::waker));
        self.tell_driver(wakes);
    }

    pub(super) fn poll_news(&mut self, cx: &Context<'_>) -> Poll<()> {
        if core::mem::take(&mut self.has_news) {
            return Poll::Ready(());
        }
        match &mut self.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) fn tell_driver(&mut self, wakes: &mut Wakes) {
        self.has_news = true;
        wakes.extend(self.driver.take());
    }
}

/// Errors of sockets cannot be cloned, and each request is told of one.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), alloc::format!("{error}")),
    }
}
