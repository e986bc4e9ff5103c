//! FastCGI by hand, so that this crate depends on nothing it helps to test.

use std::io::{Read, Write};

use fcgi_test_support::Socket;

/// One whole request of id 1 without a body, whose connection the application closes.
pub(crate) fn request(params: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in params {
        for length in [name.len(), value.len()] {
            match u8::try_from(length) {
                Ok(short) if short < 0x80 => block.push(short),
                _ => {
                    let length = u32::try_from(length).expect("a short value") | 0x8000_0000;
                    block.extend_from_slice(&length.to_be_bytes());
                }
            }
        }
        block.extend_from_slice(name.as_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let mut wire = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]; // BEGIN_REQUEST, responder
    let length = u16::try_from(block.len()).expect("one record holds the parameters");
    wire.extend_from_slice(&[1, 4, 0, 1]);
    wire.extend_from_slice(&length.to_be_bytes());
    wire.extend_from_slice(&[0, 0]);
    wire.extend_from_slice(&block);
    wire.extend_from_slice(&[1, 4, 0, 1, 0, 0, 0, 0]); // the end of PARAMS
    wire.extend_from_slice(&[1, 5, 0, 1, 0, 0, 0, 0]); // the end of STDIN
    wire
}

/// Asks for a script, and returns everything it sent on STDOUT and whether END_REQUEST came.
pub(crate) fn ask(socket: Socket, script: &str, query: &str) -> (Vec<u8>, bool) {
    exchange(
        socket,
        &request(&[
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_FILENAME", script),
            ("SCRIPT_NAME", script),
            ("QUERY_STRING", query),
        ]),
    )
}

/// Sends bytes and sorts what comes back until the connection is closed.
pub(crate) fn exchange(mut socket: Socket, wire: &[u8]) -> (Vec<u8>, bool) {
    socket.write_all(wire).expect("the request can be written");
    let mut answer = Vec::new();
    // A worker that dies may reset the connection; what came before counts.
    let _ = socket.read_to_end(&mut answer);
    let (mut stdout, mut rest, mut ended) = (Vec::new(), &answer[..], false);
    while let Some((&[_, kind, _, _, high, low, padding, _], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let content = &tail[..length.min(tail.len())];
        match kind {
            6 => stdout.extend_from_slice(content),
            3 => ended = true,
            _ => {}
        }
        rest = tail.get(length + usize::from(padding)..).unwrap_or_default();
    }
    (stdout, ended)
}

/// The part after the head.
pub(crate) fn body(stdout: &[u8]) -> &[u8] {
    let end = stdout.windows(4).position(|four| four == b"\r\n\r\n");
    &stdout[end.expect("the response has a head") + 4..]
}
