//! An application that does nothing, as fast as it can, to leave the stage to whoever calls it.
//!
//! It knows the protocol by itself and uses nothing of this workspace, so that it is the same for everybody. Each
//! connection has a thread. Requests may share a connection. `size=N` anywhere among the parameters asks for a body of N
//! bytes, in records of 8 KiB as php-fpm sends them; `together=N` is answered a little after N such requests have come.

use std::collections::HashMap;
use std::io::{Read, Result, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

const HEAD: &[u8] =
    b"Status: 200 OK\r\nX-Powered-By: PHP/8.2.20\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n";
const RECORD: usize = 8 * 1024;
/// Larger output is written before it is whole.
const WRITE: usize = 256 * 1024;

/// Answers on a unix socket until the process ends.
///
/// # Errors
/// The socket cannot be made.
pub fn run(socket: &Path) -> Result<()> {
    super::allow_many_files();
    let listener = UnixListener::bind(socket)?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().stack_size(128 * 1024).spawn(move || serve(stream))?;
    }
    Ok(())
}

struct Open {
    keep_conn: bool,
    size: usize,
    together: usize,
}

fn serve(mut stream: impl Read + Write) {
    let mut input = vec![0; 256 * 1024];
    let mut filled = 0;
    let mut open = HashMap::new();
    let mut output = Vec::new();
    loop {
        let Some(room) = input.get_mut(filled..).filter(|room| !room.is_empty()) else { return };
        match stream.read(room) {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        let mut rest = &input[..filled];
        let mut keeps = true;
        while let Some(record) = take_record(&mut rest) {
            match handle(record, &mut open, &mut output, &mut stream) {
                Ok(keeps_this) => keeps &= keeps_this,
                Err(_) => return,
            }
        }
        let left = rest.len();
        input.copy_within(filled - left..filled, 0);
        filled = left;
        if !output.is_empty() && stream.write_all(&output).is_err() || !keeps {
            return;
        }
        output.clear();
    }
}

/// Type, id and content of the record at the front.
fn take_record<'b>(input: &mut &'b [u8]) -> Option<(u8, u16, &'b [u8])> {
    let (&[_, kind, id1, id0, len1, len0, padding, _], rest) = input.split_first_chunk()?;
    let (content, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([len1, len0])))?;
    *input = rest.get(usize::from(padding)..)?;
    Some((kind, u16::from_be_bytes([id1, id0]), content))
}

/// False when the connection is to be closed after the output.
fn handle(
    (kind, id, content): (u8, u16, &[u8]),
    open: &mut HashMap<u16, Open>,
    output: &mut Vec<u8>,
    stream: &mut impl Write,
) -> Result<bool> {
    match kind {
        BEGIN_REQUEST => {
            let keep_conn = content.get(2).is_some_and(|flags| flags & 1 == 1);
            open.insert(id, Open { keep_conn, size: 12, together: 1 });
        }
        PARAMS if !content.is_empty() => {
            if let Some(open) = open.get_mut(&id) {
                open.size = wanted(content, b"size=").unwrap_or(open.size);
                open.together = wanted(content, b"together=").unwrap_or(open.together);
            }
        }
        STDIN if content.is_empty() => {
            // Some end the input twice.
            let Some(Open { keep_conn, size, together }) = open.remove(&id) else {
                return Ok(true);
            };
            if together > 1 {
                wait_for_others(together);
            }
            respond(output, id, size, stream)?;
            return Ok(keep_conn);
        }
        ABORT_REQUEST => {
            if let Some(Open { keep_conn, .. }) = open.remove(&id) {
                push(output, END_REQUEST, id, &[0; 8]);
                return Ok(keep_conn);
            }
        }
        _ => {}
    }
    Ok(true)
}

/// Returns once so many wait here, the last of them after a moment in which the clients can come to rest.
fn wait_for_others(count: usize) {
    static WAITING: Mutex<usize> = Mutex::new(0);
    static ALL: Condvar = Condvar::new();
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    *waiting += 1;
    if *waiting % count == 0 {
        thread::sleep(Duration::from_millis(100));
        ALL.notify_all();
        return;
    }
    let round = *waiting / count;
    let _waiting = ALL.wait_while(waiting, |waiting| *waiting / count == round);
}

fn wanted(params: &[u8], name: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(params, name)?;
    let digits = params.get(at + name.len()..)?;
    let len = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    std::str::from_utf8(digits.get(..len)?).ok()?.parse().ok()
}

fn respond(output: &mut Vec<u8>, id: u16, size: usize, stream: &mut impl Write) -> Result<()> {
    const ZEROS: [u8; RECORD] = [b'x'; RECORD];
    let first = size.min(RECORD - HEAD.len());
    header(output, STDOUT, id, HEAD.len() + first);
    output.extend_from_slice(HEAD);
    output.extend_from_slice(&ZEROS[..first]);
    pad(output, HEAD.len() + first);
    let mut left = size - first;
    while left > 0 {
        let len = left.min(RECORD);
        push(output, STDOUT, id, &ZEROS[..len]);
        left -= len;
        if output.len() >= WRITE {
            stream.write_all(output)?;
            output.clear();
        }
    }
    push(output, END_REQUEST, id, &[0; 8]);
    Ok(())
}

fn push(output: &mut Vec<u8>, kind: u8, id: u16, content: &[u8]) {
    header(output, kind, id, content.len());
    output.extend_from_slice(content);
    pad(output, content.len());
}

fn header(output: &mut Vec<u8>, kind: u8, id: u16, len: usize) {
    let [id1, id0] = id.to_be_bytes();
    let [.., len1, len0] = len.to_be_bytes();
    output.extend_from_slice(&[1, kind, id1, id0, len1, len0, padding(len), 0]);
}

fn pad(output: &mut Vec<u8>, len: usize) {
    output.extend_from_slice(&[0; 8][..usize::from(padding(len))]);
}

const fn padding(len: usize) -> u8 {
    [0, 7, 6, 5, 4, 3, 2, 1][len % 8]
}
