use std::num::NonZeroU16;
use std::time::Duration;

use fcgi_proto::pool::Config;

/// Who makes the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Floor,
    Blocking,
    Tokio,
    /// All requests over one connection.
    TokioShared,
    AsyncStd,
    AsyncStdShared,
    FastcgiClient,
}

/// Those with a connection for each request under way.
pub(super) const ALL: [Who; 5] =
    [Who::Floor, Who::Blocking, Who::Tokio, Who::AsyncStd, Who::FastcgiClient];
pub(super) const SHARED: [Who; 2] = [Who::TokioShared, Who::AsyncStdShared];

impl Who {
    /// A name for command lines.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Blocking => "blocking",
            Self::Tokio => "tokio",
            Self::TokioShared => "tokio-shared",
            Self::AsyncStd => "async-std",
            Self::AsyncStdShared => "async-std-shared",
            Self::FastcgiClient => "fastcgi-client",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "raw sockets, by hand",
            Self::Blocking => "fcgi-blocking",
            Self::Tokio => "fcgi-tokio",
            Self::TokioShared => "fcgi-tokio, multiplexed",
            Self::AsyncStd => "fcgi-async-std",
            Self::AsyncStdShared => "fcgi-async-std, multiplexed",
            Self::FastcgiClient => "fastcgi-client",
        }
    }

    pub(super) fn from_id(id: &str) -> Option<Self> {
        ALL.into_iter().chain(SHARED).find(|who| who.id() == id)
    }

    pub(super) const fn is_ours(self) -> bool {
        !matches!(self, Self::Floor | Self::FastcgiClient)
    }

    /// A pool for so many callers, all of whose connections are kept.
    pub(super) fn config(self, callers: usize) -> Config {
        // No connection gives way to another: there is a worker for each.
        let config = Config::default().patience(Duration::from_secs(60));
        let config = config.queue_timeout(None).max_waiting(callers).idle_timeout(None);
        match self {
            Self::TokioShared | Self::AsyncStdShared => {
                let together = u16::try_from(callers).ok().and_then(NonZeroU16::new);
                let together = together.unwrap_or(NonZeroU16::MAX);
                config.max_connections(1).max_idle(1).multiplex(together)
            }
            _ => config.max_connections(callers).max_idle(callers),
        }
    }
}
