//! A child process: reads one large response as it comes, and keeps nothing of it.

use std::io::{Error, Result};

use super::floor::Floor;
use super::load::{Job, tokio_runtime};
use super::meter::{Meter, Spent, Until};
use super::who::Who;
use crate::live::failed;

/// Reads it, and says what that took.
pub(super) fn run(job: &Job) -> Result<Spent> {
    let meter = Meter::new(0, Until::Count(1));
    meter.next();
    let size = job.size as u64;
    let received = match job.who {
        Who::Floor => Floor::connect(&job.socket, job.pairs())?.swallow(size)?,
        Who::Blocking => blocking(job)?,
        Who::Tokio => tokio_runtime()?.block_on(tokio(job))?,
        Who::AsyncStd => smol::block_on(async_std(job))?,
        Who::FastcgiClient => tokio_runtime()?.block_on(fastcgi_client(job))?,
        Who::TokioShared | Who::AsyncStdShared => return Err(failed("one request shares nothing")),
    };
    // A copy counts what stands around the body, too.
    if received < size || (received > size && job.who.is_ours()) {
        return Err(failed(format_args!("{received} bytes came of {size}")));
    }
    meter.next();
    Ok(meter.spent(1))
}

fn blocking(job: &Job) -> Result<u64> {
    use std::io::BufRead;
    let address = fcgi_proto::Address::unix(&job.socket);
    let pool = fcgi_blocking::Pool::new([address], job.who.config(1));
    let request = fcgi_blocking::Request::get(&job.script);
    let mut response = pool.execute(request).map_err(Error::other)?;
    let body = response.body_mut();
    let mut received = 0;
    loop {
        let count = body.fill_buf()?.len();
        if count == 0 {
            return Ok(received);
        }
        body.consume(count);
        received += count as u64;
    }
}

async fn tokio(job: &Job) -> Result<u64> {
    let pool = fcgi_tokio::Pool::new([fcgi_proto::Address::unix(&job.socket)], job.who.config(1));
    let request = fcgi_tokio::Request::get(&job.script);
    let mut response = pool.execute(request).await.map_err(Error::other)?;
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.map_err(Error::other)? {
        received += chunk.len() as u64;
    }
    Ok(received)
}

async fn async_std(job: &Job) -> Result<u64> {
    let pool =
        fcgi_async_std::Pool::new([fcgi_proto::Address::unix(&job.socket)], job.who.config(1));
    let request = fcgi_async_std::Request::get(&job.script);
    let mut response = pool.execute(request).await.map_err(Error::other)?;
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.map_err(Error::other)? {
        received += chunk.len() as u64;
    }
    Ok(received)
}

async fn fastcgi_client(job: &Job) -> Result<u64> {
    use fastcgi_client::StreamExt;
    use fastcgi_client::response::Content;
    let stream = tokio::net::UnixStream::connect(&job.socket).await?;
    let mut client = fastcgi_client::Client::new_keep_alive_tokio(stream);
    let pairs = job.pairs();
    let mut params = fastcgi_client::Params::default();
    params.clear();
    for (name, value) in &pairs {
        params.insert(name.as_str().into(), value.as_str().into());
    }
    let request = fastcgi_client::Request::new(params, fastcgi_client::io::empty());
    let mut stream = client.execute_stream(request).await.map_err(Error::other)?;
    let mut received = 0;
    while let Some(content) = stream.next().await {
        if let Content::Stdout(data) = content.map_err(Error::other)? {
            received += data.len() as u64;
        }
    }
    Ok(received)
}
