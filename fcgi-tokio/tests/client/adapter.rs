//! This crate as a client under test.

use std::io::Read;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::End;
use fcgi_proto::pool::Snapshot;
use fcgi_test_support::client;
use fcgi_tokio::{Address, Body, Client, Error, Pool, PoolConfig, Request, Timeouts};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::ReceiverStream;

pub(crate) struct Tokio;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// A response, dropped where the runtime is.
pub(crate) struct Answer(Option<fcgi_tokio::Response>);

impl Answer {
    fn get(&mut self) -> &mut fcgi_tokio::Response {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let _runtime = RUNTIME.enter();
        self.0.take();
    }
}

fn client(client: &client::Client) -> Client {
    Client::new(client.address.clone()).timeouts(client.timeouts)
}

impl client::Adapter for Tokio {
    type Body = Body;
    type Response = Answer;

    fn reader(mut reader: impl Read + Send + 'static, len: Option<u64>) -> Body {
        let (pieces, taken) = tokio::sync::mpsc::channel(1);
        thread::spawn(move || {
            let mut buf = vec![0; 64 * 1024];
            loop {
                let piece = match reader.read(&mut buf) {
                    Ok(0) => return,
                    Ok(count) => Ok(Bytes::copy_from_slice(&buf[..count])),
                    Err(error) => Err(error),
                };
                if pieces.blocking_send(piece).is_err() {
                    return;
                }
            }
        });
        Body::stream(ReceiverStream::new(taken), len)
    }

    fn connect(address: &str) -> Result<(), Error> {
        RUNTIME.block_on(Client::connect(address)).map(drop)
    }

    fn call_form(address: &str, script: &str, form: &[(&str, &str)]) -> Result<Bytes, Error> {
        RUNTIME.block_on(fcgi_tokio::call(address, script, form.iter().copied()))
    }

    fn call(with: &client::Client, request: Request) -> Result<FullResponse, Error> {
        RUNTIME.block_on(client(with).call(request))
    }

    fn execute(with: &client::Client, request: Request) -> Result<Answer, Error> {
        Ok(Answer(Some(RUNTIME.block_on(client(with).execute(request))?)))
    }
}

impl client::Pooled for Tokio {
    type Pool = Pool;

    fn pool(addresses: Vec<Address>, config: PoolConfig, timeouts: Timeouts) -> Pool {
        let _runtime = RUNTIME.enter();
        Pool::new(addresses, config).timeouts(timeouts)
    }

    fn pool_call(pool: &Pool, request: Request) -> Result<FullResponse, Error> {
        RUNTIME.block_on(pool.call(request))
    }

    fn pool_execute(pool: &Pool, request: Request) -> Result<Answer, Error> {
        Ok(Answer(Some(RUNTIME.block_on(pool.execute(request))?)))
    }

    fn pool_cancel(pool: &Pool, request: Request, after: Duration) {
        let _ = RUNTIME.block_on(async {
            tokio::time::timeout(after, async {
                let mut response = pool.execute(request).await?;
                while response.chunk().await?.is_some() {}
                Ok::<_, Error>(())
            })
            .await
        });
    }

    fn join_ordered(pool: &Pool, requests: Vec<Request>) -> Vec<Result<FullResponse, Error>> {
        RUNTIME.block_on(pool.join_ordered(requests))
    }

    fn as_completed(
        pool: &Pool,
        requests: Vec<Request>,
    ) -> Vec<(usize, Result<FullResponse, Error>)> {
        RUNTIME.block_on(async {
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
        self.0.as_ref().expect("it is there until it is dropped").status()
    }

    fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        RUNTIME.block_on(self.get().chunk())
    }

    fn collect(mut self, limit: usize) -> Result<FullResponse, Error> {
        let response = self.0.take().expect("it is there until it is dropped");
        RUNTIME.block_on(response.collect(limit))
    }

    fn stderr(&mut self) -> &[u8] {
        self.get().body().stderr()
    }

    fn stderr_dropped(&mut self) -> u64 {
        self.get().body().stderr_dropped()
    }

    fn end(&mut self) -> Option<End> {
        self.get().body().end()
    }
}
