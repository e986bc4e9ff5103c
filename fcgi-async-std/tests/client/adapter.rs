//! This crate as a client under test.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use fcgi_async_std::{Address, Body, Client, Error, Pool, PoolConfig, Request, Timeouts};
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::End;
use fcgi_proto::pool::Snapshot;
use fcgi_test_support::client;
use smol::{Unblock, block_on};

pub(crate) struct Futures;

pub(crate) struct Answer(fcgi_async_std::Response);

fn client(client: &client::Client) -> Client {
    Client::new(client.address.clone()).timeouts(client.timeouts)
}

impl client::Adapter for Futures {
    type Body = Body;
    type Response = Answer;

    fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Body {
        Body::reader(Unblock::new(reader), len)
    }

    fn connect(address: &str) -> Result<(), Error> {
        block_on(Client::connect(address)).map(drop)
    }

    fn call_form(address: &str, script: &str, form: &[(&str, &str)]) -> Result<Bytes, Error> {
        block_on(fcgi_async_std::call(address, script, form.iter().copied()))
    }

    fn call(with: &client::Client, request: Request) -> Result<FullResponse, Error> {
        block_on(client(with).call(request))
    }

    fn execute(with: &client::Client, request: Request) -> Result<Answer, Error> {
        block_on(client(with).execute(request)).map(Answer)
    }
}

impl client::Pooled for Futures {
    type Pool = Pool;

    fn pool(addresses: Vec<Address>, config: PoolConfig, timeouts: Timeouts) -> Pool {
        Pool::new(addresses, config).timeouts(timeouts)
    }

    fn pool_call(pool: &Pool, request: Request) -> Result<FullResponse, Error> {
        block_on(pool.call(request))
    }

    fn pool_execute(pool: &Pool, request: Request) -> Result<Answer, Error> {
        block_on(pool.execute(request)).map(Answer)
    }

    fn pool_cancel(pool: &Pool, request: Request, after: Duration) {
        let all = async {
            let mut response = pool.execute(request).await?;
            while response.chunk().await?.is_some() {}
            Ok::<_, Error>(())
        };
        block_on(smol::future::or(async { drop(all.await) }, async {
            smol::Timer::after(after).await;
        }));
    }

    fn join_ordered(pool: &Pool, requests: Vec<Request>) -> Vec<Result<FullResponse, Error>> {
        block_on(pool.join_ordered(requests))
    }

    fn as_completed(
        pool: &Pool,
        requests: Vec<Request>,
    ) -> Vec<(usize, Result<FullResponse, Error>)> {
        block_on(async {
            let mut completed = pool.as_completed(requests);
            let mut results = Vec::new();
            while let Some(result) = completed.next().await {
                results.push(result);
            }
            results
        })
    }

    fn snapshot(pool: &Pool) -> Snapshot {
        pool.metrics().pool
    }
}

impl client::Response for Answer {
    fn status(&self) -> u16 {
        self.0.status()
    }

    fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        block_on(self.0.chunk())
    }

    fn collect(self, limit: usize) -> Result<FullResponse, Error> {
        block_on(self.0.collect(limit))
    }

    fn stderr(&mut self) -> &[u8] {
        self.0.body().stderr()
    }

    fn stderr_dropped(&mut self) -> u64 {
        self.0.body().stderr_dropped()
    }

    fn end(&mut self) -> Option<End> {
        self.0.body().end()
    }
}
