//! Finding out how many requests may share a connection (section 4.1).

use alloc::vec::Vec;
use core::num::NonZeroU16;

use super::{Config, ConnId, Pool};
use crate::Params;
use crate::client::values::multiplexes;

/// Whether and how an application is asked if requests may share a connection.
///
/// ```
/// use fcgi_proto::pool::{Config, Negotiate};
///
/// let config = Config::default().negotiate(Negotiate::Throwaway); // whatever the application is
/// # drop(config);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Negotiate {
    /// It is not asked; [`Config::multiplex`] says what is known of it.
    #[default]
    Never,
    /// Once for each address, on a connection of its own that is closed behind the answer, as php-fpm does by itself.
    Throwaway,
    /// Once for each address, ahead of the first request on its connection. php-fpm answers and closes, and the request is
    /// lost; so this is for applications that are known not to, such as Go's.
    Inline,
}

/// How requests go over a new connection.
///
/// ```
/// use fcgi_proto::pool::Mode;
///
/// /// Whether the connection is driven by a session, in a task of its own.
/// fn needs_task(mode: Mode) -> bool {
///     matches!(mode, Mode::Shared | Mode::Asking)
/// }
/// assert!(!needs_task(Mode::Single));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// One at a time.
    Single,
    /// Several at once, by a [`Session`](crate::client::Session).
    Shared,
    /// One at a time, and the session asks the application meanwhile; its answer goes to
    /// [`Depot::handle_values`](super::Depot::handle_values).
    Asking,
    /// The application is to be asked first, on a connection of its own, by a [`Probe`](crate::client::Probe). What
    /// [`Depot::handle_values`](super::Depot::handle_values) makes of the answer is the mode.
    Probing,
}

/// What is known of the addresses.
#[derive(Debug)]
pub(super) struct Negotiations {
    negotiate: Negotiate,
    most: NonZeroU16,
    upstreams: Vec<Negotiation>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Negotiation {
    #[default]
    Unasked,
    /// By whoever dials this connection.
    Asking(ConnId),
    Answered,
}

impl Negotiations {
    pub(super) fn new(config: &Config) -> Self {
        Self { negotiate: config.negotiate, most: config.most_shared(), upstreams: Vec::new() }
    }

    /// How a new connection is used.
    pub(super) fn mode(&mut self, conn: ConnId, upstream: usize, multiplex: NonZeroU16) -> Mode {
        if self.upstreams.len() <= upstream {
            self.upstreams.resize(upstream + 1, Negotiation::default());
        }
        let asks = match self.negotiate {
            Negotiate::Never => None,
            Negotiate::Throwaway => Some(Mode::Probing),
            Negotiate::Inline => Some(Mode::Asking),
        };
        match (asks, self.upstreams.get_mut(upstream)) {
            (Some(mode), Some(state @ Negotiation::Unasked)) => {
                *state = Negotiation::Asking(conn);
                mode
            }
            _ if multiplex.get() > 1 => Mode::Shared,
            _ => Mode::Single,
        }
    }

    /// The answer to whoever dials this connection, or that none came.
    pub(super) fn on_values(
        &mut self,
        conn: ConnId,
        values: Option<&Params>,
        pool: &mut Pool,
    ) -> Mode {
        let Some(upstream) = self.asked_by(conn) else { return Mode::Single };
        self.set(upstream, Negotiation::Answered);
        let requests = values.map_or(NonZeroU16::MIN, |values| shared_requests(values, self.most));
        pool.set_multiplex(upstream, requests);
        pool.set_max_conns(upstream, values.map_or(1, max_conns));
        if requests.get() > 1 { Mode::Shared } else { Mode::Single }
    }

    /// The connection is gone, perhaps before an answer came.
    pub(super) fn on_closed(&mut self, conn: ConnId) {
        if let Some(upstream) = self.asked_by(conn) {
            // Asked among requests, who gives no answer is not asked again: it may be the question that it closes on.
            let is_settled = self.negotiate == Negotiate::Inline;
            let state = if is_settled { Negotiation::Answered } else { Negotiation::Unasked };
            self.set(upstream, state);
        }
    }

    /// The dial has failed, so that nobody was asked.
    pub(super) fn on_connect_error(&mut self, conn: ConnId) {
        if let Some(upstream) = self.asked_by(conn) {
            self.set(upstream, Negotiation::Unasked);
        }
    }

    /// There is another application now.
    pub(super) fn forget(&mut self, upstream: usize) {
        self.set(upstream, Negotiation::Unasked);
    }

    fn asked_by(&self, conn: ConnId) -> Option<usize> {
        self.upstreams.iter().position(|state| *state == Negotiation::Asking(conn))
    }

    fn set(&mut self, upstream: usize, to: Negotiation) {
        if let Some(state) = self.upstreams.get_mut(upstream) {
            *state = to;
        }
    }
}

/// How many requests may share a connection by this answer, `most` at the most.
fn shared_requests(values: &Params, most: NonZeroU16) -> NonZeroU16 {
    if !multiplexes(values) {
        return NonZeroU16::MIN;
    }
    let limit = values.get("FCGI_MAX_REQS").and_then(|value| core::str::from_utf8(value).ok());
    // More than fits is no limit, and no number is none.
    let limit = limit.and_then(|value| value.parse::<u64>().ok());
    let limit = limit.map_or(most.get(), |limit| u16::try_from(limit).unwrap_or(u16::MAX));
    NonZeroU16::new(limit).map_or(NonZeroU16::MIN, |limit| limit.min(most))
}

/// How many connections an application accepts by this answer. Without a word about it, one is all that is known of.
fn max_conns(values: &Params) -> usize {
    let count = values.get("FCGI_MAX_CONNS").and_then(|value| core::str::from_utf8(value).ok());
    let count = count.and_then(|value| value.parse::<u128>().ok());
    count.map_or(1, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(pairs: &[(&str, &str)]) -> u16 {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.push(name, value);
        }
        shared_requests(&params, NonZeroU16::new(32).expect("not 0")).get()
    }

    #[test]
    fn only_a_clear_yes_lets_requests_share() {
        assert_eq!(requests(&[]), 1);
        assert_eq!(requests(&[("FCGI_MAX_REQS", "50")]), 1);
        for no in ["0", "", "yes", "11"] {
            assert_eq!(requests(&[("FCGI_MPXS_CONNS", no)]), 1, "{no}");
        }
        let yes = ("FCGI_MPXS_CONNS", "1");
        assert_eq!(requests(&[yes, ("FCGI_OTHER", "7")]), 32);
        for (most, found) in
            [("8", 8), ("32", 32), ("1000", 32), ("70000", 32), ("0", 1), ("1", 1), ("many", 32)]
        {
            assert_eq!(requests(&[yes, ("FCGI_MAX_REQS", most)]), found, "{most}");
        }
    }
}
