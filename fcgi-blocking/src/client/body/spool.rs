//! Bodies of unknown length, collected before anything is sent. The core says what goes where.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fcgi_proto::{BodyLen, Error, Parts, Phase, Spool, SpoolConfig, Spooled, Timeouts};
use rustix::event::{PollFd, PollFlags};

use super::super::Request;
use super::{Body, BoxError};
use crate::socket::wait;

/// A request ready to be sent: its body has a length, unless that was asked for otherwise.
pub(in super::super) fn prepare(
    request: Request,
    config: SpoolConfig,
    timeouts: Timeouts,
    started: Instant,
) -> Result<(Parts, Body, Timeouts), Error> {
    let (mut parts, mut body) = request.into_parts()?;
    let timeouts = parts.timeouts.unwrap_or(timeouts);
    let config = parts.spool.unwrap_or(config);
    if parts.content_length.is_none() && config.is_on() {
        body = collect(body, config, timeouts, started)?;
        parts.set_content_length(body.content_length().unwrap_or_default());
    }
    Ok((parts, body, timeouts))
}

fn collect(
    mut body: Body,
    config: SpoolConfig,
    timeouts: Timeouts,
    started: Instant,
) -> Result<Body, Error> {
    let at_spool = |error: Error| error.at(Phase::Spool);
    let mut spool = Spool::new(config);
    let mut file = None;
    while let Some(chunk) = next_chunk(&mut body, &timeouts, started)? {
        let chunk = chunk.map_err(Error::request_body).map_err(at_spool)?;
        if let Some(data) = spool.push(&chunk).map_err(Error::from).map_err(at_spool)? {
            file = Some(append(file, &data).map_err(Error::spool)?);
        }
    }
    match spool.finish() {
        Spooled::Memory(data) => Ok(data.into()),
        Spooled::File { rest, len } => {
            let mut file = append(file, &rest).map_err(Error::spool)?;
            file.rewind().map_err(Error::spool)?;
            Ok(Body::file_of(file, len))
        }
    }
}

/// Waits for the next piece no longer than the limits allow.
fn next_chunk(
    body: &mut Body,
    timeouts: &Timeouts,
    started: Instant,
) -> Result<Option<Result<Bytes, BoxError>>, Error> {
    let limit = timeouts.wait(Phase::Idle, started.elapsed());
    loop {
        let now = started.elapsed();
        if let Some(limit) = limit.filter(|limit| limit.deadline <= now) {
            return Err(Error::expired(limit));
        }
        if let Poll::Ready(chunk) = body.poll_chunk() {
            return Ok(chunk);
        }
        wait_for(body, limit.map(|limit| limit.deadline.saturating_sub(now)))
            .map_err(Error::request_body)?;
    }
}

fn wait_for(body: &Body, limit: Option<Duration>) -> io::Result<()> {
    let Some(wake) = body.wake() else { return Ok(()) };
    let mut descriptors = [PollFd::new(wake, PollFlags::IN)];
    let waited = wait(&mut descriptors, limit);
    let [wake_up] = descriptors.map(|descriptor| descriptor.revents());
    wake.disarm(!wake_up.is_empty());
    waited
}

fn append(file: Option<File>, data: &[u8]) -> io::Result<File> {
    let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
    file.write_all(data)?;
    Ok(file)
}
