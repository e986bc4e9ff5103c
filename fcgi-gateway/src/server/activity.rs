//! What a connection is doing, as far as its clients' patience and ours are concerned.
//!
//! ```text
//!          first byte          whole head               answered
//!   Idle ─────────────> Head ─────────────> requests ─────────────> Idle
//!     └ idle_time        └ head_time         └ the gateway's own times
//! ```
//!
//! The socket tells of bytes, the service of requests and answers. Nothing here waits: the connection's task asks for
//! the [`verdict`](Activity::verdict) whenever it runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Config;

/// Shared by the parts of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Received in full but for their bodies, and not yet answered in full.
    requests: u32,
    /// Bodies of theirs that are still to come.
    receiving: u32,
    /// Taken back by the client, those counted off that were answered.
    resets: u32,
    /// The beginning of a head has come.
    is_in_head: bool,
    /// Output waits for the client.
    is_blocked: bool,
    /// A body was not read to its end, so that more of it may come.
    has_unread: bool,
    is_http2: bool,
    /// When the present state began, if there are no requests.
    since: Instant,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask again then, or when something has happened.
    GoOn { until: Option<Instant> },
    /// It has nothing to do, and what is kept for its next request may go.
    Rest,
    /// Close it.
    Close(&'static str),
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                requests: 0,
                receiving: 0,
                resets: 0,
                is_in_head: false,
                is_blocked: false,
                has_unread: false,
                is_http2: false,
                since: now,
            }),
        }
    }

    /// Counters stay right even if a thread panicked beside them.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came. Over HTTP/2 they may well be about the connection alone, as those that answer our settings or a ping, so
    /// that only the first request is waited for.
    pub(super) fn handle_bytes(&self) {
        let mut state = self.state();
        if state.requests == 0 && !state.is_in_head && !state.is_http2 {
            state.is_in_head = true;
            state.since = Instant::now();
        }
    }

    /// The socket takes no more output, or does again.
    pub(super) fn handle_blocked(&self, is_blocked: bool) {
        let mut state = self.state();
        if state.is_blocked != is_blocked {
            state.is_blocked = is_blocked;
            state.since = Instant::now();
        }
    }

    /// A head is complete.
    pub(super) fn handle_request(&self, has_body: bool, is_http2: bool) {
        let mut state = self.state();
        state.requests += 1;
        state.receiving += u32::from(has_body);
        state.is_in_head = false;
        state.is_http2 = is_http2;
    }

    /// A body is complete, or nobody wants more of it.
    pub(super) fn handle_body_end(&self, is_complete: bool) {
        let mut state = self.state();
        state.receiving = state.receiving.saturating_sub(1);
        state.has_unread |= !is_complete;
    }

    /// A request was answered in full, or taken back.
    pub(super) fn handle_request_end(&self, is_answered: bool) {
        let mut state = self.state();
        state.requests = state.requests.saturating_sub(1);
        state.resets = if is_answered {
            state.resets.saturating_sub(1)
        } else {
            state.resets.saturating_add(1)
        };
        if state.requests == 0 {
            state.since = Instant::now();
        }
    }

    /// Whether the client may still be sending what nobody reads. Closing then would make its system drop our answer.
    pub(super) fn has_unread(&self) -> bool {
        let state = self.state();
        state.has_unread || state.is_in_head
    }

    /// When it became idle, if it is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        state.is_idle().then_some(state.since)
    }

    /// What to do at `now`. `stopping` is when the server was told to stop, and `may_rest` whether there is something that may
    /// go.
    pub(super) fn verdict(
        &self,
        now: Instant,
        stopping: Option<Instant>,
        may_rest: bool,
        config: &Config,
    ) -> Verdict {
        let state = self.state();
        if state.resets > config.max_resets {
            return Verdict::Close("its client takes back too many requests");
        }
        let rest = (may_rest && state.may_rest()).then(|| state.since + config.rest_time);
        if rest.is_some_and(|rest| rest <= now) && stopping.is_none() {
            return Verdict::Rest;
        }
        let deadlines = [
            state.deadline(config),
            stopping.and_then(|stopping| state.last_moment(stopping, config)),
        ];
        let Some((deadline, reason)) =
            deadlines.into_iter().flatten().min_by_key(|&(deadline, _)| deadline)
        else {
            return Verdict::GoOn { until: None };
        };
        if deadline <= now {
            Verdict::Close(reason)
        } else {
            Verdict::GoOn { until: rest.into_iter().chain([deadline]).min() }
        }
    }
}

impl State {
    const fn is_idle(&self) -> bool {
        self.requests == 0 && !self.is_in_head && !self.is_blocked
    }

    /// Whether everything that was said is answered, and nothing is left of it.
    ///
    /// Of a body that is still read, or was not read to its end, hyper knows how much is still to come; of HTTP/2, both sides know a lot.
    const fn may_rest(&self) -> bool {
        self.is_idle() && self.receiving == 0 && !self.has_unread && !self.is_http2
    }

    fn deadline(&self, config: &Config) -> Option<(Instant, &'static str)> {
        if self.requests > 0 || self.is_blocked {
            None
        } else if self.is_in_head {
            Some((self.since + config.head_time, "the head of its request did not come in time"))
        } else {
            Some((self.since + config.idle_time, "idle"))
        }
    }

    /// An idle client loses nothing, one that is still sending may be given up, and one that waits for its answer gets it.
    fn last_moment(&self, stopping: Instant, config: &Config) -> Option<(Instant, &'static str)> {
        // What HTTP/2 still holds of an answer is not seen from here; its own farewell takes one round trip.
        if self.is_idle() && !self.is_http2 {
            Some((stopping, "the server stops"))
        } else if self.receiving > 0 || (self.requests == 0 && !self.is_blocked) {
            Some((
                stopping + config.grace_time,
                "the server stops, and its request is not complete",
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn config() -> Config {
        let seconds = Duration::from_secs;
        Config::default().head_time(seconds(10)).idle_time(seconds(20)).grace_time(seconds(5))
    }

    fn closes(activity: &Activity, after: u64, stopping: bool) -> bool {
        let now = Instant::now();
        let stopping = stopping.then_some(now);
        let then = now + Duration::from_secs(after);
        matches!(activity.verdict(then, stopping, false, &config()), Verdict::Close(_))
    }

    #[test]
    fn patience() {
        let activity = Activity::new(Instant::now());
        assert!(!closes(&activity, 19, false) && closes(&activity, 20, false), "idle");
        activity.handle_bytes();
        assert!(!closes(&activity, 9, false) && closes(&activity, 11, false), "in the head");
        activity.handle_request(false, false);
        assert!(!closes(&activity, 1000, false), "the application's time");
        activity.handle_bytes();
        activity.handle_request_end(true);
        assert!(!closes(&activity, 19, false) && closes(&activity, 21, false), "idle again");
        activity.handle_blocked(true);
        assert!(!closes(&activity, 1000, false), "the write timeout's time");
    }

    #[test]
    fn words_about_an_http2_connection_begin_no_request() {
        let activity = Activity::new(Instant::now());
        activity.handle_bytes();
        assert!(
            activity.idle_since().is_none() && closes(&activity, 11, false),
            "in its first head"
        );
        activity.handle_request(false, true);
        activity.handle_request_end(true);
        activity.handle_bytes();
        assert!(activity.idle_since().is_some(), "it may make room for another");
        assert!(!closes(&activity, 19, false) && closes(&activity, 21, false), "idle");
    }

    #[test]
    fn stopping() {
        let activity = Activity::new(Instant::now());
        assert!(closes(&activity, 0, true), "idle");
        activity.handle_bytes();
        assert!(!closes(&activity, 4, true) && closes(&activity, 5, true), "in the head");
        activity.handle_request(true, false);
        assert!(!closes(&activity, 4, true) && closes(&activity, 5, true), "in the body");
        activity.handle_body_end(true);
        assert!(!closes(&activity, 1000, true), "waiting for its answer");
        activity.handle_blocked(true);
        activity.handle_request_end(true);
        assert!(!closes(&activity, 1000, true), "the answer is not out yet");
        activity.handle_blocked(false);
        assert!(closes(&activity, 0, true), "answered");
    }

    #[test]
    fn who_has_nothing_left_may_rest() {
        let rests = |activity: &Activity, after: u64, stopping: bool, may_rest: bool| {
            let now = Instant::now();
            let config = config().rest_time(Duration::from_secs(1));
            let then = now + Duration::from_secs(after);
            activity.verdict(then, stopping.then_some(now), may_rest, &config) == Verdict::Rest
        };
        let activity = Activity::new(Instant::now());
        assert!(!rests(&activity, 0, false, true) && rests(&activity, 1, false, true));
        assert!(!rests(&activity, 1, false, false), "there is nothing that could go");
        assert!(!rests(&activity, 1, true, true), "it is to end instead");
        let until = activity.verdict(Instant::now(), None, true, &config());
        let Verdict::GoOn { until: Some(until) } = until else { panic!("{until:?}") };
        assert!(until < Instant::now() + Duration::from_secs(2), "asked again in time");
        activity.handle_bytes();
        assert!(!rests(&activity, 1, false, true), "half a head is kept");
        activity.handle_request(true, false);
        assert!(!rests(&activity, 1, false, true), "in a request");
        activity.handle_blocked(true);
        activity.handle_request_end(true);
        assert!(!rests(&activity, 1, false, true), "the answer is not out yet");
        activity.handle_blocked(false);
        assert!(!rests(&activity, 1, false, true), "the body is still to come");
        activity.handle_body_end(true);
        assert!(rests(&activity, 1, false, true));
        activity.handle_request(true, false);
        activity.handle_body_end(false);
        activity.handle_request_end(true);
        assert!(!rests(&activity, 1, false, true), "the rest of a body is still to come");
        let activity = Activity::new(Instant::now());
        activity.handle_request(false, true);
        activity.handle_request_end(true);
        assert!(!rests(&activity, 1, false, true), "HTTP/2 has more to remember");
    }

    #[test]
    fn resets_are_forgiven_by_answers() {
        let activity = Activity::new(Instant::now());
        for _ in 0..1000 {
            activity.handle_request(false, true);
            activity.handle_request_end(true);
            activity.handle_request(false, true);
            activity.handle_request_end(false);
        }
        assert!(!closes(&activity, 0, false));
        let activity = Activity::new(Instant::now());
        let reset = || {
            activity.handle_request(false, true);
            activity.handle_request_end(false);
        };
        (0..200).for_each(|_| reset());
        assert!(!closes(&activity, 0, false), "the default allows 200");
        reset();
        assert!(closes(&activity, 0, false));
    }
}
