//! The account of what a caller has taken and not released: who pauses a connection, and that nobody does for ever.

mod support;

use core::num::NonZeroU16;

use fcgi_proto::client::{Config, Connection, Event};
use fcgi_proto::{ProtocolStatus, RecordType, RequestKey, Role};
use proptest::prelude::*;
use support::{end, record};

const WINDOW: usize = 1000;

fn config() -> Config {
    let many = NonZeroU16::new(100).expect("not 0");
    Config::default().keep_conn(true).max_requests(many).request_window(WINDOW)
}

fn begin(conn: &mut Connection) -> RequestKey {
    conn.begin(Role::Responder, [("A", "1")]).expect("room")
}

/// Receives output of so many bytes for a request, and holds what comes.
fn receive(conn: &mut Connection, key: RequestKey, len: usize) {
    let wire = record(RecordType::Stdout, key.request_id(), &vec![b'x'; len]);
    let mut input: &[u8] = &wire;
    while let Some(event) = conn.poll_event(&mut input).expect("a good peer") {
        let Event::Stdout { key, data } = event else { panic!("{event:?}") };
        conn.hold(key, data.len());
    }
}

fn end_of(conn: &mut Connection, key: RequestKey) {
    let wire = end(key.request_id(), ProtocolStatus::RequestComplete, 0);
    let event = conn.poll_event(&mut &wire[..]);
    assert!(matches!(event, Ok(Some(Event::End { .. }))), "{event:?}");
}

#[test]
fn a_slow_consumer_pauses_only_past_its_own_window() {
    let mut conn = Connection::new(config());
    let (slow, quick) = (begin(&mut conn), begin(&mut conn));
    receive(&mut conn, slow, WINDOW);
    assert!(conn.wants_read(), "at its window, not past it");
    receive(&mut conn, quick, 10);
    assert!(conn.wants_read(), "the sum does not matter");
    receive(&mut conn, slow, 1);
    assert!(!conn.wants_read());
    assert!(conn.is_stalled_by(slow) && !conn.is_stalled_by(quick));
    conn.release(quick, 10);
    assert!(!conn.wants_read(), "another's release does not help");
    conn.release(slow, 1);
    assert!(conn.wants_read() && !conn.is_stalled_by(slow));
}

#[test]
fn many_small_amounts_do_not_pause() {
    let mut conn = Connection::new(config());
    for _ in 0..100 {
        let key = begin(&mut conn);
        receive(&mut conn, key, WINDOW);
    }
    assert_eq!(conn.held(), 100 * WINDOW);
    assert!(conn.wants_read());
}

#[test]
fn the_connection_has_a_window_too() {
    let mut conn = Connection::new(config().connection_window(2 * WINDOW));
    let keys: Vec<_> = (0..4).map(|_| begin(&mut conn)).collect();
    for key in &keys[..3] {
        receive(&mut conn, *key, WINDOW);
    }
    assert!(!conn.wants_read());
    assert!(keys[..3].iter().all(|key| conn.is_stalled_by(*key)));
    assert!(!conn.is_stalled_by(keys[3]), "it holds nothing");
    conn.release(keys[1], WINDOW);
    assert!(conn.wants_read());
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let many = NonZeroU16::new(100).expect("not 0");
    let mut conn = Connection::new(Config::default().keep_conn(true).max_requests(many));
    let first = begin(&mut conn);
    conn.hold(first, 256 * 1024);
    assert!(conn.wants_read());
    conn.hold(first, 1);
    assert!(!conn.wants_read());
    conn.release(first, 1);
    for _ in 1..16 {
        let key = begin(&mut conn);
        conn.hold(key, 256 * 1024);
    }
    assert!(conn.wants_read());
    let last = begin(&mut conn);
    conn.hold(last, 1);
    assert!(!conn.wants_read());
}

#[test]
fn an_abort_gives_its_share_back() {
    let mut conn = Connection::new(config());
    let key = begin(&mut conn);
    receive(&mut conn, key, 2 * WINDOW);
    conn.request(key).expect("open").abort();
    assert!(conn.wants_read());
    assert_eq!(conn.held(), 0);
    conn.hold(key, 5 * WINDOW);
    assert_eq!(conn.held(), 0, "nothing more comes of it");
    conn.release(key, WINDOW);
    assert_eq!(conn.held(), 0);
}

#[test]
fn an_end_gives_its_share_back() {
    let mut conn = Connection::new(config());
    let key = begin(&mut conn);
    receive(&mut conn, key, 2 * WINDOW);
    end_of(&mut conn, key);
    assert!(conn.wants_read());
    let next = begin(&mut conn);
    receive(&mut conn, next, 7);
    conn.release(key, 2 * WINDOW);
    assert_eq!(conn.held(), 7, "a dead key releases nothing of another's");
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Hold(usize, usize),
    Release(usize, usize),
    Abort(usize),
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (at, len) = (0..8_usize, 0..3 * WINDOW);
    prop_oneof![
        Just(Step::Begin),
        (at.clone(), len.clone()).prop_map(|(at, len)| Step::Hold(at, len)),
        (at.clone(), len).prop_map(|(at, len)| Step::Release(at, len)),
        at.clone().prop_map(Step::Abort),
        at.prop_map(Step::End),
    ]
}

proptest! {
    /// Against the plainest account there is.
    #[test]
    fn the_account_is_true_after_any_steps(steps in proptest::collection::vec(step(), 1..80)) {
        let mut conn = Connection::new(config().connection_window(3 * WINDOW));
        let mut model: Vec<(RequestKey, usize, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Begin if model.len() < 8 => model.push((begin(&mut conn), 0, true)),
                Step::Begin => {}
                Step::Hold(at, len) => if let Some((key, held, is_counted)) = model.get_mut(at) {
                    conn.hold(*key, len);
                    *held += if *is_counted { len } else { 0 };
                },
                Step::Release(at, len) => if let Some((key, held, _)) = model.get_mut(at) {
                    conn.release(*key, len);
                    *held = held.saturating_sub(len);
                },
                Step::Abort(at) => if let Some((key, held, is_counted)) = model.get_mut(at) {
                    if let Some(request) = conn.request(*key) {
                        request.abort();
                    }
                    (*held, *is_counted) = (0, false);
                },
                Step::End(at) if at < model.len() => end_of(&mut conn, model.remove(at).0),
                Step::End(_) => {}
            }
            let total: usize = model.iter().map(|(_, held, _)| held).sum();
            let is_past = model.iter().any(|(_, held, _)| *held > WINDOW);
            prop_assert_eq!(conn.held(), total);
            prop_assert_eq!(conn.wants_read(), !is_past && total <= 3 * WINDOW);
        }
        for (key, ..) in model {
            end_of(&mut conn, key);
        }
        prop_assert!(conn.wants_read() && conn.held() == 0);
    }
}
