//! Every phase of a request times every type of record, for both sides, each cell with its verdict.
//!
//! - `Stdin`, `Request`, ...: the event that it gives
//! - `take`: it changes the state and is useful, though it gives no event
//! - `skip`: it was to be expected, and brings nothing
//! - `free`: it brings nothing, and is counted (see `max_free_records`)
//! - `+` behind one of these: it was answered at once
//! - `!dir` wrong direction, `!null` request id 0, `!order` out of order, `!in-use` and `!never`: errors of the connection
//!
//! Of the rows, `gone` was aborted and has ended, `early` has ended before its input, `refused` was one too many, `full` and
//! `closing` are about an id never begun where another request is open. A name with a dot is the empty record that ends the stream.

mod support;

use core::fmt::Write as _;
use core::num::NonZeroU16;

use fcgi_proto::{ProtocolError, ProtocolStatus, RecordType, RequestKey, Role, client, server};
use support::{Seen, Side, begin, begin_flags, empty, end, events, pairs, record};

const SERVER: &str = "
            BEGIN     ABORT     END       PARAMS    PARAMS.   STDIN     STDIN.    STDOUT    STDERR    DATA      DATA.     GET_VAL.  RESULT    UNKNOWN   99
never       take      free      !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
params      !in-use   Refused+  !dir      take      Request   !order    !order    !dir      !dir      !order    !order    free      !dir      !dir      free
stdin       !in-use   Aborted   !dir      free      free      Stdin     StdinEnd  !dir      !dir      !order    !order    free      !dir      !dir      free
data        !in-use   Aborted   !dir      free      free      free      free      !dir      !dir      Data      DataEnd   free      !dir      !dir      free
complete    !in-use   Aborted   !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
aborted     !in-use   free      !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
gone        take      free      !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
ended       take      free      !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
early       take      free      !dir      skip      free      skip      skip      !dir      !dir      skip      free      free      !dir      !dir      free
refused     Refused+  free      !dir      skip      free      skip      skip      !dir      !dir      skip      free      free      !dir      !dir      free
full        Refused+  free      !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
closing     free      free      !dir      free      free      free      free      !dir      !dir      free      free      free      !dir      !dir      free
id 0        !null     !null     !dir      !null     !null     !null     !null     !dir      !dir      !null     !null     free+     !dir      !dir      free+
";

const CLIENT: &str = "
            BEGIN     ABORT     END       PARAMS    PARAMS.   STDIN     STDIN.    STDOUT    STDOUT.   STDERR    STDERR.   DATA      GET_VAL.  RESULT    UNKNOWN   99
never       !dir      !dir      !never    !dir      !dir      !dir      !dir      !never    !never    !never    !never    !dir      !dir      free      Unknown   free
stdin       !dir      !dir      End       !dir      !dir      !dir      !dir      Stdout    free      Stderr    free      !dir      !dir      free      Unknown   free
data        !dir      !dir      End       !dir      !dir      !dir      !dir      Stdout    free      Stderr    free      !dir      !dir      free      Unknown   free
sent        !dir      !dir      End       !dir      !dir      !dir      !dir      Stdout    free      Stderr    free      !dir      !dir      free      Unknown   free
aborted     !dir      !dir      End       !dir      !dir      !dir      !dir      take      free      take      free      !dir      !dir      free      Unknown   free
ended       !dir      !dir      free      !dir      !dir      !dir      !dir      free      free      free      free      !dir      !dir      free      Unknown   free
asked       !dir      !dir      !never    !dir      !dir      !dir      !dir      !never    !never    !never    !never    !dir      !dir      Values    Unknown   free
id 0        !dir      !dir      !null     !dir      !dir      !dir      !dir      !null     !null     !null     !null     !dir      !dir      free      Unknown   free
";

/// The record in a column, for this id.
fn column(name: &str, id: u16) -> Vec<u8> {
    let stream = |record_type| match name.strip_suffix('.') {
        Some(_) => empty(record_type, id),
        None => record(record_type, id, b"x"),
    };
    match name.trim_end_matches('.') {
        "BEGIN" => begin(id, Role::Responder),
        "ABORT" => empty(RecordType::AbortRequest, id),
        "END" => end(id, ProtocolStatus::RequestComplete, 0),
        "PARAMS" if name.ends_with('.') => empty(RecordType::Params, id),
        "PARAMS" => record(RecordType::Params, id, &pairs([("A", "1")])),
        "STDIN" => stream(RecordType::Stdin),
        "STDOUT" => stream(RecordType::Stdout),
        "STDERR" => stream(RecordType::Stderr),
        "DATA" => stream(RecordType::Data),
        "GET_VAL" => record(RecordType::GetValues, id, &pairs([("FCGI_MAX_REQS", "")])),
        "RESULT" => record(RecordType::GetValuesResult, id, &pairs([("FCGI_MAX_REQS", "1")])),
        "UNKNOWN" => record(RecordType::UnknownType, id, &[99, 0, 0, 0, 0, 0, 0, 0]),
        "99" => empty(RecordType::Other(99), id),
        _ => panic!("no such column: {name}"),
    }
}

/// How many free records a row allows.
const FREE: u32 = 20;

fn server_in(row: &str) -> server::Connection {
    let full = u16::from(row == "full" || row == "refused");
    let limit = NonZeroU16::new(32 - 31 * full).expect("1 or 32");
    let config = server::Config::default().max_free_records(FREE).max_requests(limit);
    let mut conn = server::Connection::new(config);
    let role = if row == "data" { Role::Filter } else { Role::Responder };
    let params = empty(RecordType::Params, 1);
    let stdin = empty(RecordType::Stdin, 1);
    let head = [begin(1, role), params].concat();
    let wire = match row {
        "never" | "id 0" => Vec::new(),
        "params" => begin(1, role),
        "stdin" | "early" => head,
        "data" | "complete" | "ended" => [head, stdin].concat(),
        "aborted" | "gone" => [head, empty(RecordType::AbortRequest, 1)].concat(),
        "full" => begin(2, role),
        "refused" => {
            // Last a useful record, so that all rows begin alike.
            let useful = record(RecordType::Params, 2, &pairs([("A", "1")]));
            [begin(2, role), begin(1, role), useful].concat()
        }
        "closing" => {
            let last = [begin_flags(3, role, 0), empty(RecordType::Params, 3)].concat();
            [begin(2, role), last].concat()
        }
        _ => panic!("no such row: {row}"),
    };
    let key = feed(&mut conn, &wire);
    if matches!(row, "gone" | "ended" | "early" | "closing") {
        conn.response(key.expect("announced")).expect("open").end(0);
    }
    conn.take_output(usize::MAX);
    conn
}

/// Feeds an application; the last request that it was given.
fn feed(conn: &mut server::Connection, mut input: &[u8]) -> Option<RequestKey> {
    let mut last = None;
    while let Some(event) = conn.poll_event(&mut input).expect("set up by honest records") {
        if let server::Event::Request { key, .. } = event {
            last = Some(key);
        }
    }
    last
}

fn client_in(row: &str) -> client::Connection {
    let config = client::Config::default().keep_conn(true).max_free_records(FREE);
    let mut conn = client::Connection::new(config);
    match row {
        "never" => {}
        "asked" => conn.get_values(["FCGI_MAX_REQS"]).expect("nothing is open"),
        _ => {
            let role = if row == "data" { Role::Filter } else { Role::Responder };
            let key = conn.begin(role, [("A", "1")]).expect("room");
            let mut request = conn.request(key).expect("open");
            if row != "stdin" {
                request.finish().expect("once");
            }
            match row {
                "aborted" => request.abort(),
                "ended" => {
                    let wire = end(1, ProtocolStatus::RequestComplete, 0);
                    assert_eq!(events(&mut conn, [&wire[..]]), [Seen::complete(1)]);
                }
                "stdin" | "data" | "sent" | "id 0" => {}
                _ => panic!("no such row: {row}"),
            }
        }
    }
    conn.take_output(usize::MAX);
    conn
}

fn verdict<S: Side>(new: impl Fn() -> S, wire: &[u8]) -> String {
    let spent = empty(RecordType::Other(99), 1);
    let mut side = new();
    // One is spent beforehand, so that a useful record shows by refilling.
    assert_eq!(events(&mut side, [&spent[..]]), []);
    let seen = events(&mut side, [wire]);
    let answered = if side.take_output(usize::MAX).is_empty() { "" } else { "+" };
    let name = match seen.as_slice() {
        [event] => event_name(event),
        [] => {
            let left = (0..).find(|_| !events(&mut side, [&spent[..]]).is_empty());
            match left {
                Some(20) => "take",
                Some(19) => "skip",
                Some(18) => "free",
                _ => panic!("no record changes the count so: {left:?}"),
            }
        }
        _ => panic!("more than one event: {seen:?}"),
    };
    format!("{name}{answered}")
}

fn event_name(event: &Seen) -> &'static str {
    match event {
        Seen::Request(..) => "Request",
        Seen::Stdin(..) => "Stdin",
        Seen::StdinEnd(_) => "StdinEnd",
        Seen::Data(..) => "Data",
        Seen::DataEnd(_) => "DataEnd",
        Seen::Aborted(_) => "Aborted",
        Seen::Refused(..) => "Refused",
        Seen::Stdout(..) => "Stdout",
        Seen::Stderr(..) => "Stderr",
        Seen::End(..) => "End",
        Seen::Values(_) => "Values",
        Seen::UnknownType(_) => "Unknown",
        Seen::Failed(ProtocolError::WrongDirection { .. }) => "!dir",
        Seen::Failed(ProtocolError::NullRequestId { .. }) => "!null",
        Seen::Failed(ProtocolError::RequestIdInUse { .. }) => "!in-use",
        Seen::Failed(ProtocolError::OutOfOrder { .. }) => "!order",
        Seen::Failed(ProtocolError::UnknownRequestId { .. }) => "!never",
        Seen::Failed(_) => "!other",
    }
}

/// Fills in the cells of a table by trying each.
fn tried<S: Side>(table: &str, new: impl Fn(&str) -> S) -> String {
    let mut lines = table.trim_start_matches('\n').lines();
    let head = lines.next().expect("the columns");
    let columns: Vec<_> = head.split_whitespace().collect();
    let mut out = format!("\n{head}\n");
    for line in lines {
        let row = line.split_at(12).0.trim_end();
        let id = u16::from(row != "id 0");
        write!(out, "{row:<12}").expect("a string takes all");
        let cells = columns.iter().map(|name| verdict(|| new(row), &column(name, id)));
        let cells: String = cells.map(|cell| format!("{cell:<10}")).collect();
        out.push_str(cells.trim_end());
        out.push('\n');
    }
    out
}

// spec: S11, S28, S42, S51, S61
#[test]
fn every_record_in_every_phase_of_an_application() {
    let tried = tried(SERVER, server_in);
    assert!(tried == SERVER, "expected:{SERVER}\nfound:{tried}");
}

// spec: S14, S61
#[test]
fn every_record_in_every_phase_of_a_client() {
    let tried = tried(CLIENT, client_in);
    assert!(tried == CLIENT, "expected:{CLIENT}\nfound:{tried}");
}
