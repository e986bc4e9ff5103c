//! A child process: has many requests under way at once, then as many idle connections, and says how much of its heap each
//! takes. The responder answers none of them before all have come.

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fcgi_proto::Timeouts;

use super::counting::Counting;
use super::load::{Job, tokio_runtime};
use super::who::Who;
use crate::live::failed;

/// Bytes on the heap for one each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) in_flight: u64,
    pub(super) idle: u64,
}

pub(super) fn run(job: &Job) -> Result<Held> {
    Counting::begin();
    match job.who {
        Who::Tokio => tokio_runtime()?.block_on(tokio(job)),
        Who::AsyncStd => async_std(job),
        _ => Err(failed("a thread for each request is not asked for its heap")),
    }
}

async fn tokio(job: &Job) -> Result<Held> {
    let address = fcgi_proto::Address::unix(&job.socket);
    let pool =
        fcgi_tokio::Pool::new([address], job.who.config(job.concurrency)).timeouts(patient());
    let count = Count::begin(job.concurrency);
    let tasks = (0..job.concurrency).map(|_| {
        let (job, pool, done) = (job.clone(), pool.clone(), Arc::clone(&count.done));
        tokio::spawn(async move {
            let request = fcgi_tokio::Request::get(&job.script);
            let result = pool.call(request).await.map(drop).map_err(Error::other);
            done.fetch_add(1, Ordering::SeqCst);
            result
        })
    });
    for task in Vec::from_iter(tasks) {
        task.await.map_err(Error::other)??;
    }
    tokio::task::yield_now().await;
    count.end()
}

fn async_std(job: &Job) -> Result<Held> {
    let address = fcgi_proto::Address::unix(&job.socket);
    let pool =
        fcgi_async_std::Pool::new([address], job.who.config(job.concurrency)).timeouts(patient());
    let count = Count::begin(job.concurrency);
    let executor = smol::LocalExecutor::new();
    let tasks = (0..job.concurrency).map(|_| {
        let (job, pool, done) = (job.clone(), pool.clone(), Arc::clone(&count.done));
        executor.spawn(async move {
            let request = fcgi_async_std::Request::get(&job.script);
            let result = pool.call(request).await.map(drop).map_err(Error::other);
            done.fetch_add(1, Ordering::SeqCst);
            result
        })
    });
    let tasks = Vec::from_iter(tasks);
    smol::block_on(executor.run(async {
        for task in tasks {
            task.await?;
        }
        Ok::<(), Error>(())
    }))?;
    drop(executor);
    count.end()
}

fn patient() -> Timeouts {
    Timeouts::default().with_connect(None).with_first_byte(None).with_idle(None)
}

/// Looks at the heap until the first answer is there, and once more when all are.
struct Count {
    before: u64,
    of: u64,
    done: Arc<AtomicU64>,
    watcher: thread::JoinHandle<u64>,
}

impl Count {
    fn begin(of: usize) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let before = Counting::live();
        let shared = Arc::clone(&done);
        let watcher = thread::spawn(move || {
            let mut last = 0;
            loop {
                let live = Counting::live();
                if shared.load(Ordering::SeqCst) > 0 {
                    return last;
                }
                last = live;
                thread::sleep(Duration::from_millis(2));
            }
        });
        Self { before, of: of as u64, done, watcher }
    }

    fn end(self) -> Result<Held> {
        let in_flight = self.watcher.join().map_err(|_| failed("panicked"))?;
        let each = |live: u64| live.saturating_sub(self.before) / self.of.max(1);
        Ok(Held { in_flight: each(in_flight), idle: each(Counting::live()) })
    }
}
