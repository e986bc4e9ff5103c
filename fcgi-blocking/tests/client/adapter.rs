//! This crate as a client under test.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use fcgi_blocking::{Address, Body, Client, Error, Pool, PoolConfig, Request, Timeouts};
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::End;
use fcgi_proto::pool::Snapshot;
use fcgi_test_support::client;

pub(crate) struct Blocking;

pub(crate) struct Answer(fcgi_blocking::Response);

fn client(client: &client::Client) -> Client {
    Client::new(client.address.clone()).timeouts(client.timeouts)
}

impl client::Adapter for Blocking {
    type Body = Body;
    type Response = Answer;

    fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Body {
        Body::reader(reader, len)
    }

    fn connect(address: &str) -> Result<(), Error> {
        Client::connect(address).map(drop)
    }

    fn call_form(address: &str, script: &str, form: &[(&str, &str)]) -> Result<Bytes, Error> {
        fcgi_blocking::call(address, script, form.iter().copied())
    }

    fn call(with: &client::Client, request: Request) -> Result<FullResponse, Error> {
        client(with).call(request)
    }

    fn execute(with: &client::Client, request: Request) -> Result<Answer, Error> {
        client(with).execute(request).map(Answer)
    }
}

impl client::Pooled for Blocking {
    type Pool = Pool;

    fn pool(addresses: Vec<Address>, config: PoolConfig, timeouts: Timeouts) -> Pool {
        Pool::new(addresses, config).timeouts(timeouts)
    }

    fn pool_call(pool: &Pool, request: Request) -> Result<FullResponse, Error> {
        pool.call(request)
    }

    fn pool_execute(pool: &Pool, request: Request) -> Result<Answer, Error> {
        pool.execute(request).map(Answer)
    }

    /// There is no future to drop: a limit ends it wherever it stands.
    fn pool_cancel(pool: &Pool, request: Request, after: Duration) {
        // Zero would be no limit.
        let limits = Timeouts::NONE.with_total(after.max(Duration::from_micros(1)));
        if let Ok(mut response) = pool.execute(request.timeouts(limits)) {
            while let Ok(Some(_)) = response.chunk() {}
        }
    }

    fn join_ordered(pool: &Pool, requests: Vec<Request>) -> Vec<Result<FullResponse, Error>> {
        pool.join_ordered(requests)
    }

    fn as_completed(
        pool: &Pool,
        requests: Vec<Request>,
    ) -> Vec<(usize, Result<FullResponse, Error>)> {
        pool.as_completed(requests).collect()
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
        self.0.chunk()
    }

    fn collect(self, limit: usize) -> Result<FullResponse, Error> {
        self.0.collect(limit)
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
