//! The question what an application can do, on a connection of its own: whatever is read, there is an outcome or it waits.

#[path = "support/mod.rs"]
mod support;

use bytes::Buf;
use fcgi_proto::client::Probe;
use fcgi_proto::{ProtocolStatus, RecordType};
use support::{end, record, records_of};

const ANSWER: &[u8] = b"\x0f\x01FCGI_MPXS_CONNS1\x0d\x02FCGI_MAX_REQS50";

fn value(read: Option<Option<fcgi_proto::Params>>, name: &str) -> Option<Vec<u8>> {
    read.expect("an outcome").expect("an answer").get(name).map(<[u8]>::to_vec)
}

#[test]
fn it_asks_for_what_decides() {
    let mut probe = Probe::default();
    let mut outgoing = probe.outgoing();
    let wire = outgoing.copy_to_bytes(outgoing.remaining());
    let records = records_of(&wire);
    assert_eq!(records.len(), 1);
    let (header, content) = &records[0];
    assert_eq!((header.record_type, header.request_id), (RecordType::GetValues, 0));
    assert_eq!(content, b"\x0f\0FCGI_MPXS_CONNS\x0d\0FCGI_MAX_REQS");
    assert!(header.padding_len > 0, "libfcgi answers only once another byte has come");
}

#[test]
fn the_answer_may_come_in_pieces_and_behind_other_records() {
    let unknown = record(RecordType::UnknownType, 0, &[77, 0, 0, 0, 0, 0, 0, 0]);
    let wire = [unknown, record(RecordType::GetValuesResult, 0, ANSWER)].concat();
    for cut in 0..wire.len() {
        let mut probe = Probe::new();
        if cut > 0 {
            assert_eq!(probe.handle_read(&wire[..cut]).is_some(), cut == wire.len());
        }
        let read = probe.handle_read(&wire[cut..]);
        assert_eq!(value(read.clone(), "FCGI_MPXS_CONNS").as_deref(), Some(&b"1"[..]));
        assert_eq!(value(read, "FCGI_MAX_REQS").as_deref(), Some(&b"50"[..]));
    }
}

#[test]
fn what_is_no_answer_is_an_outcome_too() {
    for read in [
        &b""[..],                                      // closed
        b"HTTP/1.1 400 Bad Request\r\n\r\n",           // another protocol
        &end(0, ProtocolStatus::RequestComplete, 0),   // nothing that was asked for
        &record(RecordType::BeginRequest, 1, &[0; 8]), // a client
    ] {
        let outcome = Probe::new().handle_read(read);
        assert!(matches!(outcome, Some(None)), "{outcome:?} to {read:?}");
    }
}
