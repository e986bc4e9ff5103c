//! A child process: makes requests with one of the clients, as many at once as it is told, until it is told to stop.
//!
//! Those on threads have one for each request under way; those on a runtime have one thread in all, as a worker of a
//! server has.

use std::error::Error as StdError;
use std::io::{Error, Result};
use std::sync::Arc;

use super::floor::Floor;
use super::meter::Meter;
use super::who::Who;
use crate::live::failed;

/// What is asked for and what must come.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) who: Who,
    pub(super) socket: String,
    pub(super) script: String,
    pub(super) concurrency: usize,
    /// Of the body.
    pub(super) size: usize,
}

impl Job {
    pub(super) fn run(self, meter: Meter) -> Result<Meter> {
        let meter = Arc::new(meter);
        let shared = Arc::clone(&meter);
        match self.who {
            Who::Floor => self.threads(move |job| job.floor(&shared))?,
            Who::Blocking => self.blocking(shared)?,
            Who::Tokio | Who::TokioShared => tokio_runtime()?.block_on(self.tokio(shared))?,
            Who::FastcgiClient => tokio_runtime()?.block_on(self.fastcgi_client(shared))?,
            Who::AsyncStd | Who::AsyncStdShared => self.smol(shared)?,
        }
        Arc::into_inner(meter).ok_or_else(|| failed("somebody still makes requests"))
    }

    /// The variables that all of them send: those that our clients send by themselves.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let request = fcgi_blocking::Request::get(&self.script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        request.params().iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn threads(&self, work: impl Fn(&Self) -> Result<()> + Sync) -> Result<()> {
        std::thread::scope(|scope| {
            let threads = Vec::from_iter((0..self.concurrency).map(|_| scope.spawn(|| work(self))));
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(failed("panicked"))))
        })
    }

    fn floor(&self, meter: &Meter) -> Result<()> {
        let mut floor = Floor::connect(&self.socket, self.pairs())?;
        while meter.next() {
            self.check(floor.call()?)?;
        }
        Ok(())
    }

    fn blocking(&self, meter: Arc<Meter>) -> Result<()> {
        let address = fcgi_proto::Address::unix(&self.socket);
        let pool = fcgi_blocking::Pool::new([address], self.who.config(self.concurrency));
        self.threads(|job| {
            while meter.next() {
                let request = fcgi_blocking::Request::get(&job.script);
                job.check(pool.call(request).map_err(Error::other)?.body().len())?;
            }
            Ok(())
        })
    }

    async fn tokio(self, meter: Arc<Meter>) -> Result<()> {
        let address = fcgi_proto::Address::unix(&self.socket);
        let pool = fcgi_tokio::Pool::new([address], self.who.config(self.concurrency));
        self.tasks(|job| {
            let (pool, meter) = (pool.clone(), Arc::clone(&meter));
            async move {
                while meter.next() {
                    let request = fcgi_tokio::Request::get(&job.script);
                    job.check(pool.call(request).await.map_err(Error::other)?.body().len())?;
                }
                Ok(())
            }
        })
        .await
    }

    async fn fastcgi_client(self, meter: Arc<Meter>) -> Result<()> {
        self.tasks(|job| {
            let meter = Arc::clone(&meter);
            async move {
                let stream = tokio::net::UnixStream::connect(&job.socket).await?;
                let mut client = fastcgi_client::Client::new_keep_alive_tokio(stream);
                let pairs = job.pairs();
                while meter.next() {
                    let mut params = fastcgi_client::Params::default();
                    params.clear();
                    for (name, value) in &pairs {
                        params.insert(name.as_str().into(), value.as_str().into());
                    }
                    let request = fastcgi_client::Request::new(params, fastcgi_client::io::empty());
                    let response = client.execute(request).await.map_err(other)?;
                    let stdout = response.stdout.unwrap_or_default();
                    let end = memchr::memmem::find(&stdout, b"\r\n\r\n").unwrap_or(0);
                    job.check(stdout.len() - end - 4)?;
                }
                Ok(())
            }
        })
        .await
    }

    async fn tasks<F>(&self, work: impl Fn(Self) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let tasks = (0..self.concurrency).map(|_| tokio::spawn(work(self.clone())));
        for task in Vec::from_iter(tasks) {
            task.await.map_err(Error::other)??;
        }
        Ok(())
    }

    fn smol(self, meter: Arc<Meter>) -> Result<()> {
        let address = fcgi_proto::Address::unix(&self.socket);
        let pool = fcgi_async_std::Pool::new([address], self.who.config(self.concurrency));
        let executor = smol::LocalExecutor::new();
        let tasks = (0..self.concurrency).map(|_| {
            let (job, pool, meter) = (self.clone(), pool.clone(), Arc::clone(&meter));
            executor.spawn(async move {
                while meter.next() {
                    let request = fcgi_async_std::Request::get(&job.script);
                    job.check(pool.call(request).await.map_err(Error::other)?.body().len())?;
                }
                Ok::<(), Error>(())
            })
        });
        let tasks = Vec::from_iter(tasks);
        smol::block_on(executor.run(async {
            for task in tasks {
                task.await?;
            }
            Ok(())
        }))
    }

    fn check(&self, size: usize) -> Result<()> {
        if size == self.size {
            return Ok(());
        }
        Err(failed(format_args!("a body of {size} bytes came, not one of {}", self.size)))
    }
}

pub(super) fn tokio_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn other(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::other(error)
}
