//! Peers by script, against both sides of this crate.

use core::time::Duration;

use fcgi_proto::scripted::{Action, Id, Peer, Script};
use fcgi_proto::{ProtocolStatus, RecordType, Role, client, server};

fn hello() -> Script {
    Script::new().await_request().stdout("A: b\r\n\r\nhey").end()
}

/// The bytes of a small request with this id.
fn request(id: u16) -> Vec<u8> {
    let script = Script::new().begin(id, true).params([("A", "b")]).stdin("body").end_stdin();
    let Action::Write(bytes) = Peer::new(script).poll_action() else { panic!("nothing to write") };
    bytes.to_vec()
}

/// All that a peer writes to this input, and how it ends.
fn play(script: Script, input: &[u8]) -> (Vec<u8>, Action) {
    let mut peer = Peer::new(script);
    peer.handle_input(input);
    peer.handle_eof();
    let mut out = Vec::new();
    loop {
        match peer.poll_action() {
            Action::Write(bytes) => out.extend(bytes),
            Action::Read => panic!("there is nothing more"),
            Action::Pause(_) => {}
            end => return (out, end),
        }
    }
}

#[test]
fn an_answer_goes_to_the_request_that_came() {
    let (out, end) = play(hello(), &request(0x0102));
    let mut expected =
        b"\x01\x06\x01\x02\0\x0b\0\0A: b\r\n\r\nhey\x01\x06\x01\x02\0\0\0\0".to_vec();
    expected.extend(b"\x01\x03\x01\x02\0\x08\0\0\0\0\0\0\0\0\0\0");
    assert_eq!((out, end), (expected, Action::Close));
}

#[test]
fn nothing_is_written_before_what_is_awaited_has_come() {
    let bytes = request(1);
    let mut peer = Peer::new(hello());
    for byte in &bytes {
        assert_eq!(peer.poll_action(), Action::Read);
        peer.handle_input(&[*byte]);
    }
    assert!(matches!(peer.poll_action(), Action::Write(_)));
    assert_eq!((peer.poll_action(), peer.poll_action()), (Action::Close, Action::Close));
    assert_eq!(peer.bytes_received(), bytes.len() as u64);
    // What is awaited and cannot come any more ends the script.
    assert_eq!(play(hello(), &bytes[..bytes.len() - 1]), (vec![], Action::Close));
}

#[test]
fn a_cut_is_at_any_byte_of_all_that_is_written() {
    let script = hello().flush().pause(Duration::ZERO).stderr("late").reset();
    let (whole, end) = play(script.clone(), &request(1));
    assert_eq!((whole.len() as u64, end), (script.bytes_written(), Action::Reset));
    for len in 0..whole.len() {
        let (cut, end) = play(script.clone().cut(len as u64), &request(1));
        assert_eq!((&cut[..], end), (&whole[..len], Action::Close));
    }
    // With more than one write as well.
    let long = Script::new().stdout(vec![b'x'; 200_000]);
    for len in [0, 1, 65_543, 65_544, 131_086, 200_032, 1_000_000] {
        assert_eq!(play(long.clone().cut(len), b"").0.len() as u64, len.min(200_032));
    }
    assert_eq!(long.bytes_written(), 200_032);
}

#[test]
fn requests_are_awaited_one_by_one() {
    let script = Script::new()
        .await_begin()
        .stderr("seen")
        .await_request()
        .stdout("\n\none")
        .await_request()
        .stdout("\n\ntwo")
        .id(Id::Next)
        .end_with(ProtocolStatus::Overloaded, 7);
    let (out, _) = play(script, &[request(3), request(5)].concat());
    let mut expected = b"\x01\x07\0\x03\0\x04\0\0seen\x01\x06\0\x03\0\x05\0\0\n\none".to_vec();
    expected.extend(b"\x01\x06\0\x05\0\x05\0\0\n\ntwo\x01\x03\0\x06\0\x08\0\0\0\0\0\x07\x02\0\0\0");
    assert_eq!(out, expected);
}

#[test]
fn parts_repeat_and_may_be_in_parts() {
    let part = |inner: Script| inner.bytes("b").repeat(2, |most| most.bytes("c"));
    let script = Script::new().bytes("a").repeat(3, part).bytes("d");
    assert_eq!(script.bytes_written(), 11);
    assert_eq!(play(script, b"").0, b"abccbccbccd");
    let forever = Script::new().repeat(u64::MAX, |part| part.bytes("x"));
    assert_eq!(forever.bytes_written(), u64::MAX);
    assert_eq!(play(forever.cut(1000), b"").0, [b'x'; 1000]);
    assert_eq!(play(Script::new().repeat(u64::MAX, |part| part), b"").1, Action::Close);
}

#[test]
fn a_stalled_peer_says_so_for_ever() {
    let mut peer = Peer::new(Script::new().bytes("x").stall());
    assert_eq!(peer.poll_action(), Action::Write("x".into()));
    assert_eq!((peer.poll_action(), peer.poll_action()), (Action::Stall, Action::Stall));
}

#[test]
fn a_client_understands_it() {
    let mut conn = client::Connection::new(client::Config::default());
    let key = conn.begin(Role::Responder, [("A", "b")]).expect("it begins");
    conn.request(key).expect("open").finish().expect("once");
    let mut sent = Vec::new();
    while conn.has_outgoing() {
        let chunk = bytes::Buf::chunk(&conn.outgoing()).to_vec();
        bytes::Buf::advance(&mut conn.outgoing(), chunk.len());
        sent.extend(chunk);
    }
    let (answer, _) = play(hello().padding(9), &sent);
    let mut input = &answer[..];
    let mut seen = Vec::new();
    while let Some(event) = conn.poll_event(&mut input).expect("it is right") {
        seen.push(format!("{event:?}"));
    }
    assert!(seen.last().expect("something").starts_with("End"), "{seen:?}");
}

#[test]
fn a_server_understands_it() {
    let mut conn = server::Connection::new(server::Config::default());
    let mut input = &request(9)[..];
    let mut seen = Vec::new();
    while let Some(event) = conn.poll_event(&mut input).expect("it is right") {
        seen.push(format!("{event:?}"));
    }
    assert!(seen.first().expect("something").starts_with("Request"), "{seen:?}");
    let script = Script::new().begin(1, true).params([]).abort().record(RecordType::Other(42), "?");
    assert_eq!(script.bytes_written(), 16 + 8 + 8 + 9);
}
