use core::mem::discriminant;
use core::num::NonZeroU16;

use bytes::Buf;
use fcgi_proto::{ProtocolError, Role, client, server};

use super::input::{Input, pieces};
use super::naive::{Record, merged, own_records};

/// What came of a stream.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Kind, id, and content that belongs together in one piece.
    events: Vec<(&'static str, u16, Vec<u8>)>,
    /// What was sent back.
    output: Vec<Record>,
    open_requests: usize,
    is_closing: bool,
    wants_read: bool,
}

/// One stream at two cuttings, to either side: the same events, answers and errors.
pub fn cuts(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, first, second) = (input.byte(), input.byte(), input.byte());
    let wire = input.rest();
    let run = if options & 1 == 1 { to_server } else { to_client };
    let (whole, whole_error) = run(wire, 0, options);
    for cut in [first, second] {
        let (outcome, error) = run(wire, cut, options);
        assert_eq!(outcome, whole);
        // How many of its first bytes a stranger's error quotes is a matter of cutting.
        assert_eq!(
            error.map(|error| discriminant(&error)),
            whole_error.map(|error| discriminant(&error))
        );
    }
}

impl Outcome {
    fn note(&mut self, kind: &'static str, id: u16, data: &[u8]) {
        match self.events.last_mut() {
            Some((last, last_id, content))
                if (*last, *last_id) == (kind, id) && !content.is_empty() && !data.is_empty() =>
            {
                content.extend(data);
            }
            _ => self.events.push((kind, id, data.to_vec())),
        }
    }
}

fn drain(mut outgoing: impl Buf, output: &mut Vec<u8>) {
    let len = outgoing.remaining();
    output.extend_from_slice(&outgoing.copy_to_bytes(len));
}

fn to_client(wire: &[u8], cut: u8, options: u8) -> (Outcome, Option<ProtocolError>) {
    let config = client::Config::default()
        .keep_conn(options & 2 == 0)
        .max_requests(
            if options & 4 == 0 { NonZeroU16::new(4) } else { None }.unwrap_or(NonZeroU16::MIN),
        )
        .max_free_records(20)
        .max_values(100);
    let mut conn = client::Connection::new(config);
    if options & 8 == 8 {
        conn.get_values(["FCGI_MPXS_CONNS"]).expect("it is open");
    }
    for role in [Role::Responder, Role::Filter, Role::Authorizer, Role::Responder] {
        let Ok(key) = conn.begin(role, [("A", "b")]) else { break };
        let mut request = conn.request(key).expect("just begun");
        match role {
            Role::Responder => request.finish().expect("once"),
            Role::Authorizer => request.abort(),
            _ => {}
        }
    }
    let mut outcome = Outcome::default();
    let mut output = Vec::new();
    let mut run = || {
        for mut input in pieces(wire, cut) {
            while let Some(event) = conn.poll_event(&mut input)? {
                match event {
                    client::Event::Stdout { key, data } => {
                        outcome.note("stdout", key.request_id(), data);
                    }
                    client::Event::Stderr { key, data } => {
                        outcome.note("stderr", key.request_id(), data);
                    }
                    client::Event::End { key, protocol_status, app_status } => {
                        let status = format!("{protocol_status:?} {app_status}");
                        outcome.note("end", key.request_id(), status.as_bytes());
                        assert!(conn.request(key).is_none());
                    }
                    client::Event::Values(values) => outcome.note("values", 0, values.as_encoded()),
                    client::Event::UnknownType { record_type } => {
                        outcome.note("type", 0, &[record_type]);
                    }
                    _ => panic!("a new event"),
                }
            }
            assert!(input.is_empty(), "all of the input is taken");
        }
        Ok(())
    };
    let error = run().err();
    let error = error.or(conn.handle_eof().err());
    drain(conn.outgoing(), &mut output);
    outcome.output = merged(own_records(&output));
    outcome.open_requests = conn.open_requests();
    outcome.is_closing = conn.is_closing();
    outcome.wants_read = conn.wants_read();
    (outcome, error)
}

fn to_server(wire: &[u8], cut: u8, options: u8) -> (Outcome, Option<ProtocolError>) {
    let config = server::Config::default()
        .max_requests(NonZeroU16::new(u16::from(options >> 1 & 3)).unwrap_or(NonZeroU16::MIN))
        .max_params(300)
        .max_param_count(5)
        .max_free_records(20)
        .max_values(100)
        .max_buffered(if options & 8 == 8 { 50 } else { 1000 });
    let mut conn = server::Connection::new(config);
    let mut outcome = Outcome::default();
    let mut output = Vec::new();
    let mut run = || {
        for mut input in pieces(wire, cut) {
            poll_server(&mut conn, &mut input, &mut outcome, &mut output)?;
        }
        conn.handle_eof();
        poll_server(&mut conn, &mut &[][..], &mut outcome, &mut output)
    };
    let error = run().err();
    drain(conn.outgoing(), &mut output);
    outcome.output = merged(own_records(&output));
    outcome.open_requests = conn.open_requests();
    outcome.is_closing = conn.is_closing();
    outcome.wants_read = conn.wants_read();
    (outcome, error)
}

/// Takes all of the input, with an application that echoes.
fn poll_server(
    conn: &mut server::Connection,
    input: &mut &[u8],
    outcome: &mut Outcome,
    output: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    loop {
        let before = input.len();
        let Some(event) = conn.poll_event(input)? else {
            let was_blocked = conn.is_blocked();
            drain(conn.outgoing(), output);
            if input.is_empty() && !was_blocked {
                return Ok(());
            }
            assert!(was_blocked, "input is left though nothing is in the way");
            continue;
        };
        assert!(input.len() <= before);
        match event {
            server::Event::Request { key, role, params } => {
                let mut text = format!("{role:?}").into_bytes();
                text.extend_from_slice(params.as_encoded());
                outcome.note("request", key.request_id(), &text);
                conn.recycle(params);
            }
            server::Event::Stdin { key, data } => {
                outcome.note("stdin", key.request_id(), data);
                let mut response = conn.response(key).expect("it is open");
                response.stdout_slice(data).expect("input comes only while there is room");
            }
            server::Event::Data { key, data } => {
                outcome.note("data", key.request_id(), data);
                assert!(conn.response(key).is_some());
            }
            server::Event::StdinEnd { key } => {
                outcome.note("stdin end", key.request_id(), b"");
                conn.response(key).expect("it is open").end(7);
            }
            server::Event::DataEnd { key } => outcome.note("data end", key.request_id(), b""),
            server::Event::Aborted { key } => {
                outcome.note("aborted", key.request_id(), b"");
                conn.response(key).expect("it is open").end(1);
            }
            server::Event::Refused { request_id, reason } => {
                outcome.note("refused", request_id, reason.to_string().as_bytes());
            }
            _ => panic!("a new event"),
        }
    }
}
