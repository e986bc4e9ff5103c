//! A lobby whose sockets are flags, on a clock that is set by hand.

use core::num::NonZeroU16;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use fcgi_proto::pool::{Clock, Config, Entry, Link, Lobby, Place};
use fcgi_proto::{Address, Error};

/// A clock that stands until it is set.
#[derive(Default)]
pub(crate) struct Hand {
    pub(crate) now: Mutex<Duration>,
    pub(crate) alarm: Mutex<Option<Duration>>,
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        *self.now.lock().expect("no panic")
    }

    fn set_alarm(&self, at: Duration) {
        *self.alarm.lock().expect("no panic") = Some(at);
    }
}

/// A socket that may have been closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Socket(pub(crate) Arc<AtomicBool>);

impl Link for Socket {
    fn is_stale(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) type TestLobby = Arc<Lobby<Socket, Hand>>;
pub(crate) type TestPlace = Place<Socket, Hand>;

pub(crate) fn address(port: u16) -> Address {
    Address::tcp("10.0.0.1", port)
}

pub(crate) fn lobby(config: Config) -> TestLobby {
    Lobby::new(config, [address(1)], Hand::default())
}

pub(crate) fn shared(requests: u16) -> Config {
    let requests = NonZeroU16::new(requests).expect("not 0");
    Config::default().max_connections(1).multiplex(requests)
}

pub(crate) fn poll(entry: &mut Entry<Socket, Hand>) -> Poll<Result<TestPlace, Error>> {
    entry.poll_place(&Context::from_waker(Waker::noop()))
}

pub(crate) fn enter(lobby: &TestLobby) -> TestPlace {
    match poll(&mut lobby.enter()) {
        Poll::Ready(Ok(place)) => place,
        other => panic!("{other:?} instead of a place"),
    }
}

/// Lets the alarm go off, whenever that is.
pub(crate) fn ring(lobby: &TestLobby) {
    let at = lobby.clock().alarm.lock().expect("no panic").take().expect("an alarm");
    *lobby.clock().now.lock().expect("no panic") = at;
    lobby.ring();
}
