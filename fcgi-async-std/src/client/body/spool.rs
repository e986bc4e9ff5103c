//! Bodies of unknown length, collected before anything is sent. The core says what goes where.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Seek, Write};
use std::time::Instant;

use bytes::Bytes;
use fcgi_proto::{BodyLen, Error, Parts, Phase, Spool, SpoolConfig, Spooled, Timeouts};

use super::super::{Request, within};
use super::Body;

/// A request ready to be sent: its body has a length, unless that was asked for otherwise.
pub(in super::super) async fn prepare(
    request: Request,
    config: SpoolConfig,
    timeouts: Timeouts,
    started: Instant,
) -> Result<(Parts, Body, Timeouts), Error> {
    let (mut parts, mut body) = request.into_parts()?;
    let timeouts = parts.timeouts.unwrap_or(timeouts);
    let config = parts.spool.unwrap_or(config);
    if parts.content_length.is_none() && config.is_on() {
        body = collect(body, config, timeouts, started).await?;
        parts.set_content_length(body.content_length().unwrap_or_default());
    }
    Ok((parts, body, timeouts))
}

async fn collect(
    mut body: Body,
    config: SpoolConfig,
    timeouts: Timeouts,
    started: Instant,
) -> Result<Body, Error> {
    let at_spool = |error: Error| error.at(Phase::Spool);
    let mut spool = Spool::new(config);
    let mut file = None;
    loop {
        let wait = timeouts.wait(Phase::Idle, started.elapsed());
        let chunk = within(started, wait, poll_fn(|cx| body.poll_chunk(cx))).await?;
        let chunk = chunk.transpose().map_err(Error::request_body).map_err(at_spool)?;
        let Some(chunk) = chunk else { break };
        if let Some(data) = spool.push(&chunk).map_err(Error::from).map_err(at_spool)? {
            file = Some(append(file, data).await.map_err(Error::spool)?);
        }
    }
    match spool.finish() {
        Spooled::Memory(data) => Ok(data.into()),
        Spooled::File { rest, len } => {
            let mut file = append(file, rest).await.map_err(Error::spool)?;
            file.rewind().map_err(Error::spool)?;
            Ok(Body::unblocked(file, Some(len)))
        }
    }
}

/// Writes where blocking harms nobody: the disk may be slow, and the file large.
async fn append(file: Option<File>, data: Bytes) -> io::Result<File> {
    blocking::unblock(move || {
        let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
        file.write_all(&data)?;
        Ok(file)
    })
    .await
}
