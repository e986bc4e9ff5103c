//! A client by hand: the same variables encoded, one write, reads until END_REQUEST, and hardly a check.

use std::io::{Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::floor::{END_REQUEST, STDIN, STDOUT, header, push_request, take_record};
use crate::live::failed;

pub(super) struct Floor {
    stream: UnixStream,
    pairs: Vec<(String, String)>,
    output: Vec<u8>,
    input: Vec<u8>,
    body: Vec<u8>,
}

impl Floor {
    pub(super) fn connect(socket: &str, pairs: Vec<(String, String)>) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let input = vec![0; 64 * 1024];
        Ok(Self { stream, pairs, output: Vec::new(), input, body: Vec::new() })
    }

    /// The length of the body of the response, which is in `body`.
    pub(super) fn call(&mut self) -> Result<usize> {
        self.output.clear();
        push_request(&mut self.output, &self.pairs);
        self.output.extend_from_slice(&header(STDIN, 0));
        self.stream.write_all(&self.output)?;
        self.body.clear();
        let mut filled = 0;
        loop {
            match self.stream.read(&mut self.input[filled..])? {
                0 => return Err(failed("the application has closed the connection")),
                count => filled += count,
            }
            let mut rest = &self.input[..filled];
            while let Some(record) = take_record(&mut rest) {
                match record.record_type {
                    STDOUT => self.body.extend_from_slice(record.content),
                    END_REQUEST => return without_head(&self.body),
                    _ => {}
                }
            }
            let left = rest.len();
            self.input.copy_within(filled - left..filled, 0);
            filled = left;
        }
    }

    /// Reads so many bytes of body at the least and looks at none: a copy from a socket.
    pub(super) fn swallow(&mut self, size: u64) -> Result<u64> {
        self.output.clear();
        push_request(&mut self.output, &self.pairs);
        self.output.extend_from_slice(&header(STDIN, 0));
        self.stream.write_all(&self.output)?;
        let mut total = 0;
        while total < size {
            match self.stream.read(&mut self.input)? {
                0 => return Err(failed("the application has closed the connection")),
                count => total += count as u64,
            }
        }
        Ok(total)
    }
}

fn without_head(response: &[u8]) -> Result<usize> {
    let end = memchr::memmem::find(response, b"\r\n\r\n").ok_or_else(|| failed("no head"))?;
    Ok(response.len() - end - 4)
}
